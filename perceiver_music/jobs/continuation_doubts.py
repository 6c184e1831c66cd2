"""What the user should know about a request that is met otherwise than it may have been meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from perceiver_music.jobs.continuation_request import ContinueRequest, ContinueResult
from perceiver_music.jobs.progress import WarningCallback
from perceiver_music.jobs.repetition import warn_of_circles
from perceiver_music.music.moments import counted

if TYPE_CHECKING:
    from perceiver_music.generation.limits import Limits
    from perceiver_music.generation.primer import Opening, Window

SHORTEST_ENDING: Final = {"steps": 1_000, "events": 400, "notes": 100}
"""New music that is shorter has no time to lead up to an end: some ten seconds in each unit."""
HARDLY_SECONDS: Final = 0.05
"""A moment that is said to a tenth of a second lies hardly beyond one so near."""
_LONG_SECONDS = 3_600
_FEWEST_SECONDS = 5
"""A shorter primer has no density of its own."""
_USUAL_EVENTS_PER_SECOND = 40
"""Of recordings, where there is no primer that has one."""


def warn_of_short_primer(
    request: ContinueRequest, end_seconds: float, warn: WarningCallback
) -> None:
    """Where more of the primer was asked for than there is."""
    name, to, last = request.primer_name, request.to_seconds, request.last_seconds
    if to is not None and to > end_seconds + HARDLY_SECONDS:
        warn(
            f"{name}: ends at {end_seconds:.1f} s, before the {to:g} s of --to; new music begins "
            "at its end"
        )
    if last is not None and last > end_seconds + HARDLY_SECONDS:
        until = "" if to is None else " up to --to"
        warn(
            f"{name}: is {end_seconds:.1f} s long{until}, less than the {last:g} s of --last; all "
            "of it is used"
        )


def warn_of_silence(request: ContinueRequest, window: Window, warn: WarningCallback) -> None:
    """Where nothing of the primer is played in the window that was asked for."""
    from perceiver_music.music.performance import MICROSECONDS

    begin, end = window.from_us / MICROSECONDS, window.to_us / MICROSECONDS
    where = f"from {begin:g} s to {end:g} s" if begin else f"before {end:g} s"
    warn(f"{request.primer_name}: no notes {where}; it begins from nothing")


def warn_of_short_ending(request: ContinueRequest, limits: Limits, warn: WarningCallback) -> None:
    """Where an end is wanted and there is no time to lead up to it."""
    totals = limits.totals() if request.ending else {}
    if any(total < SHORTEST_ENDING[unit] for unit, total in totals.items()):
        seconds, notes = SHORTEST_ENDING["steps"] // 100, SHORTEST_ENDING["notes"]
        warn(
            f"so short a --length leaves no time to prepare an ending; give {seconds}s, "
            f"{notes}notes or more"
        )


def warn_of_many_events(
    request: ContinueRequest, opening: Opening, limits: Limits, warn: WarningCallback
) -> None:
    """Where so many events are asked for that they are hours of music."""
    if limits.num_events is None:
        return
    own_rate = _events_per_second(opening)
    seconds = limits.num_events / (own_rate or _USUAL_EVENTS_PER_SECOND)
    if seconds >= _LONG_SECONDS:
        name = f"{request.primer_name}: " if request.primer_name else ""
        pace = "" if own_rate is None else ", as dense as the primer's end is"
        hours = counted(round(seconds / 3_600), "hour")
        warn(f"{name}a --length of {limits.num_events:,} events is about {hours} of music{pace}")


def _events_per_second(opening: Opening) -> float | None:
    """Density of the last minute of an opening; None of one that is too short to have any."""
    from perceiver_music.generation.pace import PRIMER_SECONDS
    from perceiver_music.tokenizer import vocabulary as v

    num_events = num_steps = 0
    for token in reversed(opening.before):
        if v.TIME_SHIFT <= token < v.TIME_SHIFT + v.MAX_SHIFT_STEPS:
            num_steps += token - v.TIME_SHIFT + 1
        if num_steps > PRIMER_SECONDS * v.STEPS_PER_SECOND:
            break
        num_events += token < opening.vocabulary.num_event_ids
    seconds = num_steps / v.STEPS_PER_SECOND
    return num_events / seconds if opening.has_notes and seconds >= _FEWEST_SECONDS else None


def warn_of_result(request: ContinueRequest, result: ContinueResult, warn: WarningCallback) -> None:
    """Where there is none, it goes round in circles, or an end was wanted and none was found."""
    warn_of_circles(result, warn)
    if not result.notes:
        name = result.output or result.primer or "the new music"
        warn(f"{name}: no key is struck in so little time; give a longer --length")
    if request.ending and result.ended == "length":
        name = result.output or result.primer or "the new music"
        warn(
            f"{name}: no ending was found, so it breaks off where --length is reached; give a "
            "longer --length or another --seed"
        )
