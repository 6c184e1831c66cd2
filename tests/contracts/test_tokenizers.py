"""What every tokenizer promises, run over the registry."""

import numpy as np
import pytest

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.music.performance import NOTE_DTYPE, Performance
from perceiver_music.tokenizer.base import Tokenizer
from perceiver_music.tokenizer.registry import DEFAULT_TOKENIZER, TOKENIZERS, get_tokenizer


@pytest.fixture(params=sorted(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return get_tokenizer(request.param)


@pytest.fixture
def performance() -> Performance:
    rows = [(0, 500_000, 60, 64), (250_000, 1_750_000, 64, 80), (3_000_000, 3_010_000, 60, 1)]
    return Performance(notes=np.array(rows, dtype=NOTE_DTYPE))


def test_names_lead_to_their_tokenizers(tokenizer: Tokenizer) -> None:
    assert get_tokenizer(tokenizer.name) is tokenizer
    assert len(tokenizer.fingerprint) == 16
    assert DEFAULT_TOKENIZER in TOKENIZERS
    with pytest.raises(UsageError):
        get_tokenizer("nobody's")


def test_ids_come_back_as_they_went(tokenizer: Tokenizer, performance: Performance) -> None:
    ids = tokenizer.encode(performance)
    assert len(ids) > 0
    assert int(ids.max()) < tokenizer.vocabulary_size
    assert tokenizer.encode(tokenizer.decode(ids)).tolist() == ids.tolist()
    assert tokenizer.decode(ids).num_notes == performance.num_notes


def test_every_id_has_a_name_and_no_other_has(tokenizer: Tokenizer) -> None:
    names = [tokenizer.describe(token) for token in range(tokenizer.vocabulary_size)]
    assert len(set(names)) == tokenizer.vocabulary_size
    for token in (-1, tokenizer.vocabulary_size):
        with pytest.raises(ValueError, match="not an id"):
            tokenizer.describe(token)
        with pytest.raises(InvalidInputError):
            tokenizer.decode([token])


def test_time_runs_forward(tokenizer: Tokenizer, performance: Performance) -> None:
    moments = tokenizer.seconds(tokenizer.encode(performance))
    assert (np.diff(moments) >= 0).all()
    assert moments[-1] == pytest.approx(3.01)


def test_anything_decodes(tokenizer: Tokenizer) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        ids = rng.integers(0, tokenizer.vocabulary_size, 300)
        notes = tokenizer.decode(ids).notes
        assert (notes["end_us"] > notes["start_us"]).all()
    assert tokenizer.decode([]).num_notes == 0
