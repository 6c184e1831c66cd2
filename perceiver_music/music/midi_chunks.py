"""The outer shell of a Standard MIDI File: RIFF wrapper, header, and where the tracks lie."""

from __future__ import annotations

from dataclasses import dataclass

from perceiver_music.errors import InvalidInputError

MAX_TRACKS = 10_000
"""Each is copied as a list of its own; real files have a hundred at most."""

MIDI_SUFFIXES = (".mid", ".midi", ".smf", ".kar", ".rmi")
"""By which the files of a folder are known; one that is named outright may be called anything."""

MAX_FILE_BYTES = 8 << 20
"""Six hours of the densest piano playing take about 3 MB."""

_EXPORT_HINT = "Check that this is a MIDI file (.mid); export it again if it is."

_SMPTE_QUARTERS = {24: 500_000, 25: 480_000, 29: 400_400, 30: 400_000}
"""Microseconds in 12 frames; -29 is 30000/1001 frames a second."""
_SMPTE_FRAMES_A_QUARTER = 12


@dataclass(frozen=True, kw_only=True)
class MidiChunks:
    """What the chunks of a file say.

    Attributes:
        midi_format: 0, 1 or 2.
        ticks_per_quarter: resolution. For an SMPTE division, 12 frames count as a quarter note.
        fixed_us_per_quarter: the tempo of an SMPTE division, which tempo events do not change;
            None when they do.
        tracks: first byte and end of the content of each track.
        warnings: what looked odd, one sentence each.
    """

    midi_format: int
    ticks_per_quarter: int
    fixed_us_per_quarter: int | None
    tracks: tuple[tuple[int, int], ...]
    warnings: tuple[str, ...]


def split_chunks(data: bytes, *, name: str) -> MidiChunks:
    """Find header and tracks; no event is looked at.

    Raises:
        InvalidInputError: not a MIDI file, a format that MIDI has not, or a division of zero.
    """
    if data[:4] != b"MThd" and data[8:12] != b"RMID":
        raise InvalidInputError("not a MIDI file", path=name, hint=_EXPORT_HINT)
    if len(data) > MAX_FILE_BYTES:
        raise InvalidInputError(
            f"larger than {MAX_FILE_BYTES >> 20} MiB, which no piano performance needs",
            path=name,
            hint="Split the file.",
        )
    position, end = _unwrap_riff(data, name)
    if data[position : position + 4] != b"MThd":
        raise InvalidInputError("not a MIDI file", path=name, hint=_EXPORT_HINT)
    header = data[position + 8 : position + 14]
    length = int.from_bytes(data[position + 4 : position + 8], "big")
    if len(header) < 6 or not 6 <= length <= end - position - 8:
        raise InvalidInputError("the MIDI header is cut off", path=name, hint=_EXPORT_HINT)
    midi_format = int.from_bytes(header[:2], "big")
    if midi_format > 2:
        raise InvalidInputError(
            f"MIDI format {midi_format} does not exist", path=name, hint=_EXPORT_HINT
        )
    ticks_per_quarter, fixed_tempo = _division(int.from_bytes(header[4:], "big"), name)
    warnings: list[str] = []
    tracks = _find_tracks(data, position + 8 + length, end, warnings)
    if len(tracks) > MAX_TRACKS:
        raise InvalidInputError(
            f"has {len(tracks):,} tracks", path=name, hint=f"Up to {MAX_TRACKS:,} are read."
        )
    if len(tracks) != int.from_bytes(header[2:4], "big"):
        warnings.append(
            f"the header promises {int.from_bytes(header[2:4], 'big')} tracks, "
            f"the file has {len(tracks)}"
        )
    return MidiChunks(
        midi_format=midi_format,
        ticks_per_quarter=ticks_per_quarter,
        fixed_us_per_quarter=fixed_tempo,
        tracks=tuple(tracks),
        warnings=tuple(warnings),
    )


def _unwrap_riff(data: bytes, name: str) -> tuple[int, int]:
    """Where the MIDI file lies in the data: all of it, unless it is an RMID file."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return 0, len(data)
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        start = position + 8
        if data[position : position + 4] == b"data":
            return start, min(start + size, len(data))
        position = start + size + size % 2
    raise InvalidInputError("an RMID file without MIDI data", path=name, hint=_EXPORT_HINT)


def _division(division: int, name: str) -> tuple[int, int | None]:
    """Ticks per quarter, and the fixed tempo that an SMPTE division means."""
    if division & 0x8000:
        frames, ticks_per_frame = 256 - (division >> 8), division & 0xFF
        if frames in _SMPTE_QUARTERS and ticks_per_frame:
            return _SMPTE_FRAMES_A_QUARTER * ticks_per_frame, _SMPTE_QUARTERS[frames]
    elif division:
        return division, None
    raise InvalidInputError(
        f"impossible time division 0x{division:04X}", path=name, hint=_EXPORT_HINT
    )


def _find_tracks(
    data: bytes, position: int, end: int, warnings: list[str]
) -> list[tuple[int, int]]:
    tracks: list[tuple[int, int]] = []
    while position + 8 <= end:
        kind = data[position : position + 4]
        start = position + 8
        position = start + int.from_bytes(data[position + 4 : start], "big")
        if kind != b"MTrk":
            continue
        if position > end:
            # The length cannot be right; the next track's mark, if any, is where this one ends.
            warnings.append(f"track {len(tracks) + 1} claims more bytes than the file has")
            mark = data.find(b"MTrk", start, end)
            position = end if mark < 0 else mark
        tracks.append((start, position))
    if position < end:
        warnings.append("stray bytes after the last track")
    return tracks
