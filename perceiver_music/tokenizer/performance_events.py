"""Notes to event ids and back: the events of Music Transformer and Perceiver AR on a 10 ms grid.

Encoding is note-seq's (`Performance` with 32 velocity bins and shifts of up to 100 steps over an
absolute grid of 100 steps a second), in whole-array operations. Times are rounded once, from the
start of the piece, so they do not drift. The format and where it differs from note-seq:
docs/tokenizer.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.performance import NoteArray, Performance, in_order, note_array
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer import vocabulary as v

Ids = npt.NDArray[np.uint16]
Steps = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

DEFAULT_VELOCITY: Final = 64
"""Velocity of a note that no VELOCITY came before; the encoder never leaves it open."""

_HALF_STEP: Final = v.MICROSECONDS_PER_STEP // 2
_VELOCITIES_PER_BIN: Final = 128 // v.NUM_VELOCITY_BINS
_BIN_OF_VELOCITY: Final[Steps] = (np.maximum(np.arange(128), 1) - 1) // _VELOCITIES_PER_BIN + 1
_ORDER_SPACING_US: Final = 100
_KEY_BITS: Final = 63
_VELOCITY_BITS: Final = v.NUM_VELOCITY_BINS.bit_length()
_ID_BITS: Final = (v.VOCABULARY_SIZE - 1).bit_length()


def encode(performance: Performance) -> Ids:
    """The ids of a performance, its pedal turned into longer notes first; no BOS, no EOS."""
    return encode_notes(apply_sustain(performance).notes)


def encode_notes(notes: NoteArray) -> Ids:
    """The ids of notes that are as long as they are heard.

    Args:
        notes: `NOTE_DTYPE`, in any order.
    """
    num_notes = len(notes)
    if num_notes == 0:
        return np.empty(0, dtype=np.uint16)
    notes = in_order(notes)
    pitch = np.ascontiguousarray(notes["pitch"])
    start_step, end_step = quantize(notes)
    end_step = ends_in_order_of_starts(end_step, pitch)

    # One sort key holds (step, note), and carries what is to be written: velocity bin and id.
    # Ends come before onsets within a step because a note that ends there started in an earlier
    # step, so stands earlier in the order of notes.
    note_bits = num_notes.bit_length()
    step_place = note_bits + _VELOCITY_BITS + _ID_BITS
    if int(end_step.max()).bit_length() + step_place > _KEY_BITS:
        raise ValueError("the notes are too many or too late to be encoded")
    note = np.arange(num_notes, dtype=np.int64) << (_VELOCITY_BITS + _ID_BITS)
    bins = velocity_bins(notes["velocity"])
    # Onsets come in the order of notes, so a change of velocity is a change between neighbours.
    told = bins * (np.diff(bins, prepend=0) != 0)
    keys = np.empty(2 * num_notes, dtype=np.int64)
    keys[:num_notes] = start_step << step_place | note | told << _ID_BITS | pitch + v.NOTE_ON
    keys[num_notes:] = end_step << step_place | note | pitch + np.int64(v.NOTE_OFF)
    keys.sort()
    return assemble(
        np.diff(keys >> step_place, prepend=0),
        keys >> _ID_BITS & ((1 << _VELOCITY_BITS) - 1),
        keys & ((1 << _ID_BITS) - 1),
    )


def assemble(shift_steps: Steps, velocity_bin: Steps, event_ids: Indices) -> Ids:
    """Lay out, for each note event, its time shifts, its velocity (0: none), then itself."""
    num_shifts = (shift_steps + (v.MAX_SHIFT_STEPS - 1)) // v.MAX_SHIFT_STEPS
    has_velocity = velocity_bin > 0
    event_at = np.cumsum(num_shifts + has_velocity + 1) - 1
    last_shift = shift_steps - v.MAX_SHIFT_STEPS * (num_shifts - 1)
    # All that is not overwritten below is a shift of full length.
    ids = np.full(int(event_at[-1]) + 1, v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1, dtype=np.uint16)
    # Without masks, which cost more than they save: the velocity and the shift of an event that
    # has none fall on places that are written later, at the latest by the event before it (for
    # the first event, which has both or is at step 0, by the last: index -1).
    ids[event_at - 1] = velocity_bin + (v.VELOCITY - 1)
    ids[event_at - has_velocity - 1] = last_shift + (v.TIME_SHIFT - 1)
    ids[event_at] = event_ids
    return ids


def shift_ids(num_steps: int) -> Ids:
    """TIME_SHIFTs over so many steps, 0 or more."""
    whole, rest = divmod(num_steps, v.MAX_SHIFT_STEPS)
    longest = v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1
    return np.array([longest] * whole + [v.TIME_SHIFT - 1 + rest] * (rest > 0), dtype=np.uint16)


def lay_out(event_ids: Indices, event_step: Steps, first_step: int, last_step: int) -> Ids:
    """Events that are no TIME_SHIFTs, at their steps, with the shifts from first to last step."""
    if not len(event_ids):
        return shift_ids(last_step - first_step)
    no_velocity = np.zeros(len(event_ids), dtype=np.int64)
    ids = assemble(np.diff(event_step, prepend=first_step), no_velocity, event_ids)
    return np.concatenate((ids, shift_ids(last_step - int(event_step[-1]))))


def quantize(notes: NoteArray) -> tuple[Steps, Steps]:
    """Start and end steps of notes: the nearest, halves up, and at least one step long."""
    start_step = (notes["start_us"] + _HALF_STEP) // v.MICROSECONDS_PER_STEP
    end_step = (notes["end_us"] + _HALF_STEP) // v.MICROSECONDS_PER_STEP
    return start_step, np.maximum(end_step, start_step + 1)


def velocity_bins(velocity: npt.NDArray[np.uint8]) -> Steps:
    """The bin, 1 to 32, of each velocity; 0, which a note cannot have in MIDI, counts as 1."""
    return _BIN_OF_VELOCITY[velocity]


def ends_in_order_of_starts(end_step: Steps, pitch: npt.NDArray[np.uint8]) -> Steps:
    """Give the ends of notes of one pitch that overlap to these notes in the order of starts.

    A NOTE_OFF does not say which of two sounding notes of its pitch it ends. It is read as the
    first; to be read back as written it must be written so.
    """
    by_pitch = np.argsort(pitch, kind="stable")
    ends, pitches = end_step[by_pitch], pitch[by_pitch]
    if not bool(((ends[1:] < ends[:-1]) & (pitches[1:] == pitches[:-1])).any()):
        return end_step
    in_order = np.empty_like(end_step)
    in_order[by_pitch] = ends[np.lexsort((ends, pitches))]
    return in_order


def decode(ids: npt.ArrayLike) -> Performance:
    """The performance that ids describe, on the 10 ms grid and without pedal.

    Any sequence of ids has a meaning. Specials are passed over; a NOTE_OFF ends the note of its
    pitch that has sounded longest, or nothing; notes still sounding at the end of the ids end
    there; every note lasts at least one step. Onsets of one step are set a tenth of a millisecond
    apart where their order is not that of pitch (a microsecond, where they are too many), so that
    encoding again, from a MIDI file too, gives the same ids.

    Raises:
        InvalidInputError: something is not an id of the vocabulary.
    """
    checked = checked_ids(ids)
    step = steps_before(checked)
    is_on = checked < v.NOTE_OFF
    on_position = np.flatnonzero(is_on)
    pitch = checked[on_position] - v.NOTE_ON
    start_step = step[on_position]
    final_step = int(step[-1]) + int(_shift_steps(checked[-1:]).sum()) if len(checked) else 0

    end_step = np.full(len(on_position), final_step, dtype=np.int64)
    off_position = np.flatnonzero((checked >= v.NOTE_OFF) & (checked < v.TIME_SHIFT))
    ended, ending = first_in_first_out(
        pitch, on_position, checked[off_position] - v.NOTE_OFF, off_position
    )
    end_step[ended] = step[off_position[ending]]
    end_step = np.maximum(end_step, start_step + 1)

    start_us = start_step * v.MICROSECONDS_PER_STEP + _order_offsets_us(start_step, pitch)
    end_us = end_step * v.MICROSECONDS_PER_STEP
    return Performance(note_array(start_us, end_us, pitch, velocities(checked)[on_position]))


def checked_ids(ids: npt.ArrayLike, vocabulary: v.Vocabulary = v.MAESTRO) -> Indices:
    """The ids as an int64 array of one dimension.

    Raises:
        InvalidInputError: they are not whole numbers, or one is outside the vocabulary.
    """
    hint = f"Ids are whole numbers from 0 to {vocabulary.size - 1}, in one list."
    try:
        array = np.asarray(ids)
    except ValueError:
        raise InvalidInputError("the ids are not a flat list", hint=hint) from None
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise InvalidInputError("the ids are not a flat list of whole numbers", hint=hint)
    outside = np.flatnonzero((array < 0) | (array >= vocabulary.size))
    if len(outside):
        where = int(outside[0])
        message = f"{array[where]} at place {where} is not an id of the vocabulary"
        raise InvalidInputError(message, hint=hint)
    return array.astype(np.int64)


def _shift_steps(ids: Indices) -> Steps:
    is_shift = (ids >= v.TIME_SHIFT) & (ids < v.VELOCITY)
    return np.where(is_shift, ids - v.TIME_SHIFT + 1, 0)


def steps_before(ids: Indices) -> Steps:
    """The step at which each id takes effect; a shift belongs to the moment that it leaves."""
    shifts = _shift_steps(ids)
    return np.cumsum(shifts) - shifts


def id_seconds(ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The moment, in seconds from the start, at which each id takes effect.

    Raises:
        InvalidInputError: something is not an id of the vocabulary.
    """
    return steps_before(checked_ids(ids)) / v.STEPS_PER_SECOND


