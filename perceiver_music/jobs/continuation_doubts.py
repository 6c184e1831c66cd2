"""What the user should know about a request that is met otherwise than it may have been meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from perceiver_music.jobs.continuation_request import ContinueRequest, ContinueResult
from perceiver_music.jobs.progress import WarningCallback
from perceiver_music.jobs.repetition import warn_of_circles

if TYPE_CHECKING:
    from perceiver_music.generation.limits import Limits

SHORTEST_ENDING: Final = {"steps": 1_000, "events": 400, "notes": 100}
"""New music that is shorter has no time to lead up to an end: some ten seconds in each unit."""
_HARDLY_SECONDS = 0.001


def warn_of_short_primer(
    request: ContinueRequest, end_seconds: float, warn: WarningCallback
) -> None:
    """Where more of the primer was asked for than there is."""
    name, to, last = request.primer_name, request.to_seconds, request.last_seconds
    if to is not None and to > end_seconds + _HARDLY_SECONDS:
        warn(
            f"{name}: ends at {end_seconds:.1f} s, before the {to:g} s of --to; new music begins "
            "at its end"
        )
    if last is not None and last > end_seconds + _HARDLY_SECONDS:
        until = "" if to is None else " up to --to"
        warn(
            f"{name}: is {end_seconds:.1f} s long{until}, less than the {last:g} s of --last; all "
            "of it is used"
        )


def warn_of_short_ending(request: ContinueRequest, limits: Limits, warn: WarningCallback) -> None:
    """Where an end is wanted and there is no time to lead up to it."""
    totals = limits.totals() if request.ending else {}
    if any(total < SHORTEST_ENDING[unit] for unit, total in totals.items()):
        seconds, notes = SHORTEST_ENDING["steps"] // 100, SHORTEST_ENDING["notes"]
        warn(
            f"so short a --length leaves no time to prepare an ending; give {seconds}s, "
            f"{notes}notes or more"
        )


def warn_of_result(request: ContinueRequest, result: ContinueResult, warn: WarningCallback) -> None:
    """Where the new music goes round in circles, or an end was wanted and none was found."""
    warn_of_circles(result, warn)
    if request.ending and result.ended == "length":
        name = result.output or result.primer or "the new music"
        warn(
            f"{name}: no ending was found, so it breaks off where --length is reached; give a "
            "longer --length or another --seed"
        )
