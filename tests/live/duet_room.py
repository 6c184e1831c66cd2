"""A duet whose player is a test: on a simulated clock, with the ports of `memory_backend`."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator
from types import ModuleType

from perceiver_music.live.clock import FreeClock
from perceiver_music.live.duet import Duet, DuetOptions, Turn
from perceiver_music.live.ports import open_input, open_output
from perceiver_music.live.stage import TICK_SECONDS
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.event_reader import Event, EventReader

PRESS, RELEASE = 0x90, 0x80
MOST_GROWN_BYTES = 200_000
"""What a flood of 100,000 messages may leave behind."""

FLOODS: dict[str, Callable[[], list[list[int]]]] = {
    "of an exclusive message without an end": lambda: [[0xF0, 1, 2, 3]] + [[1, 2, 3]] * 99_999,
    "of keys": lambda: [[PRESS, 30 + i % 60, 1 + i % 100] for i in range(100_000)],
    "of a key and its release": lambda: [[PRESS, 60, 64], [RELEASE, 60, 0]] * 50_000,
    "of releases": lambda: [[RELEASE, i % 128, 0] for i in range(100_000)],
    "of pedal moves": lambda: [[0xB0, 64, i % 128] for i in range(100_000)],
    "of clocks": lambda: [[0xF8], [0xFE]] * 50_000,
    "of drums and bends": lambda: [[0x99, 40, 70], [0xE0, 1, 2]] * 50_000,
    "of all kinds": lambda: (
        [[PRESS, 30 + i % 60, 1 + i % 100] for i in range(50_000)]
        + [[0xB0, 64, i % 128] for i in range(25_000)]
        + [[0xFE]] * 15_000
        + [[0xF0, 1, 2, 3]]
        + [[1, 2, 3]] * 9_999
    ),
    "of exclusive messages": lambda: [[0xF0, 1, 2, 3, 0xF7]] * 100_000,
    "of exclusive messages without an end": lambda: [[0xF0, 1, 2, 3]] * 100_000,
    "of data without a status": lambda: [[1, 2, 3]] * 100_000,
    "of any bytes": lambda: [list(random.Random(i).randbytes(3)) for i in range(100_000)],
}
"""100,000 messages each, as the device sends them."""


def scale(turn: Turn, num_notes: int = 10) -> Iterator[Event]:
    """An answer: after half a second a rising scale of two notes a second, and its end."""
    reader = EventReader(v.MAESTRO)
    words = [("TIME_SHIFT", 50), ("VELOCITY", 16)]
    for i in range(num_notes):
        words += [("NOTE_ON", 60 + i), ("TIME_SHIFT", 50), ("NOTE_OFF", 60 + i)]
    for name, value in words:
        yield reader.read(v.token_id(name, value))


class Room:
    """A duet whose player is this test."""

    def __init__(self, backend: ModuleType, **options: object) -> None:
        self.backend, self.clock, self.turns = backend, FreeClock(), []
        self.duet = Duet(
            open_input("grand"),
            open_output("one"),
            DuetOptions(**options),  # type: ignore[arg-type]
            now=0.0,
            on_turn=self.turns.append,
        )
        self.asked: list[Turn] = []

    def wait(self, seconds: float) -> None:
        """Let time go by, answering as soon as it is asked for."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.duet.tick(self.clock.now())
            turn = self.duet.wanted()
            if turn is not None:
                self.asked.append(turn)
                for event in scale(turn):
                    self.duet.give(turn, event)
                self.duet.complete(turn)
            self.clock.sleep(TICK_SECONDS)

    def key(self, pitch: int, seconds: float = 0.1) -> None:
        """Strike a key and let it go."""
        self.backend.arriving.append([PRESS, pitch, 70])
        self.wait(seconds)
        self.backend.arriving.append([RELEASE, pitch, 0])
        self.wait(0.01)

    def bytes_grown(self, seconds: float) -> int:
        """How much more memory is held after some time, the flood itself not counted."""
        self.wait(0.01)  # whatever is kept from the first look on
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        self.wait(seconds)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return after - before

    def onsets(self) -> list[int]:
        return [m.note for m in self.backend.sent if m.type == "note_on"]

    def is_silent(self) -> bool:
        return self.backend.sounding(self.backend.sent) == (set(), {})
