"""Pieces made together are those made alone, however many there are and whoever fails."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perceiver_music.errors import InvalidInputError
from perceiver_music.generation.options import LengthOption
from perceiver_music.jobs.company import MOST_TOGETHER, Company
from perceiver_music.jobs.continuation import ContinueRequest, Session, open_session
from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NOTE_DTYPE, Performance
from tests.jobs.untrained import untrained_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("checkpoints") / "random"
    return untrained_checkpoint(folder, std=0.2)


def requests(count: int, unit: str = "seconds") -> list[ContinueRequest]:
    length = LengthOption(amount=4, unit=unit)
    return [ContinueRequest(seed=3, index=index + 1, length=length) for index in range(count)]


def scale_midi(num_notes: int) -> bytes:
    notes = np.zeros(num_notes, dtype=NOTE_DTYPE)
    notes["start_us"] = np.arange(num_notes) * 250_000
    notes["end_us"] = notes["start_us"] + 200_000
    notes["pitch"] = 60 + np.arange(num_notes)
    notes["velocity"] = 70
    return performance_to_midi(Performance(notes=notes))


def as_it_is(request: ContinueRequest) -> Any:
    """In the place of a plan."""
    return request


def made(session: Session, wanted: list[ContinueRequest]) -> list[bytes]:
    return [session.run(request).midi for request in wanted]


@pytest.mark.parametrize("decoder", ["auto", "torch"])
def test_together_they_are_what_they_are_alone(checkpoint: str, decoder: str) -> None:
    wanted = requests(MOST_TOGETHER + 2)
    alone = made(open_session(checkpoint, device="cpu", decoder=decoder), wanted)
    session = open_session(checkpoint, device="cpu", decoder=decoder)
    session.announce(wanted)
    told = []
    first = session.run(wanted[0], told.append)
    assert told
    assert [first.midi, *made(session, wanted[1:])] == alone
    assert len(set(alone)) == len(alone)
    few = open_session(checkpoint, device="cpu", decoder=decoder)
    few.announce(wanted[4:7])
    assert made(few, wanted[4:7]) == alone[4:7]


def test_each_turn_goes_on_from_its_own_place() -> None:
    company = Company()
    first, *others = requests(MOST_TOGETHER + 3)
    # Twice the same, at the beginning and near the end.
    announced = [first, *others[:-2], first, *others[-2:]]
    company.announce(announced)
    assert company.after(first, as_it_is) == others[: MOST_TOGETHER - 1]
    assert company.after(first, as_it_is) == others[-2:]
    assert company.after(others[-2], as_it_is) == others[-1:]
    assert company.after(first, as_it_is) == [], "its turns are over"
    assert company.after(replace(first, seed=4), as_it_is) == [], "nobody has announced it"


def test_many_primers_go_together_and_a_bad_one_fails_in_its_turn(
    checkpoint: str, tmp_path: Path
) -> None:
    wanted = []
    for number in range(5):
        primer = tmp_path / f"{number}.mid"
        primer.write_bytes(b"no music" if number == 2 else scale_midi(number + 1))
        for index in (1, 2):
            wanted.append(
                ContinueRequest(
                    primer=primer,
                    primer_name=primer.name,
                    seed=3,
                    index=index,
                    length=LengthOption(amount=2 + number, unit="seconds"),
                )
            )
    good = [request for request in wanted if request.primer_name != "2.mid"]
    alone = made(open_session(checkpoint, device="cpu"), good)
    session = open_session(checkpoint, device="cpu")
    session.announce(wanted)
    together = []
    for request in wanted:
        if request in good:
            together.append(session.run(request).midi)
        else:
            with pytest.raises(InvalidInputError, match="not a MIDI file"):
                session.run(request)
    assert together == alone


def test_all_variations_of_a_primer_read_it_once(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    primer = tmp_path / "primer.mid"
    primer.write_bytes(scale_midi(5))
    wanted = [
        replace(request, primer=primer, primer_name="primer.mid")
        for request in requests(MOST_TOGETHER + 2)
    ]
    read: list[str] = []

    def parse(data: bytes, *, name: str) -> MidiFile:
        read.append(name)
        return parse_midi(data, name=name)

    with monkeypatch.context() as patch:
        patch.setattr("perceiver_music.jobs.continuation.parse_midi", parse)
        session = open_session(checkpoint, device="cpu")
    session.announce(wanted)
    made(session, wanted)
    assert read == ["primer.mid"]
    primer.write_bytes(scale_midi(6))
    made(session, wanted[:1])
    assert len(read) == 2, "it is another one now"


def test_a_primer_that_changes_meanwhile_is_the_one_that_was_read(
    checkpoint: str, tmp_path: Path
) -> None:
    primers = [tmp_path / name for name in ("a.mid", "b.mid")]
    for primer in primers:
        primer.write_bytes(scale_midi(3))
    wanted = [
        ContinueRequest(primer=primer, primer_name=primer.name, length=LengthOption(amount=9))
        for primer in primers
    ]
    expected = made(open_session(checkpoint, device="cpu"), wanted)
    session = open_session(checkpoint, device="cpu")
    session.announce(wanted)
    session.run(wanted[0])
    primers[1].write_bytes(scale_midi(8))
    assert session.run(wanted[1]).midi == expected[1]


def test_what_is_finished_survives_an_interruption(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [
        ContinueRequest(seed=3, index=index, length=LengthOption(amount=amount, unit="events"))
        for index, amount in ((1, 40), (2, 8), (3, 40), (4, 8))
    ]
    alone = made(open_session(checkpoint, device="cpu"), wanted)
    session = open_session(checkpoint, device="cpu")
    session.announce(wanted)
    advance_many = session.loaded.model.advance_many
    rounds = iter(range(20))

    def interrupted(states: object, tokens: object) -> None:
        if next(rounds, None) is None:
            raise KeyboardInterrupt
        advance_many(states, tokens)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(session.loaded.model, "advance_many", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.run(wanted[0])
    assert [session.is_made(request) for request in wanted] == [False, True, False, True]
    assert made(session, wanted) == alone
    assert not any(session.is_made(request) for request in wanted)
