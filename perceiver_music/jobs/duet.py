"""`duet`: listens to a player and answers, in real time."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.files import probe_output, write_bytes_atomically
from perceiver_music.jobs.answering import Machine
from perceiver_music.jobs.duet_request import DuetRequest
from perceiver_music.jobs.progress import WarningCallback, no_warning

if TYPE_CHECKING:
    from perceiver_music.live.duet import Duet
    from perceiver_music.live.keyboard import Cue
    from perceiver_music.live.ports import Input, Output, PortNames
    from perceiver_music.music.midi_file import MidiFile

__all__ = ["DuetCallbacks", "DuetRequest", "DuetResult", "list_ports", "run"]

SOFT_PEDAL, SOSTENUTO_PEDAL = 67, 66
_NOTE_LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}


@dataclass(frozen=True, kw_only=True)
class DuetResult:
    """What was played."""

    input: str
    output: Path | None
    answers: int
    notes: int
    answered_notes: int
    seconds: float
    seed: int
    checkpoint: str
    checkpoint_sha256: str

    def as_json(self) -> dict[str, Any]:
        """The fields of `duet --json`."""
        return {**vars(self), "output": None if self.output is None else os.fspath(self.output)}


@dataclass(frozen=True, kw_only=True)
class DuetCallbacks:
    """Told of what happens meanwhile.

    Attributes:
        on_ready: the device and the seed, when the first note may come.
        on_turn: `listening` or `answering`, whenever that changes.
        on_saved: the file, as soon as the conversation is in it.
        on_midi: the conversation itself, where no file is to keep it.
        warn: what is odd.
    """

    on_ready: Callable[[str, int], None] = lambda _device, _seed: None
    on_turn: Callable[[str], None] = lambda _: None
    on_saved: Callable[[Path], None] = lambda _: None
    on_midi: Callable[[bytes], None] | None = None
    warn: WarningCallback = no_warning


def list_ports() -> PortNames:
    """The MIDI ports of this machine.

    Raises:
        UnavailableError: MIDI does not work here.
    """
    from perceiver_music.live.ports import port_names

    return port_names()


def run(request: DuetRequest, callbacks: DuetCallbacks | None = None) -> DuetResult:
    """Play together until the file has ended, or until interrupted; then save.

    Raises:
        UsageError: the request does not fit together.
        InvalidInputError: the file or the checkpoint is not what it claims to be.
        UnavailableError: a port, the device or the checkpoint is not there, or a port went away.
        OutputExistsError: the output exists and is not to be overwritten.
        StorageError: reading or writing failed.
        NonFiniteError: the model's prediction is not a number.
    """
    callbacks = callbacks or DuetCallbacks()
    from perceiver_music.live.clock import FreeClock, SystemClock
    from perceiver_music.live.duet import Duet, DuetOptions
    from perceiver_music.live.stage import perform, rehearse

    options = DuetOptions(
        pause_seconds=request.pause_seconds or None,
        cue=None if request.cue is None else read_cue(request.cue),
        through=request.through or request.midi_file is not None,
    )
    if request.output is not None:
        probe_output(request.output, overwrite=request.overwrite)
    clock = FreeClock() if request.is_silent else SystemClock()
    heard = _heard(request, callbacks.warn)
    with ExitStack() as stack:
        source, output = _open(request, heard, clock, stack)
        machine = Machine(request)
        if machine.doubt is not None:
            callbacks.warn(machine.doubt)
        machine.warm_up()
        callbacks.on_ready(machine.loaded.device, machine.seed)
        duet = Duet(source, output, options, now=clock.now(), on_turn=callbacks.on_turn)
        try:
            if isinstance(clock, FreeClock):
                rehearse(duet, machine.answer, clock)
            else:
                perform(duet, machine.answer, clock)
        finally:
            _save(duet, request, machine, heard, clock.now(), callbacks)
    return DuetResult(
        input=request.midi_name or request.input_port or "",
        output=request.output,
        answers=duet.num_answers,
        notes=duet.player.total_notes,
        answered_notes=duet.machine.total_notes,
        seconds=max(t.performance(clock.now()).seconds for t in (duet.player, duet.machine)),
        seed=machine.seed,
        checkpoint=machine.loaded.name,
        checkpoint_sha256=machine.loaded.sha256,
    )


def read_cue(word: str) -> Cue:
    """What a cue's name means: `soft`, `sostenuto`, `A0` or `21`.

    Raises:
        UsageError: it means nothing.
    """
    from perceiver_music.live.keyboard import Cue

    name = word.strip().lower()
    if name in ("soft", "sostenuto"):
        return Cue("control", SOFT_PEDAL if name == "soft" else SOSTENUTO_PEDAL)
    pitch = int(name) if name.isdecimal() else -1
    if name[:1] in _NOTE_LETTERS and name[:1]:
        sign = {"#": 1, "b": -1}.get(name[1:2], 0)
        octave = name[1 + abs(sign) :]
        if octave.removeprefix("-").isdecimal():
            pitch = 12 * (int(octave) + 1) + _NOTE_LETTERS[name[0]] + sign
    if not 0 <= pitch <= 127:
        raise UsageError(
            f"--cue {word} is neither a pedal nor a key",
            hint="Use soft, sostenuto, a note such as A0 or C#8, or its number.",
        )
    return Cue("key", pitch)


def _heard(request: DuetRequest, warn: WarningCallback) -> MidiFile | None:
    """The file that plays; None where a keyboard does."""
    from perceiver_music.music.midi_file import lack_of_notes, parse_midi, read_midi

    if request.midi_file is None:
        return None
    midi = (
        parse_midi(request.midi_file, name=request.midi_name)
        if isinstance(request.midi_file, bytes)
        else read_midi(request.midi_file)
    )
    for warning in midi.warnings:
        warn(f"{request.midi_name}: {warning}")
    if not midi.performance.num_notes:
        raise InvalidInputError(lack_of_notes(midi.warnings), path=request.midi_name)
    return midi


def _open(
    request: DuetRequest, heard: MidiFile | None, clock: Any, stack: ExitStack
) -> tuple[Input, Output | None]:
    from perceiver_music.live.keyboard import FilePlayer
    from perceiver_music.live.ports import open_input, open_output

    source: Input = (
        open_input(request.input_port)
        if heard is None
        else FilePlayer(heard.performance, clock, heard.controls)
    )
    stack.callback(source.close)
    if request.is_silent:
        return source, None
    output = open_output(request.output_port)
    stack.callback(output.close)
    return source, output


def _save(
    duet: Duet,
    request: DuetRequest,
    machine: Machine,
    heard: MidiFile | None,
    now: float,
    callbacks: DuetCallbacks,
) -> None:
    from perceiver_music.jobs.duet_file import duet_midi

    is_kept = request.output is not None or callbacks.on_midi is not None
    if not is_kept or not duet.player.total_notes:
        return
    if duet.player.has_forgotten or duet.machine.has_forgotten:
        callbacks.warn("the conversation was so long that its beginning is not in the file")
    midi = duet_midi(
        duet.player.performance(now),
        duet.machine.performance(now),
        player_pedals=duet.player.other_moves(now),
        title=b"" if heard is None else heard.title,
        settings=machine.as_settings(),
    )
    if request.output is not None:
        write_bytes_atomically(request.output, midi, overwrite=request.overwrite)
        callbacks.on_saved(request.output)
    elif callbacks.on_midi is not None:
        callbacks.on_midi(midi)
