"""How long new music is to be, in events, notes or steps of time."""

from __future__ import annotations

from perceiver_music.errors import UsageError
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import LengthOption
from perceiver_music.music.midi_file import MidiFile
from perceiver_music.tokenizer.vocabulary import STEPS_PER_SECOND

_FOUR_QUARTERS = bytes((4, 2))


def limits_of(
    length: LengthOption, *, is_ending_allowed: bool, primer: MidiFile | None, seam_us: int
) -> Limits:
    """The limits that a length sets.

    Args:
        length: as the user said it.
        is_ending_allowed: whether the piece is to end by itself, which is sooner.
        primer: says how long a bar is; None when there is none.
        seam_us: where in the primer the new music begins.

    Raises:
        UsageError: the length is in bars, and the primer does not say how long they are.
    """
    amount, unit = length.amount, length.unit
    if unit == "events":
        return Limits(num_events=int(amount), is_ending_allowed=is_ending_allowed)
    if unit == "notes":
        return Limits(num_notes=int(amount), is_ending_allowed=is_ending_allowed)
    seconds = amount if unit == "seconds" else amount * bar_seconds(primer, seam_us)
    end_step = max(1, round(seconds * STEPS_PER_SECOND))
    return Limits(end_step=end_step, is_ending_allowed=is_ending_allowed)


def bar_seconds(primer: MidiFile | None, at_us: int) -> float:
    """Length of a bar at a moment of a file, by its meter and tempo there.

    A file that names tempi and no meter is in four quarters, as MIDI says.

    Raises:
        UsageError: the file names neither, so a bar of it would be made up.
    """
    meter = None
    if primer is not None:
        named = primer.meter_at(at_us)
        if named is not None:
            meter = named.data
        elif primer.tempo_map.is_told:
            meter = _FOUR_QUARTERS
    if primer is None or meter is None or meter[0] == 0:
        raise UsageError(
            "nothing names a meter, so a bar has no length",
            hint="Give --length in seconds, notes or events.",
        )
    numerator, power_of_two = meter[0], meter[1]
    quarters = numerator * 4 / 2**power_of_two
    return float(quarters * primer.tempo_map.quarter_at(at_us) / 1e6)
