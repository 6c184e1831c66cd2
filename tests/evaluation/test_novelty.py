"""Planted copies are found, whatever key and tempo; nothing else is."""

import numpy as np
import pytest

from perceiver_music.evaluation.novelty import PassageIndex
from perceiver_music.music.performance import note_array


def notes_of(pitch: np.ndarray, seed: int = 0) -> np.ndarray:
    start = np.cumsum(np.random.default_rng(seed).integers(1_000, 400_000, len(pitch)))
    return note_array(start, start + 200_000, pitch, np.full(len(pitch), 64))


def random_notes(seed: int, size: int, low: int = 21, high: int = 109) -> np.ndarray:
    return notes_of(np.random.default_rng(seed).integers(low, high, size), seed)


def longest_by_hand(query: np.ndarray, pieces: list[np.ndarray]) -> int:
    def steps(notes: np.ndarray) -> list[int]:
        return np.diff(notes["pitch"].astype(int)).tolist()

    wanted, best = steps(query), 0
    for piece in map(steps, pieces):
        row = [0] * (len(piece) + 1)
        for step in wanted:
            row = [0] + [row[i] + 1 if piece[i] == step else 0 for i in range(len(piece))]
            best = max(best, *row)
    return best + 1 if best else 0


@pytest.mark.parametrize("seed", range(12))
def test_the_longest_passage_is_found(seed: int) -> None:
    """Few pitches, so that short matches are everywhere."""
    pieces = [random_notes(100 * seed + i, 150, 60, 64) for i in range(4)]
    query = random_notes(100 * seed + 50, 80, 60, 64)
    passage = PassageIndex(pieces).longest_shared(query)
    assert passage.num_notes == longest_by_hand(query, pieces)


@pytest.mark.parametrize("length", [20, 64, 65, 66, 150])
@pytest.mark.parametrize(("transposition", "stretch"), [(0, 1.0), (-7, 1.0), (5, 1.1)])
def test_a_planted_copy_is_found(length: int, transposition: int, stretch: float) -> None:
    pieces = [random_notes(i, 500, 40, 90) for i in range(5)]
    query = random_notes(9, 400, 40, 90)
    copied = pieces[3][100 : 100 + length].copy()
    query[200 : 200 + length]["pitch"] = copied["pitch"].astype(int) + transposition
    times = (copied["start_us"] - copied["start_us"][0]) * stretch
    query["start_us"][200 : 200 + length] = query["start_us"][200] + times.astype(int)
    passage = PassageIndex(pieces).longest_shared(query)
    assert length <= passage.num_notes <= length + 2  # a neighbour may match by chance
    assert passage.piece == 3
    assert passage.transposition == transposition
    assert passage.piece_seconds[1] * stretch == pytest.approx(passage.query_seconds[1], abs=0.5)


def test_passages_do_not_reach_over_the_end_of_a_piece() -> None:
    pieces = [notes_of(np.arange(40, 60)), notes_of(np.arange(60, 80))]
    assert PassageIndex(pieces).longest_shared(notes_of(np.arange(30, 70))).num_notes == 20


def test_a_long_trill_is_followed_to_its_end() -> None:
    trill = np.tile([60, 62], 300)
    pieces = [notes_of(np.concatenate((trill, [70]))), notes_of(trill[:100])]
    query = notes_of(np.concatenate((trill[:250], [50, 51])))
    assert PassageIndex(pieces).longest_shared(query).num_notes == 250


def test_nothing_is_shared() -> None:
    passage = PassageIndex([notes_of(np.array([60, 61, 62]))]).longest_shared(
        notes_of(np.array([60, 67, 60]))
    )
    assert (passage.num_notes, passage.piece) == (0, None)
    assert PassageIndex([random_notes(0, 9)]).longest_shared(random_notes(0, 0)).num_notes == 0


def test_pieces_keep_their_numbers_beside_empty_ones() -> None:
    empty, found = random_notes(0, 0), random_notes(3, 40)
    passage = PassageIndex([empty, random_notes(1, 40), empty, empty, found]).longest_shared(found)
    assert (passage.piece, passage.num_notes) == (4, 40)
    assert passage.piece_seconds == passage.query_seconds


def test_an_index_of_no_notes_is_refused() -> None:
    with pytest.raises(ValueError, match="no notes"):
        PassageIndex([random_notes(0, 0)])
