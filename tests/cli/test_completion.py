"""What the command line repeats of other rooms, so as not to import them, is what they say."""

import re
from pathlib import Path

import click
import pytest
import typer

from perceiver_music.audio.encoding import AUDIO_FORMATS
from perceiver_music.audio.fluidsynth_library import SYNTHESIZERS
from perceiver_music.cli import completion, options, sound
from perceiver_music.cli.app import app
from perceiver_music.dataset.store_index import SPLITS
from perceiver_music.errors import UnavailableError
from perceiver_music.jobs.view import FORMATS
from perceiver_music.model.decoding import DECODERS, POLICIES
from perceiver_music.model.device import choose_device
from perceiver_music.tokenizer.registry import DEFAULT_TOKENIZER, TOKENIZERS
from perceiver_music.training.config import PRECISIONS
from perceiver_music.training.recipes import recipe_names


def parameter(command: str, flag: str) -> click.Option:
    found = typer.main.get_command(app).commands[command]
    return next(each for each in found.params if flag in each.opts)


def bit_depths() -> tuple[str, ...]:
    return tuple(dict.fromkeys(d for each in AUDIO_FORMATS.values() for d in each.subtypes))


def test_copies_are_what_their_sources_say() -> None:
    assert completion.DECODERS == DECODERS
    assert completion.POLICIES == POLICIES
    assert tuple(TOKENIZERS) == completion.TOKENIZERS
    assert options.DEFAULT_TOKENIZER == DEFAULT_TOKENIZER
    assert tuple(AUDIO_FORMATS) == sound.AUDIO_FORMATS


def chosen(device: str) -> str:
    """What kind it is, or why it is refused: known, but not in this machine."""
    try:
        return choose_device(device).type
    except UnavailableError as refused:
        return refused.message


def test_devices_that_are_offered_are_devices() -> None:
    assert chosen("auto") in completion.DEVICES
    for name in completion.DEVICES[1:]:
        assert re.fullmatch(rf"{name}|there is no {name} on this machine.*", chosen(name))


@pytest.mark.parametrize(
    ("command", "flag", "source"),
    [
        ("continue", "--device", completion.DEVICES),
        ("continue", "--decoder", DECODERS),
        ("continue", "--policy", POLICIES),
        ("render", "--format", tuple(AUDIO_FORMATS)),
        ("render", "--bit-depth", bit_depths()),
        ("view", "--format", FORMATS),
        ("evaluate", "--split", SPLITS),
        ("train", "--precision", PRECISIONS),
    ],
)
def test_an_option_shows_all_that_it_takes(
    command: str, flag: str, source: tuple[str, ...]
) -> None:
    assert parameter(command, flag).metavar == "|".join(source)


@pytest.mark.parametrize(
    ("command", "flag", "source"),
    [
        ("train", "--recipe", recipe_names()),
        ("tokens", "--tokenizer", list(TOKENIZERS)),
        ("render", "--synth", list(SYNTHESIZERS)),
    ],
)
def test_an_options_help_names_all_that_it_takes(
    command: str, flag: str, source: list[str]
) -> None:
    said = parameter(command, flag).help
    assert said is not None
    assert sorted(word for word in re.findall(r"[\w-]+", said) if word in source) == sorted(source)


def test_recipes_are_completed() -> None:
    assert sorted(completion.complete_recipe("")) == sorted(recipe_names())
    assert completion.complete_recipe("maestro-g") == ["maestro-gpu"]


def test_where_no_checkpoint_is_bundled_none_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completion.complete_checkpoint("mae") == ["maestro"]
    monkeypatch.setattr("perceiver_music.bundled._PACKAGE", tmp_path / "installed")
    assert completion.complete_checkpoint("") == []
