"""A conversation on a simulated clock: who plays when, and that nothing goes on sounding."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import ModuleType

import mido
import numpy as np
import pytest

from perceiver_music.live.clock import FreeClock, SystemClock
from perceiver_music.live.duet import Duet, DuetOptions, Turn
from perceiver_music.live.keyboard import Cue, FilePlayer
from perceiver_music.live.ports import PortGone, open_output
from perceiver_music.live.stage import TICK_SECONDS, perform, rehearse
from perceiver_music.music.performance import NOTE_DTYPE, Performance
from perceiver_music.tokenizer.event_reader import Event
from tests.live.duet_room import FLOODS, MOST_GROWN_BYTES, PRESS, RELEASE, Room, scale


def test_it_answers_a_pause_at_once_and_to_its_end(backend: ModuleType) -> None:
    room = Room(backend, pause_seconds=1.0)
    room.wait(5.0)
    assert room.turns == []  # nobody has played
    room.key(40)
    room.key(43)
    room.wait(0.9)
    assert room.asked == []
    room.wait(0.2)
    [turn] = room.asked
    assert turn.performance.notes["pitch"].tolist() == [40, 43]
    assert (turn.from_us, turn.performance.notes["start_us"][0]) == (0, 0)
    assert turn.at_us == pytest.approx(1_220_000, abs=30_000)
    assert room.onsets() == [60]  # without the rest that the answer began with
    room.wait(6.0)
    assert room.onsets() == list(range(60, 70))
    assert room.turns == ["answering", "listening"]
    assert room.is_silent()
    room.wait(60.0)
    assert len(room.asked) == 1  # nothing new was played


def test_it_stops_when_the_player_plays_and_remembers_what_was_heard(backend: ModuleType) -> None:
    room = Room(backend, pause_seconds=0.5)
    room.key(40)
    room.wait(1.8)
    assert room.onsets() == [60, 61, 62]
    room.key(41)
    assert room.is_silent()
    assert room.turns == ["answering", "listening"]
    room.wait(1.0)
    first, second = room.asked
    assert first.number + 1 == second.number == 2
    assert sorted(second.performance.notes["pitch"].tolist()) == [40, 41, 60, 61, 62]
    assert (second.performance.notes["end_us"] <= second.at_us).all()
    assert not room.duet.give(first, next(scale(first)))  # nobody wants that one any more


def test_held_keys_make_a_pause_longer_but_not_endless(backend: ModuleType) -> None:
    room = Room(backend, pause_seconds=1.0)
    backend.arriving.append([PRESS, 40, 70])
    room.wait(2.8)
    assert room.asked == []
    room.wait(0.4)
    assert len(room.asked) == 1
    assert room.asked[0].held == {40}


def test_an_answer_ended_before_its_first_note_is_none(backend: ModuleType) -> None:
    room = Room(backend, pause_seconds=None, cue=Cue("control", 67))
    room.key(40)
    press, release = [0xB0, 67, 127], [0xB0, 67, 0]
    backend.arriving += [press, release, press, release]
    room.wait(1.0)
    assert room.duet.num_answers == 0
    backend.arriving += [press, release]
    room.wait(1.0)
    assert room.duet.num_answers == 1
    backend.arriving += [press, release]
    room.wait(0.1)
    assert room.duet.num_answers == 1
    assert room.is_silent()


@pytest.mark.parametrize(
    ("cue", "press", "release"),
    [
        (Cue("control", 67), [0xB0, 67, 127], [0xB0, 67, 0]),
        (Cue("key", 21), [PRESS, 21, 60], [RELEASE, 21, 0]),
    ],
)
def test_a_cue_hands_over_and_takes_back(
    backend: ModuleType, cue: Cue, press: list[int], release: list[int]
) -> None:
    room = Room(backend, pause_seconds=None, cue=cue)
    backend.arriving += [press, release]
    room.wait(0.1)
    assert room.asked == []  # there is nothing to answer yet
    room.key(40)
    room.wait(20.0)
    assert room.asked == []
    backend.arriving += [press, release]
    room.wait(0.7)
    assert room.onsets() == [60, 61]
    assert room.asked[0].performance.notes["pitch"].tolist() == [40]  # the cue is no music
    backend.arriving += [press, release]
    room.wait(0.5)
    assert room.is_silent()
    assert room.onsets() == [60, 61]


def test_what_is_played_goes_through(backend: ModuleType) -> None:
    room = Room(backend, pause_seconds=9.0, through=True)
    backend.arriving += [[PRESS, 40, 70], [0xB0, 64, 100]]
    room.wait(0.1)
    assert backend.sounding(backend.sent) == ({(1, 40)}, {1: 100})
    room.duet.silence(room.clock.now())
    assert room.is_silent()


@pytest.mark.parametrize("fails_after", [0, 1, 2, 5])
def test_an_output_that_goes_away_ends_it(backend: ModuleType, fails_after: int) -> None:
    room = Room(backend, pause_seconds=0.5)
    backend.state["fails_after"] = fails_after
    room.key(40)
    with pytest.raises(PortGone):
        room.wait(10.0)
    room.duet.silence(room.clock.now())
    assert not room.duet.machine.keys_down


def test_an_input_that_goes_away_leaves_nothing_sounding(backend: ModuleType) -> None:
    room = Room(backend, pause_seconds=0.5)
    room.key(40)
    room.wait(1.0)
    assert not room.is_silent()
    backend.arriving.append([])
    with pytest.raises(PortGone):
        room.wait(1.0)
    room.duet.silence(room.clock.now())
    assert room.is_silent()


def test_a_flood_grows_nothing_and_holds_nothing_up(backend: ModuleType) -> None:
    room = Room(backend, pause_seconds=1.0)
    backend.arriving.extend(FLOODS["of all kinds"]())
    assert room.bytes_grown(seconds=1.0) < MOST_GROWN_BYTES
    assert not backend.arriving
    assert room.duet.player.total_notes == 50_000
    room.wait(3.5)
    assert len(room.asked) == 1
    assert room.asked[0].from_us > 0  # the model is told of the latest notes alone
    room.duet.silence(room.clock.now())
    assert room.is_silent()


def file_player(clock: FreeClock | SystemClock) -> FilePlayer:
    rows = [(2_000_000, 2_100_000, 50, 64), (2_200_000, 2_300_000, 52, 64)]
    rows += [(6_000_000, 6_100_000, 53, 64)]
    return FilePlayer(Performance(np.array(rows, dtype=NOTE_DTYPE)), clock)


def test_a_file_plays_like_a_player_and_then_it_is_over(backend: ModuleType) -> None:
    clock = FreeClock()
    options = DuetOptions(pause_seconds=1.0, through=True)
    duet = Duet(file_player(clock), open_output("one"), options, now=0.0)
    rehearse(duet, scale, clock)
    assert duet.num_answers == 2
    starts = duet.player.notes(clock.now())["start_us"]
    assert np.abs(starts - [0, 200_000, 4_000_000]).max() <= 2 * TICK_SECONDS * 1e6
    # The first answer, begun a pause after the last release, is cut by the note at 4 s.
    machine = duet.machine.performance(clock.now()).notes
    assert machine["start_us"][0] == pytest.approx(1_300_000, abs=10_000)
    assert len(machine) == 6 + 10
    # The second comes a pause after the file's last release, as any other would.
    assert machine["start_us"][6] == pytest.approx(4_100_000 + 1_000_000, abs=10_000)
    assert backend.sounding(backend.sent) == (set(), {})


def test_a_key_that_several_parts_hold_comes_up_with_the_last_of_them(backend: ModuleType) -> None:
    rows = [(0, 4_000_000, 60, 50), (1_000_000, 2_000_000, 60, 60)]  # a voice over a held key
    rows += [(0, 1_000_000, 64, 30), (0, 3_000_000, 64, 70), (0, 0, 64, 0)]  # struck together
    rows += [(0, 1_000_000, 67, 40), (1_000_000, 2_000_000, 67, 41), (2_000_000, 2_000_000, 67, 42)]
    clock = FreeClock()
    notes = np.array(rows, dtype=NOTE_DTYPE)
    duet = Duet(
        FilePlayer(Performance(notes), clock),
        open_output("one"),
        DuetOptions(pause_seconds=9.0, through=True),
        now=0.0,
    )
    rehearse(duet, scale, clock)
    heard = duet.player.notes(clock.now())
    assert heard[["pitch", "velocity"]].tolist() == [
        (60, 50), (64, 70), (67, 40), (60, 60), (67, 41), (67, 42)
    ]  # fmt: skip
    starts, ends = [0, 0, 0, 1, 1, 2], [1, 3, 1, 4, 2, 2]
    for column, seconds in (("start_us", starts), ("end_us", ends)):
        assert np.abs(heard[column] - np.array(seconds) * 1e6).max() <= 2 * TICK_SECONDS * 1e6
    assert backend.sounding(backend.sent) == (set(), {})


def test_pedals_of_a_file_are_cues_are_kept_and_are_passed_on(backend: ModuleType) -> None:
    clock = FreeClock()
    rows = [(2_000_000, 2_500_000, 50, 64), (9_000_000, 9_500_000, 52, 64)]
    moves = [(2_200_000, 66, 127), (2_400_000, 66, 0), (4_000_000, 67, 127), (4_500_000, 67, 0)]
    moves += [(9_200_000, 66, 100), (9_200_000, 91, 40)]
    controls = np.array(moves, dtype=[("time_us", "<i8"), ("number", "u1"), ("value", "u1")])
    player = FilePlayer(Performance(np.array(rows, dtype=NOTE_DTYPE)), clock, controls)
    options = DuetOptions(pause_seconds=None, cue=Cue("control", 67), through=True)
    duet = Duet(player, open_output("one"), options, now=0.0)
    rehearse(duet, scale, clock)
    assert duet.num_answers == 1  # none that nobody asked for, at the file's end either
    answer = duet.machine.notes(clock.now())
    assert answer["start_us"][0] == pytest.approx(2_000_000, abs=20_000)
    kept = [(number, value) for _, number, value in duet.player.other_moves(clock.now())]
    assert kept == [(66, 127), (66, 0), (66, 100), (66, 0)]  # the cue is no music
    duet.silence(clock.now())
    passed = [(m.control, m.value) for m in backend.sent if m.type == "control_change"]
    assert [move for move in passed if move[0] != 123] == kept


def test_pedals_before_the_first_note_stand_when_it_comes(backend: ModuleType) -> None:
    room = Room(backend, pause_seconds=9.0)
    backend.arriving += [[0xB0, 64, 100], [0xB0, 67, 90]]
    room.wait(5.0)
    room.key(40)
    now = room.clock.now()
    moves = room.duet.player.moves(now).tolist()
    assert moves[0] == (0, 100)
    assert [value for _, value in moves] == [100, 0]
    assert moves[1][0] == pytest.approx(110_000, abs=20_000)
    assert room.duet.player.other_moves(now)[0] == (0, 67, 90)


def test_in_two_threads_it_ends_the_same_way_whatever_ends_it(backend: ModuleType) -> None:
    """In real time, but for a moment only: the first event of the answer breaks it off."""

    def interrupted(turn: Turn) -> Iterator[Event]:
        events = scale(turn)
        for event in events:
            yield event
            if event.name == "NOTE_ON":
                break
        while not any(m.type == "note_on" and m.channel == 0 for m in backend.sent):
            threading.Event().wait(0.001)
        raise KeyboardInterrupt

    clock = SystemClock()
    row = np.array([(0, 10_000, 50, 64)], dtype=NOTE_DTYPE)
    player = FilePlayer(Performance(row), clock)
    options = DuetOptions(pause_seconds=0.1, through=True)
    duet = Duet(player, open_output("one"), options, now=clock.now())
    with pytest.raises(KeyboardInterrupt):
        perform(duet, interrupted, clock)
    assert threading.active_count() == 1
    assert {m.channel for m in backend.sent if m.type == "note_on"} == {0, 1}
    assert backend.sounding(backend.sent) == (set(), {})


def test_drums_and_other_messages_are_no_music(backend: ModuleType) -> None:
    room = Room(backend)
    backend.arriving += [[0x99, 40, 70], [0xE0, 1, 2], [0xC0, 5], [0xD0, 9], [0xF8]]
    room.wait(3.0)
    assert room.asked == []
    assert mido.Message("clock").type == "clock"
