"""`bench`: what this machine makes of the program: decoding, a training step, tokenizer, start-up.

Everything in this process is processor time of one thread, medians of a few rounds in which all
take turns, so that the figures mean something on a busy machine, too. Start-up is measured from
outside, as a shell would see it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perceiver_music.jobs.hardware import processor_name
from perceiver_music.jobs.progress import Progress, ProgressCallback, no_progress

if TYPE_CHECKING:
    from perceiver_music.generation.primer import Opening
    from perceiver_music.model.decoding import Decoder

MAESTRO_EVENTS_A_SECOND: Final = 39.8
PRIMER_EVENTS: Final = 4096
NEW_EVENTS: Final = {"int8": 512, "fp32": 256, "torch": 96}
TRAINING_CONTEXT: Final = 2048
STARTUP_EVENTS: Final = 256
_NOTES: Final = 10_000

Measure = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the answer.

    Attributes:
        name: what was measured.
        value: how much, in `unit`.
        against: what `ratio` compares it with; None where there is nothing.
        ratio: how many times better it is.
    """

    name: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """What was measured, and on what."""

    checkpoint: str
    checkpoint_sha256: str
    hardware: str
    threads: int
    decoder: str
    results: tuple[Figure, ...]

    def as_json(self) -> dict[str, Any]:
        """The fields of `bench --json`."""
        return asdict(self)


def run(
    checkpoint: str | None = None,
    *,
    rounds: int = 3,
    on_progress: ProgressCallback = no_progress,
) -> BenchResult:
    """Measure everything.

    Args:
        checkpoint: name or folder; None is the bundled one.
        rounds: of which the medians are taken.
        on_progress: told which part is measured.

    Raises:
        StorageError: there is no such checkpoint, or it cannot be read.
        InvalidInputError: it is none, or damaged.
        UnavailableError: there is no bundled checkpoint.
    """
    import torch

    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
    from perceiver_music.model.checkpoint_description import read_description
    from perceiver_music.model.native.library import kernel_names

    folder = resolve_checkpoint(checkpoint)
    described = read_description(folder)
    parts: tuple[tuple[str, Callable[[], Iterator[Figure]]], ...] = (
        ("decoding", lambda: _decoding(folder, rounds)),
        ("a training step", lambda: _training(folder, rounds)),
        ("the tokenizer", lambda: _tokenizer(rounds)),
        ("start-up", lambda: _startup(folder, rounds)),
    )
    threads = torch.get_num_threads()
    figures: list[Figure] = []
    try:
        torch.set_num_threads(1)
        for done, (message, measure) in enumerate(parts):
            on_progress(Progress(done=done, total=len(parts), unit="parts", message=message))
            figures += measure()
    finally:
        torch.set_num_threads(threads)
    return BenchResult(
        checkpoint=described.name,
        checkpoint_sha256=described.sha256,
        hardware=processor_name(),
        threads=1,
        decoder=kernel_names()[0] if kernel_names() else "torch",
        results=tuple(figures),
    )


