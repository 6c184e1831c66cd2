"""`check`: what a file has in common with the training set, and its figures beside real pieces'."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import read_bytes
from perceiver_music.jobs import passages
from perceiver_music.jobs.new_part import new_part_of
from perceiver_music.jobs.progress import (
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)
from perceiver_music.music.performance import MICROSECONDS

if TYPE_CHECKING:
    from perceiver_music.evaluation.novelty import Passage, PassageIndex
    from perceiver_music.evaluation.passage_index_file import TrainingPassages
    from perceiver_music.model.checkpoint_description import CheckpointDescription
    from perceiver_music.music.midi_file import MidiFile
    from perceiver_music.music.performance import NoteArray, PedalArray


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """Which file to check.

    Attributes:
        midi: a MIDI file, or its bytes.
        input_name: what it is called in messages.
        is_whole: all of it, where else only the new part of a file that this program made.
    """

    midi: Path | bytes
    input_name: str
    is_whole: bool = False


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What was found; times are those of the file.

    Attributes:
        part: `all`, or `new` for the new part of a file that this program made.
        part_seconds: where that part begins and ends, as the other commands say it: the last key
            rises then.
        passage: the longest shared one.
        shared_with: title, composer and path of the piece that has it, and when; None if none.
        expected: `median`, `p95` and `longest` of what unseen real music of about that length
            (`notes`) shares; None when the index does not say.
        statistics: figures of the part.
        real_pieces: of each figure the 5th, 50th and 95th percentile over the training pieces.
        unusual: figures that lie outside.
        training_set: what was compared with: `pieces`, `notes`, `store_sha256`.
        checkpoint, checkpoint_sha256: whose training set that is; None of a store.
    """

    input: str
    part: str
    part_seconds: tuple[float, float]
    passage: Passage
    shared_with: dict[str, Any] | None
    expected: dict[str, Any] | None
    statistics: dict[str, Any]
    real_pieces: dict[str, Any]
    unusual: tuple[str, ...]
    training_set: dict[str, Any]
    checkpoint: str | None
    checkpoint_sha256: str | None

    @property
    def is_longer_than_expected(self) -> bool | None:
        """Whether 19 of 20 unseen real pieces share less; None when nobody knows."""
        return None if self.expected is None else self.passage.num_notes > self.expected["p95"]

    def as_json(self) -> dict[str, Any]:
        """The fields of `check --json`."""
        passage = self.passage
        return {
            "input": self.input,
            "part": self.part,
            "part_seconds": list(self.part_seconds),
            "longest_shared_notes": passage.num_notes,
            "longest_shared_seconds": passage.query_seconds[1],
            "shared_at_seconds": passage.query_seconds[0] if passage.num_notes else None,
            "shared_with": self.shared_with,
            "transposition": passage.transposition if passage.num_notes else None,
            "same_rhythm": passage.same_rhythm if passage.num_notes else None,
            "unseen_real_pieces": self.expected,
            "longer_than_expected": self.is_longer_than_expected,
            "statistics": self.statistics,
            "real_pieces": self.real_pieces,
            "unusual": list(self.unusual),
            "training_set": self.training_set,
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
        }


