"""What this program writes into its own MIDI files: how each was made, and the primer it needs.

Both are meta events at the head of the first track, where players pass over them:

    FF 01  text: `SETTINGS_MARK`, then the settings as JSON
    FF 7F  sequencer-specific: `PRIMER_MARK`, then the primer's bytes, deflated

The rest of the file is the music alone; its checksum is among the settings, so that a file made
again can be told to be the same whatever was written about it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.midi_bytes import read_events
from perceiver_music.music.midi_chunks import MAX_FILE_BYTES

SETTINGS_MARK: Final = "perceiver-music: "
"""What the text event with the settings begins with."""
PRIMER_MARK: Final = b"\x7dperceiver-music primer: "
"""What the event with the primer begins with; 7D is the maker's number that belongs to no maker."""
LARGEST_EMBEDDED_PRIMER: Final = 512 << 10
"""Bytes, deflated, up to which a primer travels in the file; MAESTRO's longest has half of them."""

_TEXT, _SEQUENCER_SPECIFIC = 0x01, 0x7F
_TRACK_AT: Final = 14
_HEAD_BYTES: Final = _TRACK_AT + 8
_LONGEST_NUMBER: Final = 4


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What was found in a file, as it stands there.

    Attributes:
        settings: JSON text.
        deflated_primer: None when the primer was too large, or there was none.
    """

    settings: str
    deflated_primer: bytes | None

    def primer(self, *, name: str) -> bytes | None:
        """The primer's bytes.

        Raises:
            InvalidInputError: they cannot be inflated, or are more than any MIDI file has.
        """
        if self.deflated_primer is None:
            return None
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(self.deflated_primer, MAX_FILE_BYTES + 1)
        except zlib.error:
            data = b""
        if not data or not inflater.eof or len(data) > MAX_FILE_BYTES:
            raise InvalidInputError("the primer stored in it is damaged", path=name)
        return data


def deflated(primer: bytes) -> bytes | None:
    """A primer as it is embedded; None when it is too large for that."""
    data = zlib.compress(primer, 9)
    return data if len(data) <= LARGEST_EMBEDDED_PRIMER else None


def with_embedded(midi: bytes, embedded: Embedded) -> bytes:
    """A file of our writer, with these events before all others.

    Args:
        midi: with a header of the usual length; the events go into its first track.
        embedded: settings in ASCII.
    """
    text = (SETTINGS_MARK + embedded.settings).encode("ascii")
    events = _meta(_TEXT, text)
    if embedded.deflated_primer is not None:
        events += _meta(_SEQUENCER_SPECIFIC, PRIMER_MARK + embedded.deflated_primer)
    size = int.from_bytes(midi[_TRACK_AT + 4 : _HEAD_BYTES], "big") + len(events)
    head = midi[: _TRACK_AT + 4] + size.to_bytes(4, "big")
    return head + events + midi[_HEAD_BYTES:]


def without_embedded(midi: bytes) -> bytes:
    """The music alone: the inverse of `with_embedded`; any other file comes back as it is."""
    if midi[:8] != b"MThd\0\0\0\6" or midi[_TRACK_AT : _TRACK_AT + 4] != b"MTrk":
        return midi
    position = _HEAD_BYTES
    while (after := _after_own_event(midi, position)) is not None:
        position = after
    size = int.from_bytes(midi[_TRACK_AT + 4 : _HEAD_BYTES], "big") - (position - _HEAD_BYTES)
    if position == _HEAD_BYTES or size < 0:
        return midi
    return midi[: _TRACK_AT + 4] + size.to_bytes(4, "big") + midi[position:]


def find_embedded(midi: bytes, *, name: str) -> Embedded | None:
    """What this program wrote into a file, wherever another program has moved it since.

    Raises:
        InvalidInputError: it is no MIDI file.
    """
    settings, primer = None, None
    mark = SETTINGS_MARK.encode()
    for meta in read_events(midi, name=name).meta_events:
        if meta.kind == _TEXT and meta.data.startswith(mark):
            settings = meta.data.removeprefix(mark).decode("ascii", "replace")
        elif meta.kind == _SEQUENCER_SPECIFIC and meta.data.startswith(PRIMER_MARK):
            primer = meta.data.removeprefix(PRIMER_MARK)
    return None if settings is None else Embedded(settings=settings, deflated_primer=primer)


def _meta(kind: int, data: bytes) -> bytes:
    return bytes((0, 0xFF, kind)) + _number(len(data)) + data


def _number(value: int) -> bytes:
    """A variable-length number, as MIDI writes it."""
    septets = [value & 0x7F]
    while value := value >> 7:
        septets.append(value & 0x7F | 0x80)
    return bytes(reversed(septets))


def _after_own_event(midi: bytes, position: int) -> int | None:
    """Where the event after one of ours begins; None when the one at `position` is not ours."""
    marks = {_TEXT: SETTINGS_MARK.encode(), _SEQUENCER_SPECIFIC: PRIMER_MARK}
    head = midi[position : position + 3]
    if len(head) < 3 or head[:2] != b"\0\xff" or head[2] not in marks:
        return None
    size, at = 0, position + 3
    for byte in midi[at : at + _LONGEST_NUMBER]:
        size, at = size << 7 | byte & 0x7F, at + 1
        if byte < 0x80:
            break
    return at + size if midi[at : at + size].startswith(marks[head[2]]) else None
