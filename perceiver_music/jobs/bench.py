"""`bench`: what this machine makes of the program: decoding, a training step, tokenizer, start-up.

Everything in this process is processor time of one thread, medians of a few rounds in which all
take turns, so that the figures mean something on a busy machine, too. Start-up is measured from
outside, as a shell would see it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perceiver_music.errors import UnavailableError
from perceiver_music.jobs.hardware import processor_name
from perceiver_music.jobs.measuring import Figure, Measure, medians, seconds_of
from perceiver_music.jobs.progress import Progress, ProgressCallback, no_progress

if TYPE_CHECKING:
    from perceiver_music.generation.primer import Opening
    from perceiver_music.model.checkpoint_description import CheckpointDescription
    from perceiver_music.model.decoding import Decoder

MAESTRO_EVENTS_A_SECOND: Final = 39.8
PRIMER_EVENTS: Final = 4096
NEW_EVENTS: Final = {"int8": 512, "fp32": 256, "torch": 96}
TRAINING_CONTEXT: Final = 2048
STARTUP_EVENTS: Final = 256
_NOTES: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """What was measured, and on what.

    Attributes:
        decoder: the native code that decoded the checkpoint; `torch` where there is none.
        left_out: why some decoders were not measured; None if all were.
    """

    checkpoint: str
    checkpoint_sha256: str
    hardware: str
    threads: int
    decoder: str
    left_out: str | None
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
    threads = torch.get_num_threads()
    figures: list[Figure] = []
    try:
        torch.set_num_threads(1)
        decoders, left_out = _decoders(folder)
        opening = _opening(described)
        parts: tuple[tuple[str, Callable[[], Iterator[Figure]]], ...] = (
            ("decoding", lambda: _decoding(decoders, opening, rounds)),
            ("a training step", lambda: _training(folder, rounds)),
            ("the tokenizer", lambda: _tokenizer(rounds)),
            ("start-up", lambda: _startup(folder, rounds)),
        )
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
        decoder=kernel_names()[0] if len(decoders) > 1 else "torch",
        left_out=left_out,
        results=tuple(figures),
    )


def _decoders(folder: Path) -> tuple[dict[str, Decoder], str | None]:
    """Those that can decode the checkpoint here, the fastest first, and why others cannot."""
    from perceiver_music.model.decoding import load_decoder

    def loaded(name: str) -> Decoder:
        return load_decoder(folder, device="cpu", decoder=name).model

    try:
        return {name: loaded(name) for name in ("int8", "fp32", "torch")}, None
    except UnavailableError as error:
        return {"torch": loaded("torch")}, f"torch alone is measured: {error.message}"


def _decoding(decoders: dict[str, Decoder], opening: Opening, rounds: int) -> Iterator[Figure]:
    names = tuple(decoders)
    reading: dict[str, Measure] = {}
    making: dict[str, Measure] = {}
    for name, decoder in decoders.items():
        reading[name] = _reading(decoder, opening)
        making[name] = _making(decoder, opening, NEW_EVENTS[name])
    first = medians(reading, rounds)
    speed = {name: 1 / seconds for name, seconds in medians(making, rounds).items()}
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
    return lambda: seconds_of(lambda: decoder.begin(opening.tokens))


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
        return seconds_of(lambda: list(growing)) / num_events

    return measure


def _opening(described: CheckpointDescription) -> Opening:
    """Events that the grammar allows; what they sound like does not change the work."""
    from perceiver_music.generation.grammar import Grammar
    from perceiver_music.generation.pedal_grammar import PedalGrammar
    from perceiver_music.generation.pedal_opening import opening_for
    from perceiver_music.generation.primer import Window
    from perceiver_music.tokenizer.registry import get_tokenizer

    tokenizer = get_tokenizer(described.tokenizer_name)
    empty = opening_for(tokenizer, None, Window(from_us=0, to_us=0))
    grammar = Grammar() if empty.pedal is None else PedalGrammar(pedal=empty.pedal)
    rng, tokens = np.random.default_rng(0), list(empty.tokens)
    while len(tokens) < PRIMER_EVENTS:
        token = int(rng.choice(np.flatnonzero(grammar.allowed())))
        grammar.take(token)
        tokens.append(token)
    sounding = dict.fromkeys(grammar.onset_step, 100)
    return replace(empty, tokens=tuple(tokens), sounding=sounding, velocity_bin=16)


def _training(folder: Path, rounds: int) -> Iterator[Figure]:
    import torch
    import torch.nn.functional as F

    from perceiver_music.model.checkpoint import load_checkpoint
    from perceiver_music.model.registry import build_from_preset

    loaded = load_checkpoint(folder)
    ours = loaded.model.requires_grad_(True)
    config: Any = ours.config
    is_perceiver = loaded.description.fields["architecture"] == "perceiver_ar"
    fields = {"width": config.block.width, "num_heads": config.block.num_heads}
    fields |= {"context": TRAINING_CONTEXT, "vocabulary_size": ours.vocabulary_size}
    fields["num_layers"] = config.num_layers + is_perceiver  # whose cross-attend is one more
    transformer = build_from_preset("transformer", "modern", fields)
    tokens = torch.randint(ours.vocabulary_size, (1, TRAINING_CONTEXT))

    def step(model: torch.nn.Module, num_latents: int) -> None:
        logits = model(tokens, num_latents=num_latents)
        loss = F.cross_entropy(logits[:, :-1].mT, tokens[:, 1 - num_latents :])
        torch.autograd.backward(loss)
        model.zero_grad(set_to_none=True)

    latents = min(ours.latents, TRAINING_CONTEXT)
    measures: dict[str, Measure] = {
        "ours": lambda: seconds_of(lambda: step(ours, latents)),
        "transformer": lambda: seconds_of(lambda: step(transformer, TRAINING_CONTEXT)),
    }
    found = medians(measures, rounds)
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
    found = medians({"encode": lambda: seconds_of(lambda: encode_notes(notes))}, rounds)
    yield Figure(name="tokenizing", value=round(num_events / found["encode"]), unit="events/s")


def _startup(folder: Path, rounds: int) -> Iterator[Figure]:
    from perceiver_music.bundled import bundled_primers

    primer = min(bundled_primers().glob("*.mid"))
    program = [sys.executable, "-P", "-m", "perceiver_music"]  # whatever lies in this folder
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary, "out.mid")
        words = ["continue", str(primer), "--length", str(STARTUP_EVENTS), "--force", "--quiet"]
        words += ["--checkpoint", str(folder.resolve()), "-o", str(output)]
        measures: dict[str, Measure] = {
            "help": lambda: _wall([*program, "--help"]),
            "continue": lambda: _wall([*program, *words]),
        }
        found = medians(measures, rounds)
    yield Figure(name="--help, from the shell", value=round(found["help"], 2), unit="s")
    yield Figure(
        name=f"{STARTUP_EVENTS} events, from the shell",
        value=round(found["continue"], 2),
        unit="s",
    )


def _wall(words: list[str]) -> float:
    package = Path(__file__).resolve().parents[2]
    paths = [os.fspath(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    quiet = subprocess.DEVNULL
    started = time.perf_counter()
    subprocess.run(words, env=environment, stdin=quiet, stdout=quiet, check=True)
    return time.perf_counter() - started
