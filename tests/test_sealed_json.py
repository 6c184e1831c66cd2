"""Documents that carry their own checksum."""

import json

import pytest

from perceiver_music.sealed_json import sealed, unsealed

FIELDS = {"a": [1, 2.5, None], "b": {"c": "\u00e9\udce9", "d": (1, 2)}, "e": 1e-05}


def test_what_was_sealed_is_read() -> None:
    read = unsealed(json.loads(sealed(FIELDS)))
    assert read == {**FIELDS, "b": {"c": "\u00e9\udce9", "d": [1, 2]}}
    assert sealed(read) == sealed(FIELDS)


def test_no_flipped_bit_changes_what_it_says() -> None:
    data = sealed(FIELDS)
    said = unsealed(json.loads(data))
    num_refused = 0
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            assert unsealed(json.loads(changed)) == said
        except ValueError:
            num_refused += 1
    assert num_refused > 0.99 * 8 * len(data)


@pytest.mark.parametrize("document", [{}, {"a": 1}, {"a": 1, "sha256": None}])
def test_without_a_seal_it_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="checksum"):
        unsealed(document)
