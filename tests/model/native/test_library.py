"""A library is used only with the sources that it was compiled from."""

from collections.abc import Iterator

import pytest

from perceiver_music.bundled import bundled_checkpoints
from perceiver_music.errors import UnavailableError
from perceiver_music.model.decoding import load_decoder
from perceiver_music.model.native import library
from perceiver_music.model.native.library import is_stale, load_library

pytestmark = pytest.mark.skipif(load_library() is None, reason="the library is not compiled")


@pytest.fixture
def looked_for_anew() -> Iterator[None]:
    library._found.cache_clear()
    yield
    library._found.cache_clear()


def test_one_of_other_sources_is_left_unused_and_the_user_is_told(
    looked_for_anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "hash_of_sources", lambda: "of what was pulled since")
    assert load_library() is None
    assert is_stale()
    checkpoint = bundled_checkpoints() / "maestro"
    loaded = load_decoder(checkpoint, device="cpu")
    assert loaded.engine == "torch"
    assert loaded.doubt is not None
    assert "python -m perceiver_music.model.native.compile" in loaded.doubt
    assert load_decoder(checkpoint, device="cpu", decoder="torch").doubt is None
    with pytest.raises(UnavailableError, match="other sources"):
        load_decoder(checkpoint, decoder="int8")


def test_where_sources_are_left_out_the_number_alone_counts(
    looked_for_anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "hash_of_sources", lambda: None)
    assert load_library() is not None
    library._found.cache_clear()
    monkeypatch.setattr(library, "_ABI", library._ABI + 1)
    assert load_library() is None
    assert is_stale()


def test_one_that_is_not_there_is_not_stale(
    looked_for_anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "LIBRARY", library.LIBRARY.with_name("gone.so"))
    assert load_library() is None
    assert not is_stale()
