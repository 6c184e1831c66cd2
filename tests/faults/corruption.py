"""Promise 3: a damaged checkpoint, store or run is never used as if it were whole."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import InvalidInputError, PerceiverMusicError
from perceiver_music.evaluation.passage_index_file import read_passages
from perceiver_music.model.checkpoint import load_checkpoint
from perceiver_music.training.run_file import read_run_file
from perceiver_music.training.run_state import load_newest
from tests.faults.ledger import Ledger
from tests.faults.training_runs import fingerprint, resume_words, start_words
from tests.faults.workshop import Workshop

PAGE = 4096
PER_FLIP = 5
"""One truncation and one zeroed page for so many flips."""
THROUGH_A_COMMAND = 50
"""One of so many flips of each kind is shown to a real command too."""
INDEX_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file, as one row of the table.

    Attributes:
        file: which one, below the folder of `_material`.
        read: opens what it belongs to, and returns what must not have changed.
        falls_back: whether an older one is taken in its place, rather than the refusal 65.
        part: which share of the file is damaged, from and to.
        words: a command that meets it.
    """

    file: str
    read: Callable[[Path], object]
    words: tuple[str, ...]
    falls_back: bool = False
    part: tuple[float, float] = (0.0, 1.0)


def _store(folder: Path) -> object:
    store = TokenStore.open(folder / "tiny.store")
    return [store.pieces, [store.ids(piece).tobytes() for piece in store.pieces]]


def _checkpoint(folder: Path) -> object:
    loaded = load_checkpoint(folder / "model")
    weights = {name: t.numpy().tobytes() for name, t in loaded.model.state_dict().items()}
    return [weights, dict(loaded.description.fields)]


def _passages(folder: Path) -> object:
    found = read_passages(folder / "model" / "passages.index")
    return [found.text.pitch.tobytes(), found.text.step.tobytes(), found.pieces, found.about]


def _state(folder: Path) -> object:
    warnings: list[str] = []
    state = load_newest(folder / "run", warnings.append)
    return [state.counts, {name: t.numpy().tobytes() for name, t in state.weights.items()}]


def _run_file(folder: Path) -> object:
    return read_run_file(folder / "run")


EVALUATE = ("evaluate", "--data", "{folder}/tiny.store", "--checkpoint", "{checkpoint}")
CHECK = ("check", "{primer}", "--checkpoint", "{folder}/model")
VERIFY = ("models", "verify", "{folder}/model")
RESUME = ("train", "--resume", "--output", "{folder}/run", "--device", "cpu")
NEWEST = "run/steps/step-00000006"

KINDS = {
    "shard": Kind(file="tiny.store", read=_store, words=EVALUATE, part=(0.0, 1 - INDEX_SHARE)),
    "index": Kind(file="tiny.store", read=_store, words=EVALUATE, part=(1 - INDEX_SHARE, 1.0)),
    "checkpoint's weights": Kind(file="model/model.safetensors", read=_checkpoint, words=VERIFY),
    "checkpoint.json": Kind(file="model/checkpoint.json", read=_checkpoint, words=VERIFY),
    "passages.index": Kind(file="model/passages.index", read=_passages, words=CHECK),
    "model card": Kind(file="model/MODEL_CARD.md", read=_checkpoint, words=VERIFY),
    "run.json": Kind(file="run/run.json", read=_run_file, words=RESUME),
    **{
        f"saved step's {file}": Kind(
            file=f"{NEWEST}/{file}", read=_state, words=RESUME, falls_back=True
        )
        for file in ("model.safetensors", "training.safetensors", "state.json")
    },
}


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """`size` flips, a fifth as many truncations and zeroed pages, of every kind."""
    folder = workshop.fresh("corruption")
    _material(folder, workshop)
    for name, kind in KINDS.items():
        _damage_one_kind(ledger, name, kind, size, folder)
    through_the_commands(ledger, size, folder, workshop)


def _material(folder: Path, workshop: Workshop) -> None:
    shutil.copy(workshop.store, folder / "tiny.store")
    shutil.copytree(workshop.checkpoint, folder / "model")
    words = start_words(workshop, folder / "run", steps=6)
    assert workshop.commands.run(*words, folder=folder).code == 0


def _damages(data: bytes, kind: Kind, size: int, seed: str) -> Iterator[tuple[str, bytes]]:
    """Bytes that differ from `data`, and what was done to them."""
    rng = random.Random(seed)
    low, high = (int(share * len(data)) for share in kind.part)
    for _ in range(size):
        place, bit = rng.randrange(low, high), rng.randrange(8)
        changed = data[place] ^ 1 << bit
        yield f"bit {bit} of byte {place}", data[:place] + bytes([changed]) + data[place + 1 :]
    for _ in range(-(-size // PER_FLIP)):
        length = rng.randrange(low, high)
        yield f"cut to {length}", data[:length]
    num_zeroed = 0
    while num_zeroed < -(-size // PER_FLIP):
        start = rng.randrange(low, high) // PAGE * PAGE if len(data) > 4 * PAGE else 0
        length = PAGE if len(data) > 4 * PAGE else rng.randrange(1, len(data) + 1)
        zeroed = data[:start] + bytes(len(data[start : start + length])) + data[start + length :]
        if zeroed != data:
            num_zeroed += 1
            yield f"{length} zeros at {start}", zeroed


def _damage_one_kind(ledger: Ledger, name: str, kind: Kind, size: int, folder: Path) -> None:
    file = folder / kind.file
    data, whole = file.read_bytes(), kind.read(folder)
    for what, changed in _damages(data, kind, size, name):
        file.write_bytes(changed)
        why = None
        try:
            found = kind.read(folder)
        except InvalidInputError as error:
            why = "refused instead of passed over" if kind.falls_back else None
            why = why if error.hint else "no way out is told"
        except PerceiverMusicError as error:
            why = f"another failure: {error}"
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        else:
            # A letter of a number written in the other case means the same: no harm.
            is_same = found == whole
            ledger.count("the same in another spelling", int(is_same))
            if not is_same and not (kind.falls_back and found[0].step == 3):  # type: ignore[index]
                why = "used"
        ledger.enter(why is None, f"{name}, {what}", why)
    file.write_bytes(data)


def through_the_commands(ledger: Ledger, size: int, folder: Path, workshop: Workshop) -> None:
    """A few of them by the real commands: 65, or a run that falls back and ends the same."""
    resume = resume_words(folder / "run")
    for name, kind in KINDS.items():
        file = folder / kind.file
        data = file.read_bytes()
        for what, changed in _damages(data, kind, -(-size // THROUGH_A_COMMAND), f"{name} again"):
            kept = folder / "kept"
            shutil.copytree(folder / "run", kept)
            file.write_bytes(changed)
            words = workshop.words(kind.words, folder=folder)
            if kind.falls_back:
                words = [*resume, "--max-steps", "6"]
            ended = workshop.commands.run(*words, folder=folder)
            is_right = ended.code == 0 if kind.falls_back else ended.code == 65
            if kind.falls_back and is_right:
                is_right = "going back to the step before" in ended.stderr
                is_right = is_right and fingerprint(folder / "run") == fingerprint(kept)
            ledger.enter(is_right and ended.is_clean, f"{words[0]} on {name}, {what}", ended)
            file.write_bytes(data)
            shutil.rmtree(folder / "run")
            kept.rename(folder / "run")
