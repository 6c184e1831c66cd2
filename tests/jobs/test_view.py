"""`view` as a job: titles, facts, sound inside a page, what is refused."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from perceiver_music.errors import InvalidInputError, UnavailableError, UsageError
from perceiver_music.jobs import render, view
from perceiver_music.jobs.duet_file import duet_midi
from perceiver_music.jobs.view import ViewRequest, ViewResult
from perceiver_music.music.embedded import Embedded, deflated, with_embedded
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import Performance, note_array
from perceiver_music.view import fonts

SECOND = 1_000_000
NOTES = note_array(
    np.arange(6) * SECOND, np.arange(6) * SECOND + SECOND, 60 + np.arange(6), [64] * 6
)
MIDI = performance_to_midi(Performance(notes=NOTES))


def shown(midi: bytes = MIDI, **fields: Any) -> ViewResult:
    return view.run(ViewRequest(midi=midi, input_name="x.mid", stem="a_small_piece", **fields))


def ours(**settings: Any) -> bytes:
    text = json.dumps({"checkpoint": "maestro", "seed": 7, **settings})
    return with_embedded(MIDI, Embedded(settings=text, deflated_primer=deflated(MIDI)))


def named(name: str) -> bytes:
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name, time=0)])
    track.append(mido.Message("note_on", note=60, time=0))
    track.append(mido.Message("note_off", note=60, time=100))
    file = mido.MidiFile(type=0, tracks=[track])
    import io

    stream = io.BytesIO()
    file.save(file=stream)
    return stream.getvalue()


def test_titles() -> None:
    assert shown().roll.title == "a small piece"
    assert shown(title="Mine").roll.title == "Mine"
    assert shown(named("Prelude in C")).roll.title == "Prelude in C"
    assert shown(named("Piano")).roll.title == "a small piece"


def test_one_note_is_no_plural() -> None:
    assert shown(named("Piano")).roll.facts[0] == "1 note"
    assert shown().roll.facts[0] == "6 notes"


def test_what_is_new_and_how_it_was_made() -> None:
    result = shown(ours(command="continue", primer_sha256="0", to_seconds=2.0))
    assert result.roll.new == ((2.0, 6.0),)
    assert result.roll.facts == ("6 notes", "0:06", "new from 0:02", "checkpoint maestro", "seed 7")
    fields = result.as_json()
    assert (fields["notes"], fields["new_notes"], fields["new_seconds"]) == (6, 4, [2.0, 6.0])
    gap = shown(ours(command="infill", primer_sha256="0", between_seconds=[2, 4]))
    assert gap.roll.is_new.tolist() == [False, False, True, True, False, False]
    assert "new from 0:02 to 0:04" in gap.roll.facts
    composed = shown(ours(command="compose", primer_sha256=None))
    assert composed.roll.is_new.all()
    assert shown(new_from_seconds=3.0).roll.new == ((3.0, 6.0),)
    with pytest.raises(UsageError, match="after the last note"):
        shown(new_from_seconds=6.0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"index": 3}, "seed 7, variation 3"),
        ({"index": 1}, "seed 7"),
        ({}, "seed 7"),
        ({"index": "3"}, "seed 7"),
    ],
)
def test_variations_of_one_seed_are_told_apart(settings: dict[str, Any], told: str) -> None:
    for command in ({"primer_sha256": "0", "to_seconds": 2.0}, {"primer_sha256": None}):
        assert shown(ours(**command, **settings)).roll.facts[-1] == told


def test_a_duet_is_told_by_its_players() -> None:
    hers, its = (Performance(notes=NOTES[rows]) for rows in (slice(0, 6, 3), [1, 2, 4, 5]))
    midi = duet_midi(
        hers, its, title=b"Prelude in C", settings={"seed": 7, "checkpoint": "maestro"}
    )
    result = shown(midi)
    assert result.roll.title == "Prelude in C, as a duet"
    assert result.roll.facts == ("6 notes", "0:06", "2 answers", "checkpoint maestro", "seed 7")
    assert result.roll.is_new.tolist() == [False, True, True, False, True, True]
    fields = result.as_json()
    assert (fields["new_notes"], fields["new_seconds"]) == (4, None)
    assert shown(midi, new_from_seconds=3.0).roll.new == ((3.0, 6.0),)
    assert shown(duet_midi(hers, its, title=b"", settings={})).roll.title == "a small piece"


@pytest.mark.parametrize(
    ("picture", "magic"),
    [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")],
)
def test_every_kind_of_file(picture: str, magic: bytes, tmp_path: Path) -> None:
    audio = view.NO_AUDIO if picture == "html" else None
    path = tmp_path / f"x.{picture}"
    result = shown(picture=picture, output=path, audio=audio)
    assert path.read_bytes() == result.data
    assert result.data.startswith(magic)
    assert result.as_json()["bytes"] == len(result.data)


def test_a_picture_that_lacks_signs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "SYSTEM_FONTS", ())
    for picture, title, lost in (
        ("png", "月光 1", "月光"),
        ("png", "Études", ""),
        ("svg", "月", ""),
    ):
        told: list[str] = []
        request = ViewRequest(midi=MIDI, input_name="x.mid", stem="x", picture=picture, title=title)
        view.run(request, warn=told.append)
        assert len(told) == bool(lost)
        assert all(told_of in told[0] for told_of in ("x.mid", lost, ".svg") if lost)


def sound_in(page: bytes) -> bytes:
    found = re.search(rb'id="sound" data-type="audio/mpeg">([^<]*)</script>', page)
    return base64.b64decode(found[1]) if found else b""


def test_a_page_carries_its_sound(tmp_path: Path) -> None:
    result = shown(picture="html")
    sound = sound_in(result.data)
    assert result.audio is not None
    assert len(sound) == result.audio["bytes"] > 10_000
    path = tmp_path / "x.mp3"
    path.write_bytes(sound)
    import soundfile

    assert soundfile.info(path).duration >= 6
    mine = shown(picture="html", audio=str(path))
    assert sound_in(mine.data) == sound
    assert shown(picture="html", audio="none").audio is None


def test_without_a_synthesizer_a_page_is_silent_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        raise UnavailableError("no synthesizer is installed")

    monkeypatch.setattr(render, "run", fails)
    told: list[str] = []
    request = ViewRequest(midi=MIDI, input_name="x.mid", stem="x", picture="html")
    result = view.run(request, warn=told.append)
    assert sound_in(result.data) == b""
    assert "silent" in told[0]
    with pytest.raises(UnavailableError):
        shown(picture="html", audio="render")


def test_what_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no piano notes"):
        shown(performance_to_midi(Performance(notes=NOTES[:0])))
    for fields in ({"picture": "gif"}, {"picture": "html", "audio": "x.txt"}, {"audio": "none"}):
        with pytest.raises(UsageError):
            shown(**fields)
