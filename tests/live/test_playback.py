"""Events in time: when they are due, when they are late, and what is let go of at the end."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import ModuleType

import pytest

from perceiver_music.live.clock import FreeClock
from perceiver_music.live.hands import Hands
from perceiver_music.live.playback import Playback
from perceiver_music.live.port_stream import PortStream
from perceiver_music.live.ports import PortGone, open_output
from perceiver_music.live.tape import MAX_NOTES, SHORTEST_US, Tape
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.event_reader import Event, EventReader


def events(*words: tuple[str, int]) -> list[Event]:
    reader = EventReader(v.PEDAL)
    return [reader.read(v.PEDAL.token_id(name, value)) for name, value in words]


SCALE = events(
    ("TIME_SHIFT", 100),
    ("PEDAL", 90),
    ("TIME_SHIFT", 100),
    ("VELOCITY", 50),
    ("NOTE_ON", 60),
    ("TIME_SHIFT", 50),
    ("NOTE_OFF", 60),
    ("NOTE_ON", 62),
    ("TIME_SHIFT", 100),
    ("NOTE_OFF", 62),
)


def played(playback: Playback, tape: Tape, clock: FreeClock) -> list[tuple[float, int]]:
    """Onsets as (seconds, pitch) after all has been played, a look every millisecond."""
    while not playback.is_over:
        playback.pump(clock.now())
        clock.sleep(0.001)
    return [(round(int(n["start_us"]) / 1e6, 2), int(n["pitch"])) for n in tape.notes(clock.now())]


def test_it_begins_with_the_first_note_and_keeps_time(backend: ModuleType) -> None:
    clock, tape = FreeClock(), Tape(0.0)
    playback = Playback(Hands(open_output("one"), tape=tape))
    for event in SCALE:
        playback.add(event)
    playback.complete()
    assert played(playback, tape, clock) == [(0.0, 60), (0.5, 62)]
    assert [m.type for m in backend.sent][:2] == ["control_change", "note_on"]
    assert backend.sent[1].velocity == 50


def test_music_that_is_late_waits_and_does_not_rush() -> None:
    clock, tape = FreeClock(), Tape(0.0)
    playback = Playback(Hands(None, tape=tape))
    for event in SCALE[:5]:
        playback.add(event)
    playback.pump(clock.now())
    clock.sleep(2.0)
    for event in SCALE[5:]:
        playback.add(event)
    playback.complete()
    assert played(playback, tape, clock) == [(0.0, 60), (2.0, 62)]
    assert clock.now() == pytest.approx(3.0, abs=0.01)


def test_silence_lets_go_of_keys_and_pedal(backend: ModuleType) -> None:
    hands = Hands(open_output("one"), channel=3)
    for pitch in (60, 64, 60):
        hands.press(pitch, 80, 0.0)
    hands.move_pedal(100, 0.0)
    assert backend.sounding(backend.sent) == ({(3, 60), (3, 64)}, {3: 100})
    hands.silence(1.0)
    assert backend.sounding(backend.sent) == (set(), {})


@pytest.mark.parametrize("fails_after", range(8))
def test_a_message_that_is_refused_once_leaves_nothing_sounding(
    backend: ModuleType, fails_after: int
) -> None:
    hands = Hands(open_output("one"))
    backend.state["fails_after"] = fails_after
    with suppress(PortGone):
        hands.move_pedal(100, 0.0)
        hands.press(60, 80, 0.0)
        hands.press(60, 80, 0.0)
        hands.release(60, 0.0)
        hands.move_pedal(0, 0.0)
    if backend.state["fails_after"] < 6:
        hands.silence(0.5)
    backend.state["fails_after"] = -1
    hands.silence(1.0)
    assert backend.sounding(backend.sent) == (set(), {})


def test_a_stream_plays_all_and_closes_the_port(backend: ModuleType) -> None:
    with PortStream(open_output("one"), clock=FreeClock()) as stream:
        for event in SCALE:
            stream.add(event)
        stream.finish()
    onsets = [m.note for m in backend.sent if m.type == "note_on"]
    assert onsets == [60, 62]
    assert backend.sounding(backend.sent) == (set(), {})
    assert backend.state["is_open"] == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_a_stream_that_is_broken_off_leaves_nothing_sounding(
    backend: ModuleType, error: type[BaseException]
) -> None:
    def broken_off() -> None:
        with PortStream(open_output("one"), clock=FreeClock()) as stream:
            for event in SCALE[:8]:
                stream.add(event)
            while not any(m.type == "note_on" and m.note == 62 for m in backend.sent):
                threading.Event().wait(0.001)
            raise error

    with pytest.raises(error):
        broken_off()
    assert backend.sounding(backend.sent) == (set(), {})
    assert threading.active_count() == 1


def test_a_stream_whose_port_goes_away_says_so(backend: ModuleType) -> None:
    backend.state["fails_after"] = 2

    def cut_short() -> None:
        with PortStream(open_output("one"), clock=FreeClock()) as stream:
            for event in SCALE:
                stream.add(event)
            stream.finish()

    with pytest.raises(PortGone):
        cut_short()
    assert threading.active_count() == 1


def test_a_tape_forgets_its_older_half_and_never_grows() -> None:
    tape = Tape(0.0)
    size = tape._notes.nbytes
    for i in range(MAX_NOTES + 5):
        tape.press(i % 128, 64, i / 100)
        tape.release(i % 128, i / 100 + 0.005)
    tape.press(7, 64, MAX_NOTES)
    assert (tape.total_notes, len(tape.notes(0.0))) == (MAX_NOTES + 6, MAX_NOTES // 2 + 6)
    assert tape.has_forgotten
    assert tape._notes.nbytes == size
    last = tape.notes(MAX_NOTES + 1.0)[-1]
    assert (last["pitch"], last["end_us"] - last["start_us"]) == (7, 1_000_000)


def test_a_key_let_go_at_once_has_sounded() -> None:
    tape = Tape(0.0)
    tape.press(60, 64, 1.0)
    tape.release(60, 1.0)
    notes = tape.notes(1.0)
    assert (notes["start_us"][0], notes["end_us"][0]) == (1_000_000, 1_000_000 + SHORTEST_US)
