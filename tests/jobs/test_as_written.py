"""After a quantized file of one velocity, new music lies on its grid and is as loud."""

from pathlib import Path

import numpy as np
import pytest

from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.jobs.continuation import ContinueRequest, Session, open_session
from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.midi_track import Tracks
from tests.jobs.test_infill import RECIPE, saved

PER_QUARTER = 220
FREELY = SamplingOptions(keep_grid=False, keep_levels=False)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """An untrained model: nothing keeps time but what makes it."""
    return open_session(saved(tmp_path_factory.mktemp("models") / "random", RECIPE), device="cpu")


def score(*, lines: int = 4, quarter_us: int = 612_245, offset: int = 0) -> bytes:
    """Forty seconds as a notation program writes them, at 98 quarters a minute."""
    track = Tracks()
    track.meta(0, 0x51, quarter_us.to_bytes(3, "big"))
    track.meta(20 * PER_QUARTER, 0x51, (quarter_us + 31_111).to_bytes(3, "big"))
    for i in range(64 * lines):
        if i % 8 == 5:
            continue
        tick = offset + round(i * PER_QUARTER / lines)
        for pitch in (40 + i * 7 % 30, 75 + i * 5 % 20):
            track.note(tick, tick + PER_QUARTER // lines - 1, channel=0, pitch=pitch, velocity=81)
    return track.file(PER_QUARTER)


def made(session: Session, midi: bytes, **fields: object) -> MidiFile:
    request = ContinueRequest(primer=midi, primer_name="score.mid", seed=3, **fields)
    return parse_midi(session.run(request).midi, name="made.mid")


def off_lines(file: MidiFile, from_us: int, to_us: int, lines: int = 4) -> np.ndarray:
    """How many ticks of the score each onset is off its grid."""
    starts = file.performance.notes["start_us"]
    ticks = file.note_ticks["start_tick"][(starts >= from_us) & (starts < to_us)]
    assert len(ticks) > 10
    places = ticks * (lines / file.tempo_map.ticks_per_quarter)
    return np.abs(places - np.rint(places)) * PER_QUARTER / lines


@pytest.mark.parametrize("lines", [1, 3, 4])
@pytest.mark.parametrize("to_seconds", [None, 24.0, 30.123])
def test_music_goes_on_in_the_grid(session: Session, lines: int, to_seconds: float | None) -> None:
    midi = score(lines=lines)
    end_us = parse_midi(midi, name="score").performance.end_us
    begins = end_us if to_seconds is None else round(to_seconds * 1e6)
    fields = {"to_seconds": to_seconds, "length": LengthOption(amount=40, unit="seconds")}
    file = made(session, midi, **fields)
    assert off_lines(file, begins + 1, 10**12, lines).max() <= 0.5
    assert set(file.performance.notes["velocity"].tolist()) == {81}
    freely = made(session, midi, **fields, sampling=FREELY)
    assert off_lines(freely, begins + 1, 10**12, lines).mean() > 5
    assert len(set(freely.performance.notes["velocity"].tolist())) > 5


def test_a_gap_is_filled_in_the_grid_of_its_own_tempi(session: Session) -> None:
    midi = score()
    file = made(session, midi, between_seconds=(9.1, 16.3))
    assert off_lines(file, 9_100_000, 16_300_000).max() <= 0.5
    assert set(file.performance.notes["velocity"].tolist()) == {81}


def test_without_the_primer_bars_are_where_they_were(session: Session) -> None:
    midi = score()
    request = ContinueRequest(
        primer=midi, primer_name="score.mid", seed=3, to_seconds=29.5, include_primer=False
    )
    result = session.run(request)
    alone = parse_midi(result.midi, name="alone.mid")
    assert off_lines(alone, 0, 10**12).max() <= 0.5
    whole = made(session, midi, to_seconds=29.5)
    starts = whole.performance.notes["start_us"]
    new = starts[starts >= 29_500_000]
    # A bar is 4 quarters of 643,356 microseconds from the 20th quarter on.
    bar_us = 4 * 643_356
    bars_us = (29_500_000 - 20 * 612_245) // bar_us * bar_us + 20 * 612_245
    assert np.abs(alone.performance.notes["start_us"] + bars_us - new).max() < 1500
    assert result.begins_at_seconds == pytest.approx(29.5 - bars_us / 1e6, abs=0.001)


def test_without_the_primer_a_bar_that_is_over_is_no_silence(session: Session) -> None:
    track = Tracks()
    track.meta(0, 0x51, (500_000).to_bytes(3, "big"))
    for i in range(64):
        track.note(i * 240, i * 240 + 220, channel=0, pitch=50 + i % 20, velocity=80)
    request = ContinueRequest(
        primer=track.file(480), primer_name="score.mid", seed=3, include_primer=False
    )
    result = session.run(request)
    alone = parse_midi(result.midi, name="alone.mid")
    ticks = alone.note_ticks["start_tick"] / alone.tempo_map.ticks_per_quarter
    assert set((ticks % 0.5).tolist()) == {0.0}
    assert ticks.min() < 8.0
    assert result.begins_at_seconds == 0.0


def test_a_score_that_is_off_the_beat_throughout_has_a_grid_there(session: Session) -> None:
    file = made(session, score(offset=23), to_seconds=24.0)
    off = off_lines(file, 24_000_001, 10**12)
    assert np.abs(off - 23).max() <= 0.5


def test_later_tempi_of_the_file_are_not_those_of_the_new_music(session: Session) -> None:
    file = made(session, score(), to_seconds=9.0)
    assert off_lines(file, 9_000_001, 10**12).max() <= 0.5


def test_a_gap_at_the_beginning_is_in_the_grid_of_what_follows(session: Session) -> None:
    file = made(session, score(), between_seconds=(0.4, 8.0))
    assert off_lines(file, 400_000, 8_000_000).max() <= 0.5
    assert set(file.performance.notes["velocity"].tolist()) == {81}


def test_what_was_made_is_on_the_grid_again(session: Session) -> None:
    request = ContinueRequest(primer=score(lines=3), primer_name="score.mid", seed=3)
    first = session.run(request)
    second = session.run(ContinueRequest(primer=first.midi, primer_name="first.mid", seed=4))
    assert second.lines_per_quarter == 3
    num_old = parse_midi(score(lines=3), name="score.mid").performance.num_notes
    assert parse_midi(first.midi, name="first.mid").performance.num_notes == num_old + first.notes


@pytest.mark.parametrize("fields", [{}, {"between_seconds": (9.1, 16.3)}], ids=["end", "gap"])
def test_variations_in_a_grid_of_two_tempi_are_made_together(
    session: Session, fields: dict[str, object]
) -> None:
    length = LengthOption(amount=3, unit="seconds")
    wanted = [
        ContinueRequest(
            primer=score(), primer_name="score.mid", seed=3, index=index, length=length, **fields
        )
        for index in (1, 2)
    ]
    alone = [session.run(request).midi for request in wanted]
    session.announce(wanted)
    first = session.run(wanted[0]).midi
    assert session.is_made(wanted[1])
    assert [first, session.run(wanted[1]).midi] == alone


def test_it_is_stored_and_made_again(session: Session, tmp_path: Path) -> None:
    request = ContinueRequest(primer=score(), primer_name="score.mid", seed=3)
    first, second = session.run(request), session.run(request)
    assert first.midi == second.midi
    assert b'"keep_grid":true' in first.midi.replace(b" ", b"")
