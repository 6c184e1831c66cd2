"""What the shell offers after an option, found without importing anything heavy."""

from __future__ import annotations

DEVICES = ("auto", "cpu", "cuda", "mps")
TOKENIZERS = ("maestro-performance-400", "pedal-performance-623")
DECODERS = ("auto", "int8", "fp32", "torch")
POLICIES = ("exact", "slide")


def complete_device(incomplete: str) -> list[str]:
    """Devices that begin as typed."""
    return [name for name in DEVICES if name.startswith(incomplete)]


def complete_tokenizer(incomplete: str) -> list[str]:
    """Tokenizers that begin as typed."""
    return [name for name in TOKENIZERS if name.startswith(incomplete)]


def complete_decoder(incomplete: str) -> list[str]:
    """Decoders that begin as typed."""
    return [name for name in DECODERS if name.startswith(incomplete)]


def complete_policy(incomplete: str) -> list[str]:
    """Policies that begin as typed."""
    return [name for name in POLICIES if name.startswith(incomplete)]


def complete_checkpoint(incomplete: str) -> list[str]:
    """Names of bundled checkpoints that begin as typed; paths are the shell's own business."""
    from perceiver_music.bundled import bundled_checkpoints
    from perceiver_music.errors import PerceiverMusicError

    try:
        names = sorted(entry.name for entry in bundled_checkpoints().iterdir() if entry.is_dir())
    except (OSError, PerceiverMusicError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """Names of recipes that begin as typed."""
    from importlib.resources import files

    names = sorted(entry.name for entry in files("perceiver_music").joinpath("recipes").iterdir())
    recipes = [name.removesuffix(".toml") for name in names if name.endswith(".toml")]
    return [name for name in recipes if name.startswith(incomplete)]


def complete_data_set(incomplete: str) -> list[str]:
    """Names of data sets that begin as typed."""
    from perceiver_music.dataset.catalog import DATA_SETS

    return [each.name for each in DATA_SETS if each.name.startswith(incomplete)]
