"""`view`: a MIDI file as a picture, as a page that plays it, or as a roll for the terminal."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perceiver_music.errors import InvalidInputError, UnavailableError, UsageError
from perceiver_music.files import probe_output, read_bytes, write_bytes_atomically
from perceiver_music.jobs.new_part import NewPart, new_part_of
from perceiver_music.jobs.progress import (
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)
from perceiver_music.music.performance import MICROSECONDS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from perceiver_music.jobs.render import RenderResult
    from perceiver_music.music.midi_file import MidiFile
    from perceiver_music.view.roll import Roll

FORMATS: Final = ("png", "svg", "html")
AUDIO_TYPES: Final = {
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
}
"""What a page can carry, by suffix."""
RENDER: Final = "render"
NO_AUDIO: Final = "none"
_PAGE_FORMAT = "mp3"  # the one that Safari plays too
_LARGEST_AUDIO_BYTES: Final = 512 << 20
_LONGEST_TITLE = 120
_AFTER_A_TITLE: Final = {
    "continue": ", continued",
    "infill": ", with a new middle",
    "duet": ", as a duet",
}
"""What was made of a piece, by the command that made it."""


@dataclass(frozen=True, kw_only=True)
class ViewRequest:
    """What to show and how.

    Attributes:
        midi: a MIDI file, or its bytes.
        input_name: what it is called in messages.
        stem: its title, when the file has none of its own.
        picture: `png`, `svg` or `html`; None for the roll alone.
        output: the file; None gives the bytes in the result.
        overwrite: whether an existing output is replaced.
        audio: of a page: `render`, `none`, or an audio file; None renders if that can be done.
        new_from_seconds: where new music begins; None is what the file says.
        title: another title.
    """

    midi: Path | bytes
    input_name: str
    stem: str
    picture: str | None = None
    output: Path | None = None
    overwrite: bool = False
    audio: str | None = None
    new_from_seconds: float | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        if self.picture is not None and self.picture not in FORMATS:
            raise UsageError(
                f"'{self.picture}' is not a picture that we draw",
                hint=f"Use one of {', '.join(FORMATS)}.",
            )
        if self.audio is not None and self.picture != "html":
            raise UsageError("only a page has sound", hint="Use --audio with -o NAME.html.")
        is_file = self.audio not in (None, RENDER, NO_AUDIO)
        if is_file and Path(str(self.audio)).suffix.lower() not in AUDIO_TYPES:
            raise UsageError(
                f"'{self.audio}' is not audio that a page can carry",
                hint=f"Use {RENDER}, {NO_AUDIO}, or a file: {' '.join(AUDIO_TYPES)}.",
            )


@dataclass(frozen=True, kw_only=True)
class ViewResult:
    """What was drawn; `data` is the file when no output was asked for, `roll` what it shows."""

    input: str
    output: Path | None
    picture: str | None
    roll: Roll
    audio: dict[str, Any] | None
    data: bytes = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """The fields of `view --json`."""
        from perceiver_music.view.roll import DUET

        new = self.roll.new if self.roll.words is not DUET else ()
        return {
            "input": self.input,
            "output": None if self.output is None else os.fspath(self.output),
            "format": self.picture,
            "title": self.roll.title,
            "notes": self.roll.num_notes,
            "new_notes": int(self.roll.is_new.sum()),
            "seconds": self.roll.seconds,
            "new_seconds": list(new[0]) if new else None,
            "audio": self.audio,
            "bytes": len(self.data),
        }


def run(
    request: ViewRequest,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> ViewResult:
    """Draw a file.

    Raises:
        UsageError: the new part does not begin within the file.
        InvalidInputError: it is no MIDI file, has no piano notes, or the audio is too large.
        UnavailableError: sound was asked for, and no synthesizer or SoundFont is installed.
        OutputExistsError: the output exists and is not to be overwritten.
        StorageError: reading or writing failed.
    """
    from perceiver_music.music.midi_chunks import MAX_FILE_BYTES

    data = request.midi
    if isinstance(data, Path):
        data = read_bytes(data, limit=MAX_FILE_BYTES)
    roll = _roll_of(data, request, warn)
    if request.output is not None:
        probe_output(request.output, overwrite=request.overwrite)
    drawn, audio = _drawn(roll, data, request, on_progress, warn)
    if request.output is not None:
        write_bytes_atomically(request.output, drawn, overwrite=request.overwrite)
    return ViewResult(
        input=request.input_name,
        output=request.output,
        picture=request.picture,
        roll=roll,
        audio=audio,
        data=drawn,
    )


def _roll_of(data: bytes, request: ViewRequest, warn: WarningCallback) -> Roll:
    from perceiver_music.music.midi_file import lack_of_notes, parse_midi
    from perceiver_music.view.roll import Roll

    midi = parse_midi(data, name=request.input_name)
    for warning in midi.warnings:
        warn(f"{request.input_name}: {warning}")
    performance = midi.performance
    if not performance.num_notes:
        raise InvalidInputError(lack_of_notes(midi.warnings), path=request.input_name)
    if request.new_from_seconds is not None:
        new: NewPart | None = NewPart(from_us=round(request.new_from_seconds * MICROSECONDS))
        if request.new_from_seconds >= performance.seconds:
            raise UsageError(
                f"new music at {request.new_from_seconds:g} s, after the last note",
                hint=f"The music is {performance.seconds:.1f} s long.",
            )
    else:
        new = new_part_of(data, midi, name=request.input_name)
    roll = Roll.of(
        performance,
        title=request.title or _title(midi, new, request.stem),
        new_us=None if new is None else (new.from_us, new.to_us),
        is_answer=None if new is None or new.channel is None else _is_on(midi, new.channel),
    )
    return replace(roll, facts=_facts(roll, new))


def _is_on(midi: MidiFile, channel: int) -> npt.NDArray[np.bool_]:
    """Whether each note is on a channel."""
    is_on: npt.NDArray[np.bool_] = midi.note_ticks["channel"] == channel
    return is_on


def _title(midi: MidiFile, new: NewPart | None, stem: str) -> str:
    """The name that the file gives itself, if it is one that says something; else its own."""
    title = midi.title.decode("utf-8", "replace").strip()
    if " " not in title or "\N{REPLACEMENT CHARACTER}" in title or not title.isprintable():
        return stem.replace("_", " ").strip()[:_LONGEST_TITLE] or "Untitled"
    command = None if new is None else new.settings.get("command")
    return title[:_LONGEST_TITLE] + _AFTER_A_TITLE.get(str(command), "")


def _facts(roll: Roll, new: NewPart | None) -> tuple[str, ...]:
    from perceiver_music.music.moments import clock, counted

    facts = [counted(roll.num_notes, "note"), clock(roll.seconds)]
    if new is None:
        return tuple(facts)
    begin, end = roll.new[0] if roll.new else (0.0, 0.0)
    if new.channel is not None:
        facts.append(counted(len(roll.new), "answer"))
    elif 0 < begin < end and new.to_us is not None:
        facts.append(f"new from {clock(begin)} to {clock(end)}")
    elif 0 < begin < end:
        facts.append(f"new from {clock(begin)}")
    settings = new.settings
    facts += [f"{name} {settings[name]}" for name in ("checkpoint", "seed") if name in settings]
    index = settings.get("index")
    # How many there were is not stored, for a variation does not depend on it; the first is what
    # its seed alone makes again.
    if "seed" in settings and isinstance(index, int) and index > 1:
        facts[-1] += f", variation {index}"
    return tuple(facts)


def _drawn(
    roll: Roll,
    midi: bytes,
    request: ViewRequest,
    on_progress: ProgressCallback,
    warn: WarningCallback,
) -> tuple[bytes, dict[str, Any] | None]:
    """The file, and what is told of its sound."""
    if request.picture is None:
        return b"", None
    if request.picture == "html":
        from perceiver_music.view.page import as_page

        sound, sound_type, told = _sound(midi, request, on_progress, warn)
        return as_page(roll, sound=sound, sound_type=sound_type), told
    from perceiver_music.view.picture import piano_roll

    drawing = piano_roll(roll)
    if request.picture == "svg":
        from perceiver_music.view.svg import as_svg

        return as_svg(drawing), None
    from perceiver_music.view.fonts import lost_signs
    from perceiver_music.view.png import as_png

    lost = lost_signs(roll.title)
    if lost:
        warn(
            f"{request.input_name}: no font here has '{lost}', which the picture's title lacks; "
            "an .svg keeps it"
        )
    return as_png(drawing), None


def _sound(
    midi: bytes, request: ViewRequest, on_progress: ProgressCallback, warn: WarningCallback
) -> tuple[bytes | None, str, dict[str, Any] | None]:
    """An audio file for the page, its type, and what is told of it."""
    if request.audio == NO_AUDIO:
        return None, "", None
    if request.audio not in (None, RENDER):
        path = Path(str(request.audio))
        audio_type = AUDIO_TYPES[path.suffix.lower()]
        sound = read_bytes(path, limit=_LARGEST_AUDIO_BYTES)
        return sound, audio_type, {"source": os.fspath(path), "bytes": len(sound)}
    try:
        rendered = _rendered(midi, request, on_progress)
    except UnavailableError as error:
        if request.audio == RENDER:
            raise
        warn(f"{request.input_name}: the page will be silent: {error.message}")
        return None, "", None
    told = {
        "source": RENDER,
        "format": rendered.audio_format,
        "seconds": rendered.seconds,
        "synthesizer": rendered.synthesizer,
        "soundfont": rendered.soundfont,
        "bytes": len(rendered.audio or b""),
    }
    return rendered.audio, AUDIO_TYPES[f".{_PAGE_FORMAT}"], told


def _rendered(midi: bytes, request: ViewRequest, on_progress: ProgressCallback) -> RenderResult:
    from perceiver_music.jobs import render

    # What is odd about the file has been said when the roll was read.
    wanted = render.RenderRequest(
        midi=midi, input_name=request.input_name, audio_format=_PAGE_FORMAT
    )
    return render.run(wanted, on_progress)
