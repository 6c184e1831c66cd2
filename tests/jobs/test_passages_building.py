"""A checkpoint is given an index of its training set, whole or not at all."""

import shutil
from pathlib import Path

import pytest

from perceiver_music.dataset.token_store import TokenStore, write_token_store
from perceiver_music.errors import (
    BusyError,
    InvalidInputError,
    OutputExistsError,
    StorageError,
    UnavailableError,
)
from perceiver_music.evaluation import passage_index_file
from perceiver_music.files import write_bytes_atomically
from perceiver_music.jobs import passages
from perceiver_music.jobs import passages_building as building
from perceiver_music.locks import exclusive_lock
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.model.checkpoint_description import read_description, verify_checkpoint
from perceiver_music.tokenizer import vocabulary
from tests.conftest import made_up_piece


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The bundled one, without an index."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(resolve_checkpoint(), folder)
    (folder / passages.INDEX_FILE).unlink(missing_ok=True)
    return folder


def test_a_checkpoint_carries_it(tiny_store: TokenStore, checkpoint: Path) -> None:
    with pytest.raises(UnavailableError) as refused:
        passages.find(str(checkpoint), None)
    assert "--data" in (refused.value.hint or "")
    before = read_description(checkpoint).fields
    told: list[str] = []
    result = building.build(tiny_store.path, str(checkpoint), warn=told.append)
    assert "was trained on this store" in told[0]
    assert (result.pieces, result.size) == (3, Path(result.output).stat().st_size)
    carried = passages.find(str(checkpoint), None)
    assert len(carried.pieces) == 3
    assert carried.about["licence"] == before["licence"]
    description = verify_checkpoint(checkpoint)
    assert passages.INDEX_FILE in description.fields["files"]
    after = dict(description.fields)
    assert {**after, "files": None} == {**before, "files": None}
    with pytest.raises(OutputExistsError):
        building.build(tiny_store.path, str(checkpoint))
    building.build(tiny_store.path, str(checkpoint), overwrite=True)
    (checkpoint / passages.INDEX_FILE).write_bytes(b"junk")
    with pytest.raises(InvalidInputError):
        passages.find(str(checkpoint), None)


def other_store(folder: Path) -> Path:
    path = folder / "other.store"
    write_token_store(
        path,
        [made_up_piece("train", seed, 40) for seed in (7, 8, 9)],
        tokenizer_name="maestro-performance-400",
        fingerprint=vocabulary.FINGERPRINT,
        overwrite=False,
    )
    return path


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_build_that_fails_leaves_a_checkpoint_that_can_be_used(
    tiny_store: TokenStore,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails_at: int,
) -> None:
    """Another index takes the place of the old one, and the disk is full in the middle of that."""
    building.build(tiny_store.path, str(checkpoint))
    written = []

    def write(path: Path, data: bytes, *, overwrite: bool) -> None:
        if len(written) == fails_at:
            raise StorageError("no space left on device", path=path)
        written.append(path)
        write_bytes_atomically(path, data, overwrite=overwrite)

    monkeypatch.setattr(building, "write_bytes_atomically", write)
    monkeypatch.setattr(passage_index_file, "write_bytes_atomically", write)
    with pytest.raises(StorageError):
        building.build(other_store(tmp_path), str(checkpoint), overwrite=True)
    verify_checkpoint(checkpoint)
    assert len(passages.find(str(checkpoint), None).pieces) == 3


def test_two_builds_at_once_do_not_mix(tiny_store: TokenStore, checkpoint: Path) -> None:
    with exclusive_lock(checkpoint), pytest.raises(BusyError):
        building.build(tiny_store.path, str(checkpoint))
    assert not (checkpoint / passages.INDEX_FILE).exists()
    building.build(tiny_store.path, str(checkpoint))
    verify_checkpoint(checkpoint)
