"""SoundFonts: which one to use, and whether a file is one, without loading its samples.

The default of last resort is TimGM6mb, used where the package pretty_midi put it and never
copied (GPL-2). The bigger fonts that distributions install sound better and go first.

The layout read here is the SoundFont 2.04 specification's, sections 4 and 7.2.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from perceiver_music.errors import InvalidInputError, StorageError, UnavailableError
from perceiver_music.files import reporting_storage_errors

INSTALLED_FONTS = (
    "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "/usr/share/soundfonts/FluidR3_GM.sf2",
    "/usr/share/sounds/sf3/MuseScore_General.sf3",
    "/usr/share/sounds/sf3/MuseScore_General_Lite.sf3",
    "/usr/share/sounds/sf3/FluidR3Mono_GM.sf3",
    "/usr/share/sounds/sf2/default-GM.sf2",
    "/usr/share/sounds/sf3/default-GM.sf3",
)
"""Where Linux distributions put SoundFonts, better pianos first."""

DRUM_BANK = 128
GRAND_PIANO = (0, 0)
PRESET_RECORD_BYTES = 38
MAX_PRESET_BYTES = 1 << 24

NOT_A_SOUNDFONT_HINT = "Give a SoundFont 2 or 3 file (.sf2, .sf3)."


@dataclass(frozen=True, kw_only=True)
class SoundFont:
    """A file that has the structure of a SoundFont.

    Attributes:
        path: where it is.
        presets: its (bank, program) pairs, sorted.
    """

    path: Path
    presets: tuple[tuple[int, int], ...]

    @property
    def piano(self) -> tuple[int, int]:
        """(bank, program) of the General MIDI grand piano, else of the first preset.

        A font of a single piano is not always at bank 0, program 0.
        """
        if GRAND_PIANO in self.presets:
            return GRAND_PIANO
        melodic = [preset for preset in self.presets if preset[0] != DRUM_BANK]
        return (melodic or list(self.presets))[0]


def inspect_soundfont(path: str | os.PathLike[str]) -> SoundFont:
    """Check that a file is a whole SoundFont and list its presets.

    Raises:
        StorageError: the file is missing or cannot be read, or is a folder.
        InvalidInputError: it is something else (DLS among it), cut short, or has no preset.
    """
    path = Path(path)
    with reporting_storage_errors(path):
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise InvalidInputError("is a pipe or a device", path=path, hint="Give a .sf2 file.")
    with reporting_storage_errors(path), path.open("rb") as file:
        presets = _read_presets(file, path, os.fstat(file.fileno()).st_size)
    return SoundFont(path=path, presets=presets)


def find_soundfont(chosen: str | os.PathLike[str] | None = None) -> SoundFont:
    """The user's SoundFont, else the best one that is installed.

    Raises:
        StorageError: the chosen file cannot be read.
        InvalidInputError: the chosen file is no SoundFont.
        UnavailableError: none was chosen and none is installed.
    """
    if chosen is not None:
        return inspect_soundfont(chosen)
    for candidate in default_candidates():
        try:
            return inspect_soundfont(candidate)
        except (StorageError, InvalidInputError):
            # Nobody asked for this very file; a broken one must not hide the next.
            continue
    raise UnavailableError(
        "no SoundFont was found",
        hint="Name one, `render --soundfont FILE.sf2`, or `pip install pretty_midi`, "
        "which brings a small one.",
    )


def default_candidates() -> tuple[Path, ...]:
    """Where a SoundFont may be, best first."""
    paths = [Path(path) for path in INSTALLED_FONTS]
    # find_spec locates the package without importing it, which would take 0.3 s.
    spec = importlib.util.find_spec("pretty_midi")
    if spec is not None:
        paths += [Path(folder) / "TimGM6mb.sf2" for folder in spec.submodule_search_locations or ()]
    return (*paths, Path("/usr/share/sounds/sf2/TimGM6mb.sf2"))


def _read_presets(file: BinaryIO, path: Path, size: int) -> tuple[tuple[int, int], ...]:
    header = file.read(12)
    if len(header) < 12 or header[:4] != b"RIFF" or header[8:] != b"sfbk":
        kind = "a DLS instrument file" if header[8:] == b"DLS " else "something else"
        raise InvalidInputError(
            f"is not a SoundFont but {kind}", path=path, hint=NOT_A_SOUNDFONT_HINT
        )
    declared_end = 8 + struct.unpack("<I", header[4:8])[0]
    if declared_end > size:
        raise InvalidInputError(
            f"the SoundFont is cut short: {size} of {declared_end} bytes",
            path=path,
            hint="Fetch the file again.",
        )
    preset_data = _find_chunk(file, 12, declared_end, b"pdta", b"phdr")
    # The last record only marks the end (section 7.2).
    num_presets = len(preset_data) // PRESET_RECORD_BYTES - 1
    if num_presets < 1:
        raise InvalidInputError("the SoundFont has no preset", path=path, hint=NOT_A_SOUNDFONT_HINT)
    pairs = (
        struct.unpack_from("<HH", preset_data, index * PRESET_RECORD_BYTES + 20)
        for index in range(num_presets)
    )
    return tuple(sorted((bank, program) for program, bank in pairs))


def _find_chunk(file: BinaryIO, start: int, end: int, list_type: bytes, name: bytes) -> bytes:
    """The bytes of chunk `name` inside the LIST of `list_type`; empty when it is not there."""
    position = start
    while position + 8 <= end:
        file.seek(position)
        header = file.read(12)
        if len(header) < 8:
            break
        length = struct.unpack("<I", header[4:8])[0]
        if header[:4] == b"LIST" and header[8:] == list_type:
            return _find_chunk(file, position + 12, min(end, position + 8 + length), b"", name)
        if header[:4] == name and length <= min(end - position - 8, MAX_PRESET_BYTES):
            file.seek(position + 8)
            return file.read(length)
        position += 8 + length + length % 2
    return b""