def _medians(measures: dict[str, Measure], rounds: int) -> dict[str, float]:
    """The median of each; all take turns."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _decoding(folder: Path, rounds: int) -> Iterator[Figure]:
    from perceiver_music.model.decoding import load_decoder
    from perceiver_music.model.native.library import kernel_names

    names = ("int8", "fp32", "torch") if kernel_names() else ("torch",)
    decoders = {name: load_decoder(folder, device="cpu", decoder=name).model for name in names}
    opening = _opening()
    reading: dict[str, Measure] = {}
    making: dict[str, Measure] = {}
    for name, decoder in decoders.items():
        reading[name] = _reading(decoder, opening)
        making[name] = _making(decoder, opening, NEW_EVENTS[name])
    first = _medians(reading, rounds)
    speed = {name: 1 / seconds for name, seconds in _medians(making, rounds).items()}
    for name in names:
        against = None if name == "torch" else "torch"
        yield Figure(
            name=f"decoding, {name}",
            value=round(speed[name], 1),
            unit="events/s",
            against=against,
            ratio=None if against is None else round(speed[name] / speed["torch"], 1),
        )
    yield Figure(
        name="playing as it is made",
        value=round(speed[names[0]], 1),
        unit="events/s",
        against=f"a piece of {MAESTRO_EVENTS_A_SECOND} events/s",
        ratio=round(speed[names[0]] / MAESTRO_EVENTS_A_SECOND, 1),
    )
    yield Figure(
        name=f"first event after {PRIMER_EVENTS:,}",
        value=round(1e3 * first[names[0]], 1),
        unit="ms",
        against="torch" if len(names) > 1 else None,
        ratio=round(first["torch"] / first[names[0]], 1) if len(names) > 1 else None,
    )


def _reading(decoder: Decoder, opening: Opening) -> Measure:
    return lambda: _seconds(lambda: decoder.begin(opening.tokens))


def _making(decoder: Decoder, opening: Opening, num_events: int) -> Measure:
    """Seconds an event, sampling included, the reading of the primer not."""
    from perceiver_music.generation.continuation import continue_events
    from perceiver_music.generation.limits import Limits
    from perceiver_music.generation.options import SamplingOptions
    from perceiver_music.generation.sampling import variation_rng

    def measure() -> float:
        growing = continue_events(
            decoder,
            opening,
            limits=Limits(num_events=num_events + 1),
            sampling=SamplingOptions(),
            rng=variation_rng(1, 1),
        )
        next(growing)
        return _seconds(lambda: list(growing)) / num_events

    return measure


def _opening() -> Opening:
    """Events that the grammar allows; what they sound like does not change the work."""
    from perceiver_music.generation.grammar import Grammar
    from perceiver_music.generation.primer import Opening
    from perceiver_music.tokenizer import vocabulary as v

    rng, grammar, tokens = np.random.default_rng(0), Grammar(), [v.BOS]
    while len(tokens) < PRIMER_EVENTS:
        token = int(rng.choice(np.flatnonzero(grammar.allowed())))
        grammar.take(token)
        tokens.append(token)
    sounding = dict.fromkeys(grammar.onset_step, 100)
    return Opening(tokens=tuple(tokens), sounding=sounding, velocity_bin=16)


def _training(folder: Path, rounds: int) -> Iterator[Figure]:
    import torch
    import torch.nn.functional as F

    from perceiver_music.model.checkpoint import load_checkpoint
    from perceiver_music.model.registry import build_from_preset

    perceiver = load_checkpoint(folder).model.requires_grad_(True)
    config: Any = perceiver.config
    fields = {"width": config.block.width, "num_heads": config.block.num_heads}
    fields |= {"context": TRAINING_CONTEXT, "vocabulary_size": perceiver.vocabulary_size}
    transformer = build_from_preset(
        "transformer", "modern", {**fields, "num_layers": config.num_layers + 1}
    )
    tokens = torch.randint(perceiver.vocabulary_size, (1, TRAINING_CONTEXT))

    def step(model: torch.nn.Module, num_latents: int) -> None:
        logits = model(tokens, num_latents=num_latents)
        loss = F.cross_entropy(logits[:, :-1].mT, tokens[:, 1 - num_latents :])
        torch.autograd.backward(loss)
        model.zero_grad(set_to_none=True)

    latents = min(perceiver.latents, TRAINING_CONTEXT)
    measures: dict[str, Measure] = {
        "ours": lambda: _seconds(lambda: step(perceiver, latents)),
        "transformer": lambda: _seconds(lambda: step(transformer, TRAINING_CONTEXT)),
    }
    found = _medians(measures, rounds)
    yield Figure(
        name=f"training, context {TRAINING_CONTEXT:,}",
        value=round(1 / found["ours"], 2),
        unit="steps/s",
        against="a Transformer as wide and deep",
        ratio=round(found["transformer"] / found["ours"], 1),
    )


def _tokenizer(rounds: int) -> Iterator[Figure]:
    from perceiver_music.music.performance import NOTE_DTYPE
    from perceiver_music.tokenizer.performance_events import encode_notes

    rng = np.random.default_rng(0)
    notes = np.zeros(_NOTES, dtype=NOTE_DTYPE)
    notes["start_us"] = np.cumsum(rng.integers(0, 200_000, _NOTES))
    notes["end_us"] = notes["start_us"] + 150_000
    notes["pitch"] = 30 + (np.arange(_NOTES) * 7) % 60
    notes["velocity"] = rng.integers(30, 100, _NOTES)
    num_events = len(encode_notes(notes))
    found = _medians({"encode": lambda: _seconds(lambda: encode_notes(notes))}, rounds)
    yield Figure(name="tokenizing", value=round(num_events / found["encode"]), unit="events/s")


def _startup(folder: Path, rounds: int) -> Iterator[Figure]:
    from perceiver_music.bundled import bundled_primers

    primer = min(bundled_primers().glob("*.mid"))
    program = [sys.executable, "-m", "perceiver_music"]
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary, "out.mid")
        words = ["continue", str(primer), "--length", str(STARTUP_EVENTS), "--force", "--quiet"]
        words += ["--checkpoint", str(folder.resolve()), "-o", str(output)]
        measures: dict[str, Measure] = {
            "help": lambda: _wall([*program, "--help"]),
            "continue": lambda: _wall([*program, *words]),
        }
        found = _medians(measures, rounds)
    yield Figure(name="--help, from the shell", value=round(found["help"], 2), unit="s")
    yield Figure(
        name=f"{STARTUP_EVENTS} events, from the shell",
        value=round(found["continue"], 2),
        unit="s",
    )


def _wall(words: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started
