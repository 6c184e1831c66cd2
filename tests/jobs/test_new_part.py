"""Where new music begins in files of ours, and that others say nothing."""

import json
from typing import Any

import pytest

from perceiver_music.errors import InvalidInputError
from perceiver_music.jobs.new_part import new_part_of
from perceiver_music.music.embedded import Embedded, deflated, with_embedded
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import Performance, note_array

SECOND = 1_000_000
MIDI = performance_to_midi(
    Performance(notes=note_array([0, 3 * SECOND], [SECOND, 5 * SECOND], [60, 62], [64, 64]))
)


def made_with(settings: Any, primer: bytes | None = MIDI) -> bytes:
    text = settings if isinstance(settings, str) else json.dumps(settings)
    return with_embedded(
        MIDI, Embedded(settings=text, deflated_primer=None if primer is None else deflated(primer))
    )


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"primer_sha256": None}, (0, None)),
        ({"primer_sha256": "0", "include_primer": False}, (0, None)),
        ({"primer_sha256": "0"}, (5, None)),
        ({"primer_sha256": "0", "to_seconds": 4}, (4, None)),
        ({"primer_sha256": "0", "from_seconds": 1, "to_seconds": 4}, (3, None)),
        ({"primer_sha256": "0", "from_seconds": 1}, (4, None)),
        ({"primer_sha256": "0", "last_seconds": 1.5}, (1.5, None)),
        ({"primer_sha256": "0", "last_seconds": 1.5, "to_seconds": 1}, (1, None)),
        ({"primer_sha256": "0", "between_seconds": [1, 2.5]}, (1, 2.5)),
    ],
    ids=str,
)
def test_the_seam(settings: dict[str, Any], seconds: tuple[float, float | None]) -> None:
    new = new_part_of(made_with(settings), name="x.mid")
    assert new is not None
    assert new.from_us == seconds[0] * SECOND
    assert new.to_us == (None if seconds[1] is None else seconds[1] * SECOND)
    assert new.settings == settings


def test_a_duet_says_which_channel_answers() -> None:
    new = new_part_of(made_with({"command": "duet", "answers_channel": 2}), name="x.mid")
    assert new is not None
    assert (new.from_us, new.to_us, new.channel) == (0, None, 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"command": "duet"},
        {"command": "duet", "answers_channel": 17},
        {"command": "duet", "answers_channel": "two"},
        "not JSON",
        "[" * 10_000,
        [1],
        {"primer_sha256": "0", "between_seconds": [2, 1]},
        {"primer_sha256": "0", "between_seconds": ["a", "b"]},
        {"primer_sha256": "0", "last_seconds": "long"},
        {"primer_sha256": "0", "from_seconds": 77},
    ],
    ids=lambda settings: str(settings)[:30],
)
def test_damaged_settings_say_nothing(settings: Any) -> None:
    assert new_part_of(made_with(settings), name="x.mid") is None


def test_without_its_primer_nobody_can_tell() -> None:
    assert new_part_of(made_with({"primer_sha256": "0"}, primer=None), name="x.mid") is None
    assert new_part_of(made_with({"primer_sha256": "0"}, primer=b"junk"), name="x.mid") is None


def test_files_of_others() -> None:
    assert new_part_of(MIDI, name="x.mid") is None
    with pytest.raises(InvalidInputError):
        new_part_of(b"junk", name="x.mid")
