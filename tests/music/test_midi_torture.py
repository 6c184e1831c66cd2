"""Odd, broken and hostile files: each is read, with the notes that others find, or refused."""

import csv
from collections import Counter
from pathlib import Path

import mido
import pytest

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.midi_file import MidiFile, read_midi

DRUMS = 9
REFUSED = {
    "derived/derived-cut-in-header.mid": "cut off",
    "derived/derived-division-zero.mid": "division",
    "fq/fuzz--8450de010e750ed5.mid": "variable-length",
    "fq/midi--empty.mid": "not a MIDI file",
    "fq/midi--invalid-MThd-length.mid": "cut off",
    "jazz-soft/test-empty-file.mid": "not a MIDI file",
    "jazz-soft/test-illegal-message-all.mid": "undefined status",
    "jazz-soft/test-illegal-message-f4.mid": "undefined status",
    "jazz-soft/test-illegal-message-f5.mid": "undefined status",
    "jazz-soft/test-illegal-message-f9.mid": "undefined status",
    "jazz-soft/test-syx-7e-06-01-id-request.syx": "not a MIDI file",
}
LEFT_OUT = {
    # A note that ends in the tick in which it starts, beside another of its pitch: note-seq and
    # pretty_midi leave it out too.
    "music21/test16.mid": 1,
}


@pytest.fixture
def torture(shared_data: Path) -> Path:
    folder = shared_data / "midi-torture"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def strikes_by_mido(path: Path) -> Counter[tuple[int, int, int]]:
    """(tick, pitch, velocity) of every note-on but the drums'."""
    found: Counter[tuple[int, int, int]] = Counter()
    for track in mido.MidiFile(path).tracks:
        tick = 0
        for message in track:
            tick += message.time
            is_strike = message.type == "note_on" and message.velocity > 0
            if is_strike and message.channel != DRUMS:
                found[tick, message.note, message.velocity] += 1
    return found


def strikes(midi: MidiFile) -> Counter[tuple[int, int, int]]:
    notes = midi.performance.notes
    columns = (midi.note_ticks["start_tick"], notes["pitch"], notes["velocity"])
    return Counter(zip(*(column.tolist() for column in columns), strict=True))


def test_every_file_is_read_or_refused_with_a_reason(torture: Path) -> None:
    refused = {}
    rows = rows_of(torture)
    for row in rows:
        try:
            read_midi(torture / row["file"])
        except InvalidInputError as error:
            refused[row["file"]] = error
    assert len(rows) == 115
    assert set(refused) == set(REFUSED)
    for file, words in REFUSED.items():
        assert words in refused[file].message, file
        assert refused[file].exit_code == 65


def test_where_sound_readers_agree_the_notes_are_theirs(torture: Path) -> None:
    num_compared = 0
    for row in rows_of(torture):
        is_agreed = row["symusic_0_6_0"].isdigit() and row["symusic_0_6_0"] == row["mido_notes"]
        if not is_agreed or row["file"] in REFUSED or row["format"] == "2":
            continue
        found, expected = (
            strikes(read_midi(torture / row["file"])),
            (strikes_by_mido(torture / row["file"])),
        )
        assert not found - expected, row["file"]
        assert (expected - found).total() == LEFT_OUT.get(row["file"], 0), row["file"]
        num_compared += 1
    assert num_compared > 80


@pytest.mark.parametrize(
    ("file", "num_notes", "warning"),
    [
        ("derived/derived-cut-mid-event.mid", 323, "claims more bytes"),
        ("derived/derived-huge-track-length.mid", 666, "claims more bytes"),
        ("jazz-soft/test-corrupt-file-missing-byte.mid", 8, "breaks off"),
    ],
)
def test_what_breaks_off_is_read_up_to_the_break(
    torture: Path, file: str, num_notes: int, warning: str
) -> None:
    midi = read_midi(torture / file)
    assert midi.performance.num_notes == num_notes
    assert any(warning in text for text in midi.warnings)
