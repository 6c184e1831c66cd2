"""What comes back is in the file as it was played before, and the result says where."""

from collections.abc import Iterator

import numpy as np
import pytest

from perceiver_music.generation import returning
from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.jobs.continuation import (
    ContinueRequest,
    ContinueResult,
    Session,
    open_session,
)
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import MICROSECONDS, NoteArray, Performance, note_array
from tests.jobs.untrained import untrained_checkpoint

PRIMER_SECONDS = 64
HEARD_US = 4 * MICROSECONDS


def primer_midi() -> bytes:
    """A phrase of eight seconds and other ones, each of which ends with a long note."""
    rows = []
    for phrase in range(PRIMER_SECONDS // 8):
        for number in range(14):
            start = (8 * phrase + 0.47 * number) * MICROSECONDS
            length = (1.6 if number == 13 else 0.4) * MICROSECONDS
            pitch = 55 + (5 * phrase + 7 * number + number**2) % 24
            rows.append((round(start), round(start + length), pitch, 60 + 4 * (number % 5)))
    return performance_to_midi(Performance(notes=note_array(*zip(*rows, strict=True))))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """An untrained model: its taste is random, everything else must hold."""
    folder = tmp_path_factory.mktemp("checkpoints") / "random"
    return open_session(untrained_checkpoint(folder, std=0.0), device="cpu", decoder="torch")


def request(seed: int, **sampling: object) -> ContinueRequest:
    return ContinueRequest(
        primer=primer_midi(),
        primer_name="phrases.mid",
        seed=seed,
        length=LengthOption(amount=45, unit="seconds"),
        sampling=SamplingOptions(**sampling),  # type: ignore[arg-type]
    )


def heard(notes: NoteArray, seconds: float) -> list[list[int]]:
    """What begins in the four seconds from a moment on: begin and end in 10 ms, pitch, velocity."""
    from_us = round(seconds * MICROSECONDS)
    is_there = (notes["start_us"] >= from_us) & (notes["start_us"] < from_us + HEARD_US)
    part = notes[is_there]
    begins, ends = (
        np.rint((part[column] - from_us) / 10_000).astype(int) for column in ("start_us", "end_us")
    )
    bins = (part["velocity"].astype(int) - 1) // 4
    return np.stack((begins, ends, part["pitch"], bins), axis=1).tolist()


@pytest.fixture(scope="module")
def results(session: Session) -> Iterator[list[ContinueResult]]:
    """Three that come back soon, most of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(returning, "MEAN_SECONDS", 5)
        yield [session.run(request(seed)) for seed in range(3)]


def test_what_comes_back_is_as_it_was(results: list[ContinueResult]) -> None:
    found = 0
    for result in results:
        notes = parse_midi(result.midi, name="made").performance.notes
        for back in result.as_json()["returns"]:
            assert back["at"] - back["from"] >= 40
            assert heard(notes, back["at"]) == heard(notes, back["from"])
            found += 1
    assert found >= 2


def test_nothing_else_changes_with_it(session: Session, results: list[ContinueResult]) -> None:
    returned = next(result for result in results if result.returns)
    plain = session.run(request(returned.seed, come_back=False))
    at_us = returned.returns[0][0] * MICROSECONDS
    before = [
        notes[notes["start_us"] < at_us][["start_us", "pitch", "velocity"]]
        for notes in (
            parse_midi(result.midi, name="made").performance.notes for result in (returned, plain)
        )
    ]
    np.testing.assert_array_equal(*before)
    assert plain.as_json()["returns"] == []
    assert returned.midi != plain.midi
