"""The licence of weights that are made of others."""

import pytest

from perceiver_music.training.origins import NOT_STATED, Origin, licence_after


@pytest.mark.parametrize(
    ("own", "of_origins", "expected"),
    [
        (NOT_STATED, [], NOT_STATED),
        (" ", [], NOT_STATED),
        ("MIT", [], "MIT"),
        (NOT_STATED, ["MIT"], "MIT"),
        ("", ["MIT"], "MIT"),
        ("MIT", ["MIT AND CC0-1.0", "CC0-1.0"], "MIT AND CC0-1.0"),
        ("MIT", [NOT_STATED], NOT_STATED),
        (NOT_STATED, ["MIT", NOT_STATED], NOT_STATED),
        ("MIT OR Apache-2.0", [], "MIT OR Apache-2.0"),
        ("MIT OR Apache-2.0", ["MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
        ("MIT OR Apache-2.0", ["CC0-1.0"], "(MIT OR Apache-2.0) AND CC0-1.0"),
        ("MIT OR A AND B", ["CC0-1.0"], "(MIT OR A AND B) AND CC0-1.0"),
        ("(A AND B) OR C", ["CC0-1.0"], "((A AND B) OR C) AND CC0-1.0"),
        ("MIT OR A", ["(MIT OR A) AND B"], "(MIT OR A) AND B"),
    ],
)
def test_what_holds_for_the_origins_holds_after_them(
    own: str, of_origins: list[str], expected: str
) -> None:
    origins = [Origin(name="x", sha256="0", licence=licence) for licence in of_origins]
    assert licence_after(own, origins) == expected
