"""What several tests share: the data beside a checkout, and a store small enough to train on."""

from pathlib import Path

import numpy as np
import pytest

from perceiver_music.dataset.token_store import EncodedPiece, TokenStore, write_token_store
from perceiver_music.music.performance import NOTE_DTYPE
from perceiver_music.tokenizer import vocabulary
from perceiver_music.tokenizer.performance_events import encode_notes


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Data sets beside the checkout, which not every machine has."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder


def made_up_piece(split: str, seed: int, num_notes: int) -> EncodedPiece:
    """Notes that never overlap on a key, at uneven times."""
    rng = np.random.default_rng(seed)
    notes = np.zeros(num_notes, dtype=NOTE_DTYPE)
    notes["start_us"] = np.cumsum(rng.integers(20_000, 400_000, num_notes))
    notes["end_us"] = notes["start_us"] + 150_000
    notes["pitch"] = 40 + (np.arange(num_notes) * 7 + rng.integers(0, 3, num_notes)) % 40
    notes["velocity"] = rng.integers(30, 100, num_notes)
    return EncodedPiece(
        title=f"piece {seed}",
        composer="",
        split=split,
        path=f"{seed}.mid",
        source_sha256=f"{seed:064d}",
        seconds=float(notes["end_us"].max()) / 1e6,
        ids=encode_notes(notes),
        notes=notes,
    )


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    """Three pieces to train on, of which one is shorter than a window, and one of each other."""
    path: Path = tmp_path_factory.mktemp("store") / "tiny.store"
    pieces = [
        made_up_piece("train", 1, 60),
        made_up_piece("train", 2, 5),
        made_up_piece("train", 3, 90),
        made_up_piece("validation", 4, 30),
        made_up_piece("test", 5, 30),
    ]
    write_token_store(
        path,
        pieces,
        tokenizer_name="maestro-performance-400",
        fingerprint=vocabulary.FINGERPRINT,
        overwrite=False,
    )
    return TokenStore.open(path)
