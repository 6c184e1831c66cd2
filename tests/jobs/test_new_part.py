"""Where new music begins in files of ours, and that others say nothing."""

import json
import math
from typing import Any

import pytest

from perceiver_music.errors import InvalidInputError
from perceiver_music.jobs.new_part import NewPart, new_part_of
from perceiver_music.music.embedded import Embedded, deflated, with_embedded
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_gap import FilledGap, filled_midi
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.midi_window import Seam, continued_midi
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


def found_in(midi: bytes) -> NewPart | None:
    return new_part_of(midi, parse_midi(midi, name="x.mid"), name="x.mid")


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"primer_sha256": None}, (0, None)),
        ({"primer_sha256": "0", "include_primer": False}, (0, None)),
        ({"primer_sha256": "0"}, (5, None)),
        ({"primer_sha256": "0", "to_seconds": 4}, (4, None)),
        ({"primer_sha256": "0", "to_seconds": 100}, (5, None)),
        ({"primer_sha256": "0", "from_seconds": 1, "to_seconds": 4}, (3, None)),
        ({"primer_sha256": "0", "from_seconds": 1}, (4, None)),
        ({"primer_sha256": "0", "last_seconds": 1.5}, (1.5, None)),
        ({"primer_sha256": "0", "last_seconds": 1.5, "to_seconds": 1}, (1, None)),
        ({"primer_sha256": "0", "between_seconds": [1, 2.5]}, (1, 2.5)),
    ],
    ids=str,
)
def test_the_seam(settings: dict[str, Any], seconds: tuple[float, float | None]) -> None:
    new = found_in(made_with(settings))
    assert new is not None
    assert new.from_us == seconds[0] * SECOND
    assert new.to_us == (None if seconds[1] is None else seconds[1] * SECOND)
    assert new.settings == settings


def test_a_duet_says_which_channel_answers() -> None:
    new = found_in(made_with({"command": "duet", "answers_channel": 2}))
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
        {"primer_sha256": "0", "last_seconds": math.nan},
        {"primer_sha256": "0", "to_seconds": math.inf},
        {"primer_sha256": "0", "between_seconds": [1, 1e300]},
        {"primer_sha256": "0", "from_seconds": 77},
    ],
    ids=lambda settings: str(settings)[:30],
)
def test_damaged_settings_say_nothing(settings: Any) -> None:
    assert found_in(made_with(settings)) is None


def test_without_its_primer_nobody_can_tell() -> None:
    assert found_in(made_with({"primer_sha256": "0"}, primer=None)) is None
    assert found_in(made_with({"primer_sha256": "0"}, primer=b"junk")) is None


def test_files_of_others() -> None:
    assert found_in(MIDI) is None
    with pytest.raises(InvalidInputError):
        new_part_of(b"junk", parse_midi(MIDI, name="x.mid"), name="x.mid")


def uneven() -> bytes:
    """25 seconds in two tempi whose ticks are no whole microseconds."""
    tracks = Tracks()
    for tick, quarter_us in ((0, 612_245), (4_400, 643_356)):
        tracks.meta(tick, 0x51, quarter_us.to_bytes(3, "big"))
    for i in range(40):
        tracks.note(i * 211, i * 211 + 190, channel=0, pitch=40 + i, velocity=60)
    return tracks.file(220)


NEW = Performance(notes=note_array([0, SECOND], [SECOND, 2 * SECOND], [90, 91], [64, 64]))


def new_pitches(midi: bytes, **settings: Any) -> list[int]:
    text = json.dumps({"primer_sha256": "0", **settings})
    midi = with_embedded(midi, Embedded(settings=text, deflated_primer=deflated(uneven())))
    new, notes = found_in(midi), parse_midi(midi, name="x.mid").performance.notes
    assert new is not None
    is_new = notes["start_us"] >= new.from_us
    if new.to_us is not None:
        is_new &= notes["start_us"] < new.to_us
    return notes["pitch"][is_new].tolist()


MOMENTS = [3.21 + 0.37 * i for i in range(50)]


@pytest.mark.parametrize("window", ["from", "last", "to"])
def test_a_note_at_the_seam_is_new_whatever_the_ticks(window: str) -> None:
    primer = parse_midi(uneven(), name="uneven.mid")
    end_us = primer.performance.end_us
    for seconds in MOMENTS:
        us = round(seconds * SECOND)
        from_us, to_us = {"from": (us, end_us), "last": (end_us - us, end_us), "to": (0, us)}[
            window
        ]
        midi = continued_midi(
            primer,
            from_us=from_us,
            to_us=to_us,
            continuation=NEW,
            seam=Seam(),
            include_primer=True,
        )
        assert new_pitches(midi, **{f"{window}_seconds": seconds}) == [90, 91]


def test_a_note_at_the_first_moment_of_a_gap_is_new_whatever_the_ticks() -> None:
    file = parse_midi(uneven(), name="uneven.mid")
    for seconds in MOMENTS:
        from_us = round(seconds * SECOND)
        gap = FilledGap(from_us=from_us, to_us=from_us + 2_500_000, middle=NEW)
        between = [seconds, seconds + 2.5]
        assert new_pitches(filled_midi(file, gap), between_seconds=between) == [90, 91]
