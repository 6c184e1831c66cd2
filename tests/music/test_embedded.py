"""What is written about the music goes in before it, and comes out again to the last byte."""

import io

import mido
import pytest

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.embedded import (
    LARGEST_EMBEDDED_PRIMER,
    PRIMER_MARK,
    Embedded,
    deflated,
    find_embedded,
    with_embedded,
    without_embedded,
)
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_track import Tracks

SETTINGS = '{"seed": 7}' + " " * 300  # longer than one byte can say


def music() -> bytes:
    track = Tracks()
    track.meta(0, 0x01, b"a text of somebody else")
    track.note(0, 480, channel=0, pitch=60, velocity=64)
    return track.file(480)


@pytest.mark.parametrize("primer", [None, b"MThd and so on" * 50])
def test_in_and_out(primer: bytes | None) -> None:
    blob = None if primer is None else deflated(primer)
    data = with_embedded(music(), Embedded(settings=SETTINGS, deflated_primer=blob))
    assert without_embedded(data) == music()
    found = find_embedded(data, name="x")
    assert found == Embedded(settings=SETTINGS, deflated_primer=blob)
    assert found.primer(name="x") == primer
    assert parse_midi(data, name="x").performance.num_notes == 1
    assert (
        mido.MidiFile(file=io.BytesIO(data)).length
        == mido.MidiFile(file=io.BytesIO(music())).length
    )


def test_a_file_with_nothing_of_ours_is_left_alone() -> None:
    assert without_embedded(music()) == music()
    assert find_embedded(music(), name="x") is None
    for data in (b"", b"RIFF", music()[:20]):
        assert without_embedded(data) == data


def test_it_is_found_wherever_another_program_has_put_it() -> None:
    data = with_embedded(music(), Embedded(settings=SETTINGS, deflated_primer=deflated(b"MThd")))
    midi = mido.MidiFile(file=io.BytesIO(data))
    midi.tracks.insert(0, mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=400_000)]))
    midi.type = 1
    buffer = io.BytesIO()
    midi.save(file=buffer)
    found = find_embedded(buffer.getvalue(), name="x")
    assert found is not None
    assert (found.settings, found.primer(name="x")) == (SETTINGS, b"MThd")


@pytest.mark.parametrize("blob", [b"", b"not deflated", (deflated(b"MThd" * 99) or b"")[:-3]])
def test_a_damaged_primer_is_refused(blob: bytes) -> None:
    with pytest.raises(InvalidInputError, match="damaged"):
        Embedded(settings=SETTINGS, deflated_primer=blob).primer(name="x")


def test_a_primer_that_would_swell_the_file_stays_out() -> None:
    import random

    noise = random.Random(0).randbytes(LARGEST_EMBEDDED_PRIMER + 1)
    assert deflated(noise) is None
    bomb = deflated(bytes(64 << 20))
    assert bomb is not None
    with pytest.raises(InvalidInputError):
        Embedded(settings="", deflated_primer=bomb).primer(name="x")
    assert PRIMER_MARK[0] == 0x7D
