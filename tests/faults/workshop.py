"""What the examinations of the promises share: small music, a small store, a small model."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.conftest import made_up_piece
from tests.faults.apart import call_apart
from tests.faults.commands import CHECKOUT, Commands, command_server

ONE_NOTE = "[360, 60, 260, 188]"
FILLS_GAPS = {"windows": {"infill_share": 0.1, "infill_seconds": [0.5, 30.0]}}
TOKENIZER = "maestro-performance-400"


class Workshop:
    """Made once, used by all; everything is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @staticmethod
    def apart(function: str, *arguments: object, seconds: float) -> dict[str, Any]:
        """Call `module:function` in a process of its own."""
        return call_apart(function, *arguments, seconds=seconds)

    def fresh(self, name: str) -> Path:
        """An empty folder of that name."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def words(self, template: Sequence[str], **values: object) -> list[str]:
        """A command line of a table, with its fields filled in."""
        known = {"checkpoint": self.checkpoint, "store": self.store, "primer": self.primer}
        if "{made}" in template:
            known["made"] = self.made
        return [word.format_map(known | values) for word in template]

    @functools.cached_property
    def commands(self) -> Commands:
        """The command server."""
        return self._stack.enter_context(command_server(self.folder / "server"))

    @functools.cached_property
    def idle_bytes(self) -> int:
        """Memory that a command has before it does anything: all that is imported."""
        return self.commands.run("--version", folder=self.folder).peak_bytes

    @functools.cached_property
    def primer(self) -> Path:
        """A real piece of music."""
        return CHECKOUT / "data" / "primers" / "satie_gymnopedie_1.mid"

    @functools.cached_property
    def store(self) -> Path:
        """A token store of a few pieces."""
        return self._store("tiny.store", first_seed=0)

    @functools.cached_property
    def other_store(self) -> Path:
        """Another one."""
        return self._store("other.store", first_seed=10)

    def _store(self, name: str, *, first_seed: int) -> Path:
        from perceiver_music.dataset.token_store import write_token_store
        from perceiver_music.tokenizer import vocabulary

        path = self.folder / name
        splits = ("train", "train", "train", "validation", "validation", "test")
        pieces = [
            made_up_piece(split, first_seed + number, 30 * number + 5)
            for number, split in enumerate(splits)
        ]
        write_token_store(
            path,
            pieces,
            tokenizer_name=TOKENIZER,
            fingerprint=vocabulary.FINGERPRINT,
            overwrite=False,
        )
        return path

    @functools.cached_property
    def checkpoint(self) -> Path:
        """A model of random weights, which says that it fills gaps, with an index of `store`."""
        import torch

        from perceiver_music.jobs.passages_building import build
        from perceiver_music.model.checkpoint import save_checkpoint
        from perceiver_music.model.registry import build_from_preset
        from perceiver_music.tokenizer.vocabulary import VOCABULARY_SIZE

        torch.manual_seed(3)
        sizes = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 64, "latents": 16}
        sizes["vocabulary_size"] = VOCABULARY_SIZE
        path = self.folder / "tiny"
        save_checkpoint(
            path,
            build_from_preset("perceiver_ar", "modern", sizes),
            name="tiny",
            tokenizer_name=TOKENIZER,
            details={"recipe": FILLS_GAPS, "data": {}, "metrics": {}, "licence": "CC0-1.0"},
            card="# tiny\n",
            overwrite=False,
        )
        build(self.store, str(path))
        return path

    @functools.cached_property
    def short(self) -> Path:
        """One note."""
        ids, path = self.folder / "ids.json", self.folder / "short.mid"
        ids.write_text(ONE_NOTE)
        ended = self.commands.run("tokens", "--decode", ids, "-o", path, folder=self.folder)
        assert ended.code == 0, ended
        return path

    @functools.cached_property
    def made(self) -> Path:
        """A file that the checkpoint made, and that can be replayed."""
        path = self.folder / "made.mid"
        words = ["continue", str(self.primer), "--checkpoint", str(self.checkpoint), "--seed", "1"]
        words += ["--length", "8", "--device", "cpu", "-o", str(path)]
        ended = self.commands.run(*words, folder=self.folder)
        assert ended.code == 0, ended
        return path
