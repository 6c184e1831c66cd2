"""`continue` and `compose` as jobs: lengths, windows, the exact copy of the primer, the seam."""

import io
import json
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

from perceiver_music.errors import (
    InvalidInputError,
    OutputExistsError,
    StorageError,
    UsageError,
)
from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.generation.primer import choose_window, opening_of
from perceiver_music.jobs.continuation import (
    ContinueRequest,
    ContinueResult,
    Session,
    open_session,
)
from perceiver_music.jobs.continuation_doubts import warn_of_result
from perceiver_music.jobs.progress import Progress
from perceiver_music.music.embedded import SETTINGS_MARK
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_track import Tracks
from perceiver_music.tokenizer import vocabulary as v
from tests.jobs.untrained import CONTEXT, LATENTS, untrained_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained model: its taste is random, everything else must hold."""
    folder = tmp_path_factory.mktemp("checkpoints") / "random"
    return untrained_checkpoint(folder, std=0.2)


@pytest.fixture(scope="module")
def session(checkpoint: str) -> Session:
    return open_session(checkpoint, device="cpu")


def primer_midi(
    num_notes: int = 40, *, meter: tuple[int, int] | None = (3, 4), has_tempi: bool = True
) -> bytes:
    """A waltz with a tempo change, all three pedals and a title; a note every 300 ticks."""
    midi = mido.MidiFile(type=1, ticks_per_beat=384)
    conductor, piano = mido.MidiTrack(), mido.MidiTrack()
    conductor.append(mido.MetaMessage("track_name", name="Waltz"))
    if has_tempi:
        conductor.append(mido.MetaMessage("set_tempo", tempo=600_000))
    if meter:
        numerator, denominator = meter
        conductor.append(
            mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)
        )
    if has_tempi:
        conductor.append(mido.MetaMessage("set_tempo", tempo=450_000, time=3_000))
    for i in range(num_notes):
        pedal = [(64, 127), (66, 0), (67, 90), (64, 0)][i % 4]
        piano.append(mido.Message("control_change", control=pedal[0], value=pedal[1], time=20))
        pitch, velocity = 50 + (i * 5) % 30, 40 + i % 60
        piano.append(mido.Message("note_on", note=pitch, velocity=velocity, time=30))
        piano.append(mido.Message("note_off", note=pitch, time=250))
    midi.tracks.extend((conductor, piano))
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def make(session: Session, primer: bytes | None = None, **fields: object) -> ContinueResult:
    request = ContinueRequest(primer=primer, primer_name="primer.mid", **fields)
    return session.run(request)


def length(amount: float, unit: str = "events") -> LengthOption:
    return LengthOption(amount=amount, unit=unit)


@pytest.mark.parametrize("num_notes", [1, 3, LATENTS, CONTEXT, 3 * CONTEXT])
def test_primers_of_every_size_go_on(session: Session, num_notes: int) -> None:
    result = make(session, primer_midi(num_notes), length=length(100))
    assert (result.events, result.ended) == (100, "length")
    assert result.primer_events >= 2 * num_notes
    assert pretty_midi.PrettyMIDI(io.BytesIO(result.midi)).instruments


def test_a_window_without_notes_is_told_of(session: Session) -> None:
    told: list[str] = []
    request = ContinueRequest(
        primer=primer_midi(), primer_name="p.mid", to_seconds=0.02, length=length(10)
    )
    session.run(request, warn=told.append)
    assert told == ["p.mid: no notes before 0.02 s; it begins from nothing"]


def test_a_pause_as_a_window_is_told_of_by_both_its_ends(session: Session) -> None:
    track = Tracks()
    for second in (0, 30):
        track.note(960 * second, 960 * (second + 1), channel=0, pitch=60, velocity=64)
    told: list[str] = []
    request = ContinueRequest(
        primer=track.file(480),
        primer_name="gap.mid",
        from_seconds=10.0,
        to_seconds=20.5,
        length=length(10),
    )
    session.run(request, warn=told.append)
    assert told == ["gap.mid: no notes from 10 s to 20.5 s; it begins from nothing"]


def test_lengths_are_of_new_music_only(session: Session) -> None:
    primer = primer_midi()
    assert make(session, primer, length=length(300)).events == 300
    assert make(session, primer, length=length(25, "notes")).notes == 25
    assert make(session, primer, length=length(7.5, "seconds")).seconds <= 7.51
    # Three quarters of 450 ms are a bar at the end of this primer.
    bars = make(session, primer, length=length(4, "bars"))
    assert bars.seconds <= 4 * 3 * 0.45 + 0.01


def test_seconds_are_kept_when_the_last_note_is_held(session: Session) -> None:
    result = make(session, primer_midi(), length=length(3, "seconds"))
    whole = parse_midi(result.midi, name="x").performance
    primer = parse_midi(primer_midi(), name="x").performance
    seam = choose_window(primer).to_us
    assert whole.end_us <= seam + 3_000_000 + 1_000


def test_bars_of_a_file_of_tempi_without_a_meter_are_of_four_quarters(session: Session) -> None:
    four_bars = make(session, primer_midi(meter=None), length=length(4, "bars"))
    in_seconds = make(session, primer_midi(meter=None), length=length(4 * 4 * 0.45, "seconds"))
    assert four_bars.seconds == pytest.approx(in_seconds.seconds, abs=1.0)
    assert 4 * 3 * 0.45 < four_bars.seconds <= 4 * 4 * 0.45 + 0.01


def test_bars_need_a_meter_or_a_tempo(session: Session) -> None:
    with pytest.raises(UsageError, match="meter"):
        make(session, primer_midi(meter=None, has_tempi=False), length=length(4, "bars"))
    with pytest.raises(UsageError):
        ContinueRequest(length=length(4, "bars"))


@pytest.mark.parametrize(
    "window",
    [
        {},
        {"to_seconds": 5.0},
        {"from_seconds": 2.5},
        {"from_seconds": 2.5, "to_seconds": 7.77},
        {"last_seconds": 3.0},
        {"last_seconds": 3.0, "to_seconds": 6.0},
    ],
)
def test_the_primer_is_copied_exactly(session: Session, window: dict[str, float]) -> None:
    primer = parse_midi(primer_midi(), name="x")
    chosen = choose_window(primer.performance, **window)
    result = make(session, primer_midi(), length=length(40), **window)
    output = parse_midi(result.midi, name="y")
    notes = primer.performance.notes
    expected = notes[(notes["start_us"] >= chosen.from_us) & (notes["start_us"] < chosen.to_us)]
    copied = output.performance.notes[: len(expected)]
    seam_us = chosen.to_us - chosen.from_us
    assert np.abs(copied["start_us"] - (expected["start_us"] - chosen.from_us)).max() <= 1_000
    ends = np.minimum(expected["end_us"] - chosen.from_us, seam_us)
    sounds_on = expected["end_us"] - chosen.from_us > seam_us
    assert np.abs(copied["end_us"] - ends)[~sounds_on].max() <= 1_000
    assert (copied["end_us"] <= expected["end_us"] - chosen.from_us + 1_000).all()
    assert (copied["pitch"] == expected["pitch"]).all()
    assert (copied["velocity"] == expected["velocity"]).all()
    assert (output.performance.notes[len(expected) :]["start_us"] >= seam_us - 1_000).all()
    controls = primer.controls
    inside = controls[
        (controls["time_us"] >= chosen.from_us) & (controls["time_us"] < chosen.to_us)
    ]
    rows = output.controls[["number", "value"]].tolist()
    wanted = inside[["number", "value"]].tolist()
    assert any(rows[i : i + len(wanted)] == wanted for i in range(len(rows)))
    assert output.tempo_map.quarter_at(0) == primer.tempo_map.quarter_at(chosen.from_us)
    assert output.tempo_map.quarter_at(seam_us) == primer.tempo_map.quarter_at(chosen.to_us)
    assert output.time_signatures[0].data == primer.time_signatures[0].data


def test_no_pedal_stays_down_and_no_key_sounds_twice(session: Session) -> None:
    for seed in range(5):
        result = make(session, primer_midi(), to_seconds=4.4, seed=seed, length=length(200))
        output = parse_midi(result.midi, name="y")
        assert not output.warnings
        pedal = output.performance.pedal
        assert pedal["value"][-1] == 0
        notes = output.performance.notes
        for pitch in np.unique(notes["pitch"]):
            own = np.sort(notes[notes["pitch"] == pitch], order="start_us")
            assert (own["start_us"][1:] >= own["end_us"][:-1]).all()


def test_without_the_primer_the_new_music_begins_at_once(session: Session) -> None:
    with_primer = make(session, primer_midi(), length=length(150))
    alone = make(session, primer_midi(), length=length(150), include_primer=False)
    assert alone.notes == with_primer.notes
    long = parse_midi(with_primer.midi, name="x").performance.notes[-alone.notes :]
    short = parse_midi(alone.midi, name="x").performance.notes
    assert (short["pitch"] == long["pitch"]).all()
    seam = choose_window(parse_midi(primer_midi(), name="x").performance).to_us
    assert np.abs(short["start_us"] + seam - long["start_us"]).max() <= 1_000


def test_a_variation_depends_on_its_seed_and_number_alone(session: Session) -> None:
    def variation(**fields: object) -> bytes:
        return make(session, primer_midi(), length=length(60), **fields).midi

    first = variation(seed=3, index=1)
    make(session, primer_midi(3), length=length(33), seed=9)  # company changes nothing
    assert variation(seed=3, index=1) == first
    assert variation(seed=3, index=2) != first
    assert variation(seed=4, index=1) != first
    with pytest.raises(UsageError, match="seed"):
        ContinueRequest(seed=-1)


def test_composing_needs_no_primer(session: Session) -> None:
    result = make(session, length=length(10, "seconds"))
    assert (result.primer, result.primer_events) == (None, 0)
    assert result.notes > 0
    assert parse_midi(result.midi, name="x").performance.end_us <= 10_001_000


def test_a_piece_is_brought_to_an_end_only_when_asked(session: Session) -> None:
    told: list[Progress] = []
    request = ContinueRequest(primer=None, primer_name="", length=length(500), ending=True)
    ended = session.run(request, told.append)
    assert ended.ended == "ending"
    assert 200 < ended.events < 500
    tried = [progress.done for progress in told[:-1]]
    assert tried == sorted(tried)
    assert told[-1].done == ended.events < tried[-1]
    assert make(session, length=length(500)).ended == "length"


def test_the_settings_are_in_the_file(session: Session) -> None:
    sampling = SamplingOptions(temperature=0.9, top_p=None, min_p=0.05)
    result = make(session, primer_midi(), seed=7, index=2, length=length(20), sampling=sampling)
    texts = [meta.data.decode() for meta in parse_midi(result.midi, name="x").texts]
    (text,) = [text for text in texts if text.startswith(SETTINGS_MARK)]
    settings = json.loads(text.removeprefix(SETTINGS_MARK))
    assert (settings["seed"], settings["index"], settings["command"]) == (7, 2, "continue")
    assert settings["sampling"]["min_p"] == 0.05
    assert settings["checkpoint_sha256"] == result.checkpoint_sha256
    assert {"version", "threads", "kernel", "torch", "primer_sha256"} <= set(settings)
    assert "Waltz" in texts
    again = make(session, result.midi, length=length(20))
    texts = [meta.data.decode() for meta in parse_midi(again.midi, name="x").texts]
    assert sum(text.startswith(SETTINGS_MARK) for text in texts) == 1


def test_an_output_that_cannot_be_is_refused_before_the_work(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session._loaded.model, "begin", pytest.fail)
    (tmp_path / "file").write_bytes(b"")
    for output in (tmp_path / "file" / "x.mid", tmp_path / ("x" * 300)):
        with pytest.raises(StorageError):
            make(session, primer_midi(), length=length(20), output=output)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_written_whole_and_never_over_others(session: Session, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "out.mid"
    result = make(session, primer_midi(), length=length(20), output=output)
    assert output.read_bytes() == result.midi
    with pytest.raises(OutputExistsError):
        make(session, primer_midi(), length=length(20), output=output)
    make(session, primer_midi(), length=length(20), output=output, overwrite=True, seed=5)
    assert output.read_bytes() != result.midi


@pytest.mark.parametrize(
    "window",
    [
        {"from_seconds": 100.0},
        {"from_seconds": 5.0, "to_seconds": 5.0},
        {"from_seconds": 1.0, "last_seconds": 1.0},
        {"to_seconds": -1.0},
        {"last_seconds": float("nan")},
    ],
)
def test_windows_with_nothing_in_them_are_usage_errors(
    session: Session, window: dict[str, float]
) -> None:
    with pytest.raises(UsageError):
        make(session, primer_midi(), **window)


def test_what_cannot_be_continued_is_refused(session: Session) -> None:
    with pytest.raises(InvalidInputError):
        make(session, b"not MIDI")
    with pytest.raises(InvalidInputError, match="no piano notes"):
        make(session, primer_midi(0))
    with pytest.raises(UsageError):
        open_session(str(session._loaded.description.path), context=8, latents=16)


def test_an_opening_is_open_at_its_end() -> None:
    performance = parse_midi(primer_midi(), name="x").performance
    window = choose_window(performance, from_seconds=1.0, to_seconds=5.05)
    opening = opening_of(performance, window)
    assert v.BOS not in opening.tokens
    sounding: set[int] = set()
    steps = 0
    for token in opening.tokens:
        kind, value = v.describe(token)
        if kind == "NOTE_ON":
            sounding.add(value)
        elif kind == "NOTE_OFF":
            sounding.remove(value)
        elif kind == "TIME_SHIFT":
            steps += value
    assert sounding == set(opening.sounding)
    assert (steps + opening.waited, opening.waited) == (405, 30)
    assert all(step >= 1 for step in opening.sounding.values())
    assert opening_of(performance, choose_window(performance)).tokens[0] == v.BOS


def test_a_window_beyond_the_end_is_said(session: Session) -> None:
    told: list[str] = []
    for moment in (5.0, 9999.0):
        request = ContinueRequest(
            primer=primer_midi(),
            primer_name="waltz.mid",
            to_seconds=moment,
            length=LengthOption(amount=2, unit="notes"),
        )
        session.run(request, warn=told.append)
    assert len(told) == 1
    assert told[0].startswith("waltz.mid: ends at ")


def test_where_new_music_begins_is_said_and_where_there_is_none(session: Session) -> None:
    request = ContinueRequest(
        primer=primer_midi(),
        primer_name="waltz.mid",
        to_seconds=5.0,
        length=LengthOption(amount=2, unit="notes"),
    )
    result = session.run(request)
    assert result.as_json()["begins_at"] == 5.0
    told: list[str] = []
    warn_of_result(request, result, told.append)
    assert told == []
    warn_of_result(request, replace(result, notes=0), told.append)
    assert len(told) == 1
    assert told[0].startswith("waltz.mid: no key is struck")
