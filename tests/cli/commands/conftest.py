"""Small music, a small store and a small model, to run the commands on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import pytest


def midi_bytes(seed: int = 0, num_notes: int = 12) -> bytes:
    """A MIDI file with a few notes and a pedal, as another program would write it."""
    import io

    rng = np.random.default_rng(seed)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=600_000, time=0)])
    track.append(mido.Message("control_change", control=64, value=100, time=0))
    for _ in range(num_notes):
        pitch = int(rng.integers(40, 90))
        velocity = int(rng.integers(30, 110))
        wait, length = (int(ticks) for ticks in rng.integers(20, 400, 2))
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=wait))
        track.append(mido.Message("note_off", note=pitch, velocity=64, time=length))
    track.append(mido.Message("control_change", control=64, value=0, time=10))
    file = mido.MidiFile(type=0, ticks_per_beat=480, tracks=[track])
    stream = io.BytesIO()
    file.save(file=stream)
    return stream.getvalue()


@pytest.fixture
def small_midi() -> Callable[..., bytes]:
    """Makes the bytes of a small MIDI file."""
    return midi_bytes


@pytest.fixture
def write_midi(home: Path) -> Callable[..., Path]:
    """Writes a small MIDI file into the working folder."""

    def write(name: str, **options: int) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(midi_bytes(**options))
        return path

    return write


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights, whose music is noise but whose manners are those of any other."""
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny", {}, seed=3)


@pytest.fixture(scope="session")
def filling_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but its recipe says that it has learned to fill gaps."""
    recipe = {"windows": {"infill_share": 0.1, "infill_seconds": [0.5, 30.0]}}
    return save_tiny(tmp_path_factory.mktemp("models") / "filling", recipe, seed=4)


def save_tiny(path: Path, recipe: dict[str, object], *, seed: int) -> Path:
    """Write a checkpoint of random weights."""
    import torch

    from perceiver_music.model.checkpoint import save_checkpoint
    from perceiver_music.model.registry import build_from_preset
    from perceiver_music.tokenizer.vocabulary import VOCABULARY_SIZE

    torch.manual_seed(seed)
    model = build_from_preset(
        "perceiver_ar",
        "modern",
        {
            "width": 32,
            "num_heads": 2,
            "num_layers": 1,
            "context": 128,
            "latents": 32,
            "vocabulary_size": VOCABULARY_SIZE,
        },
    )
    save_checkpoint(
        path,
        model,
        name=path.name,
        tokenizer_name="maestro-performance-400",
        details={"recipe": recipe, "data": {}, "metrics": {}, "licence": "CC0-1.0"},
        card=f"# {path.name}\n",
        overwrite=False,
    )
    return path
