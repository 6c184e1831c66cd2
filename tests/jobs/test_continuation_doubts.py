"""What is said of a length that is hours of music."""

from __future__ import annotations

import numpy as np
import pytest

from perceiver_music.generation.limits import Limits
from perceiver_music.generation.pedal_opening import opening_for
from perceiver_music.generation.primer import EMPTY_OPENING, Opening, Window
from perceiver_music.jobs.continuation_doubts import warn_of_many_events
from perceiver_music.jobs.continuation_request import ContinueRequest
from perceiver_music.music.performance import MICROSECONDS, NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.tokenizer.registry import get_tokenizer

TOKENIZERS = ("maestro-performance-400", "pedal-performance-623")


def _opening(starts: list[float], tokenizer: str) -> Opening:
    """Notes of one loudness that take half of the time from each to the next."""
    notes = np.zeros(len(starts) - 1, dtype=NOTE_DTYPE)
    moments = np.array(starts) * MICROSECONDS
    notes["start_us"], notes["end_us"] = moments[:-1], moments[:-1] + np.diff(moments) / 2
    notes["pitch"], notes["velocity"] = 60, 64
    music = Performance(notes, np.zeros(0, dtype=PEDAL_DTYPE))
    window = Window(from_us=0, to_us=int(moments[-1]))
    return opening_for(get_tokenizer(tokenizer), music, window)


def _told(num_events: int | None, opening: Opening, name: str = "p.mid") -> list[str]:
    told: list[str] = []
    request = ContinueRequest(primer_name=name)
    warn_of_many_events(request, opening, Limits(num_events=num_events), told.append)
    return told


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_hours_are_counted_at_the_density_of_the_primers_last_minute(tokenizer: str) -> None:
    # On, time, off, time: four events a second in the last minute, forty in the one before.
    starts = [*np.arange(0, 60, 0.1), *np.arange(60, 121, 1.0)]
    opening = _opening(starts, tokenizer)
    assert _told(4 * 3600 * 5, opening) == [
        "p.mid: a --length of 72,000 events is about 5 hours of music, as dense as the primer's "
        "end is"
    ]
    assert _told(4 * 3500, opening) == []
    assert _told(None, opening) == []


def test_without_a_density_it_is_that_of_recordings() -> None:
    short = _opening([0.0, 1.0, 2.0], TOKENIZERS[0])
    silent = Opening(tokens=(355,) * 20, sounding={}, velocity_bin=None)
    for opening in (EMPTY_OPENING, short, silent):
        [told] = _told(40 * 3600, opening, name="")
        assert told == "a --length of 144,000 events is about 1 hour of music"
        assert _told(40 * 3500, opening) == []