class Checker:
    """A training set, ready to be compared with, and the checkpoint whose it is."""

    def __init__(
        self, training: TrainingPassages, checkpoint: CheckpointDescription | None = None
    ) -> None:
        from perceiver_music.evaluation.novelty import PassageIndex

        self._training, self._checkpoint = training, checkpoint
        self._index: PassageIndex = PassageIndex(training.text)

    def run(self, request: CheckRequest, warn: WarningCallback = no_warning) -> CheckResult:
        """Check one file.

        Raises:
            InvalidInputError: it is no MIDI file, or has no piano notes where they are wanted.
            StorageError: it cannot be read.
        """
        from perceiver_music.evaluation.figures import figures_of, has_presses, unusual_figures

        data, midi = _read(request, warn)
        part = _chosen(data, midi, request)
        notes, end_us, pedal = part.notes, part.heard_until_us, part.pedal
        # New music of a model that was taught the pedal as longer notes has none of its own.
        is_known = part.name == "all" or has_presses(pedal, part.begin_us, end_us)
        figures = figures_of(notes, pedal[pedal["time_us"] < end_us] if is_known else None)
        passage = self._index.longest_shared(notes)
        ranges = dict(self._training.ranges)
        return CheckResult(
            input=request.input_name,
            part=part.name,
            part_seconds=(part.begin_us / MICROSECONDS, part.end_us / MICROSECONDS),
            passage=passage,
            shared_with=self._piece(passage),
            expected=passages.expected_shared(self._training.unseen, len(notes)),
            statistics=figures,
            real_pieces=ranges,
            unusual=tuple(unusual_figures(figures, ranges)),
            training_set={
                "pieces": len(self._training.pieces),
                "notes": len(self._training.text),
                **self._training.about,
            },
            checkpoint=None if self._checkpoint is None else self._checkpoint.name,
            checkpoint_sha256=None if self._checkpoint is None else self._checkpoint.sha256,
        )

    def _piece(self, passage: Passage) -> dict[str, Any] | None:
        if passage.piece is None:
            return None
        begin, length = passage.piece_seconds
        return {
            **self._training.pieces[passage.piece],
            "at_seconds": begin,
            "seconds": length,
        }


def open_checker(
    checkpoint: str | None = None,
    data: Path | None = None,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> Checker:
    """Read the training set of a checkpoint, or of a store.

    Raises: as `passages.find`.
    """
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
    from perceiver_music.model.checkpoint_description import read_description

    training = passages.find(checkpoint, data, on_progress, warn)
    described = None if data is not None else read_description(resolve_checkpoint(checkpoint))
    return Checker(training, described)


def _read(request: CheckRequest, warn: WarningCallback) -> tuple[bytes, MidiFile]:
    from perceiver_music.music.midi_chunks import MAX_FILE_BYTES
    from perceiver_music.music.midi_file import parse_midi

    data = request.midi
    if isinstance(data, Path):
        data = read_bytes(data, limit=MAX_FILE_BYTES)
    midi = parse_midi(data, name=request.input_name)
    for warning in midi.warnings:
        warn(f"{request.input_name}: {warning}")
    return data, midi


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What of a file is checked: its notes as they sound, and from when to when it goes.

    With the pedal its last notes are heard until `heard_until_us`, after the last key has risen.
    """

    notes: NoteArray
    pedal: PedalArray
    name: str
    begin_us: int
    end_us: int

    @property
    def heard_until_us(self) -> int:
        return int(self.notes["end_us"].max())


def _chosen(data: bytes, midi: MidiFile, request: CheckRequest) -> _Part:
    from perceiver_music.music.midi_file import lack_of_notes
    from perceiver_music.music.midi_parts import heard_with_own_pedals, part_on
    from perceiver_music.music.sustain import apply_sustain

    performance = midi.performance
    name, begin_us, end_us = "all", 0, performance.end_us
    made = new_part_of(data, midi, name=request.input_name)
    new = None if request.is_whole else made
    if made is None or made.channel is None:
        notes, pedal = apply_sustain(performance).notes, performance.pedal
    elif new is None:
        notes, pedal = heard_with_own_pedals(midi), performance.pedal
    else:
        part = part_on(midi, made.channel)
        notes, pedal = apply_sustain(part).notes, part.pedal
    if new is not None:
        name, begin_us = "new", new.from_us
        is_new = notes["start_us"] >= begin_us
        if new.to_us is not None:
            end_us = new.to_us
            is_new &= notes["start_us"] < end_us
        notes = notes[is_new]
        if new.channel is not None and len(notes):
            # From the first answer to the last; the player may have begun long before.
            begin_us, end_us = int(notes["start_us"].min()), part.end_us
    if not len(notes):
        raise InvalidInputError(
            lack_of_notes(midi.warnings) if name == "all" else "has no new notes to check",
            path=request.input_name,
            hint=None if name == "all" else "Check all of it with --whole.",
        )
    return _Part(notes=notes, pedal=pedal, name=name, begin_us=begin_us, end_us=end_us)