def velocities(ids: Indices, vocabulary: v.Vocabulary = v.MAESTRO) -> npt.NDArray[np.int64]:
    """The MIDI velocity in force at each id."""
    value = ids - v.VELOCITY + 1
    is_velocity = (value >= 1) & (value <= vocabulary.num_velocities)
    # Place 0 stands for the time before the first VELOCITY.
    told = [vocabulary.midi_velocity(int(each)) for each in range(1, vocabulary.num_velocities + 1)]
    values = np.append(DEFAULT_VELOCITY, np.array(told)[value[is_velocity] - 1])
    return values[np.cumsum(is_velocity)]


def first_in_first_out(
    on_pitch: Indices, on_position: Indices, off_pitch: Indices, off_position: Indices
) -> tuple[Indices, Indices]:
    """Pair each onset with the NOTE_OFF that ends it.

    Within a pitch the k-th NOTE_OFF that finds anything sounding ends the k-th onset. Which ones
    find something follows from a running count, as for brackets: a NOTE_OFF that takes the count
    below its lowest so far found silence.

    Returns:
        indices of onsets that are ended, and of the NOTE_OFFs that end them.
    """
    num_ons = len(on_pitch)
    pitch = np.concatenate((on_pitch, off_pitch))
    position = np.concatenate((on_position, off_position))
    # By position, then stably by pitch (a radix sort of bytes): linear in the number of ids.
    in_time = np.empty(len(position), dtype=np.int64)
    in_time[_ranks(position)] = np.arange(len(position))
    order = in_time[np.argsort(pitch[in_time].astype(np.uint8), kind="stable")]
    is_on = order < num_ons

    # Each pitch starts so far below the one before that their lowest counts never meet.
    floor = -pitch[order] * (len(order) + 1)
    first_of_pitch = np.flatnonzero(np.diff(pitch[order], prepend=-1))
    count = np.cumsum(np.where(is_on, 1, -1))
    count_before = count[first_of_pitch] - np.where(is_on[first_of_pitch], 1, -1)
    events_of_pitch = np.diff(np.append(first_of_pitch, len(order)))
    count = count - np.repeat(count_before, events_of_pitch) + floor
    lowest_before = np.minimum.accumulate(np.append(1, count)[:-1])
    finds_sound = ~is_on & (count >= np.minimum(lowest_before, floor))

    ons, offs = order[is_on], order[finds_sound]
    first_on = np.searchsorted(on_pitch[ons], np.arange(128))
    first_off = np.searchsorted(pitch[offs], np.arange(128))
    off_rank = np.arange(len(offs)) - first_off[pitch[offs]]
    return ons[first_on[pitch[offs]] + off_rank], offs - num_ons


def _ranks(position: Indices) -> Indices:
    """The rank of each of some distinct positions."""
    is_used = np.zeros(int(position.max()) + 1 if len(position) else 0, dtype=np.int64)
    is_used[position] = 1
    return np.cumsum(is_used)[position] - 1


def _order_offsets_us(start_step: Steps, pitch: Indices) -> Steps:
    """Microseconds that keep the onsets of each step in their order, also in a MIDI file's ticks.

    Equal times are read in order of pitch, so only a fall in pitch needs a later moment. A step
    reaches from half a step before its mark to just before half a step after it, from its mark on
    at step 0; the offsets start at the mark as long as there is room after it.
    """
    if not len(start_step):
        return start_step
    is_new_step = np.diff(start_step, prepend=-1) != 0
    falls = np.cumsum((np.diff(pitch, prepend=0) < 0) & ~is_new_step)
    first = np.flatnonzero(is_new_step)
    num_onsets = np.diff(np.append(first, len(start_step)))
    falls = falls - np.repeat(falls[first], num_onsets)
    most = np.repeat(np.maximum.reduceat(falls, first), num_onsets)
    latest = _HALF_STEP - 1
    earliest = np.where(start_step > 0, -_HALF_STEP, 0)
    close: Indices = np.clip(falls - np.maximum(most - latest, 0), earliest, latest)
    return np.where(most * _ORDER_SPACING_US <= latest, falls * _ORDER_SPACING_US, close)
