"""`infill` as a job: all outside the gap is the file's, the gap is filled and no more."""

from pathlib import Path

import numpy as np
import pytest
import torch

from perceiver_music.errors import InvalidInputError, UnavailableError, UsageError
from perceiver_music.jobs.continuation import ContinueRequest, ContinueResult, Session, open_session
from perceiver_music.model.checkpoint import save_checkpoint
from perceiver_music.model.registry import build_from_preset
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer import vocabulary as v

RECIPE = {"windows": {"infill_share": 0.1, "infill_seconds": [1.0, 30.0]}}


def saved(folder: Path, recipe: dict[str, object]) -> str:
    """A model of random weights whose recipe says what it has learned."""
    torch.manual_seed(0)
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 256, "latents": 32}
    model = build_from_preset(
        "perceiver_ar", "modern", {**fields, "vocabulary_size": v.VOCABULARY_SIZE}
    )
    torch.nn.init.normal_(model.get_parameter("output.weight"), std=0.2)
    save_checkpoint(
        folder,
        model,
        name=folder.name,
        tokenizer_name="maestro-performance-400",
        details={"recipe": recipe, "data": {}, "metrics": {}, "licence": "none"},
        card="",
        overwrite=False,
    )
    return str(folder)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return open_session(saved(tmp_path_factory.mktemp("models") / "fills", RECIPE), device="cpu")


def file_bytes() -> bytes:
    """Twenty seconds with overlapping notes, a pedal that is down at both edges, a tempo change."""
    track = Tracks()
    track.meta(0, 0x51, (500_000).to_bytes(3, "big"))
    track.meta(9_000, 0x51, (450_000).to_bytes(3, "big"))
    for i in range(80):
        track.note(
            i * 240, i * 240 + 130 + i % 7 * 90, channel=0, pitch=45 + i * 7 % 36, velocity=30 + i
        )
    track.note(5_000, 9_500, channel=0, pitch=30, velocity=60)  # over both edges
    for tick, value in ((4_000, 90), (6_400, 0), (7_000, 80), (9_000, 0)):
        track.control(tick, channel=0, number=64, value=value)
    return track.file(480)


def fill(session: Session, first: float = 6.0, last: float = 8.5, **fields: object):
    request = ContinueRequest(
        primer=file_bytes(), primer_name="x.mid", between_seconds=(first, last), **fields
    )
    return session.run(request)


def outside(data: bytes, first: float, last: float) -> tuple[list[object], list[object]]:
    file = parse_midi(data, name="x")
    starts = file.performance.notes["start_us"]
    # A new note may stand a fraction of a tick before the moment that it begins at.
    is_out = (starts < first * 1e6 - 1_000) | (starts >= last * 1e6)
    is_out_move = (file.controls["time_us"] < first * 1e6) | (
        file.controls["time_us"] > last * 1e6 + 1_000
    )
    return file.performance.notes[is_out].tolist(), file.controls[is_out_move].tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("gap", [(6.0, 8.5), (0.0, 3.0), (12.34, 13.567), (17.0, 25.0)])
def test_all_outside_the_gap_is_the_files_own(
    session: Session, gap: tuple[float, float], seed: int
) -> None:
    result = fill(session, *gap, seed=seed)
    before, _ = outside(file_bytes(), *gap)
    after, _ = outside(result.midi, *gap)
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert abs(old[0] - new[0]) <= 1_000
        assert old[2:] == new[2:]
        if old[1] != new[1]:  # its end lay in the gap, or its sound did
            assert old[0] < gap[0] * 1e6 < old[1] < gap[1] * 1e6
    is_last_part = gap == (17.0, 25.0)  # no key is struck behind it
    assert result.ended == ("ending" if is_last_part else "length")
    assert result.as_json()["between"] == list(gap)


@pytest.mark.parametrize("seed", range(4))
def test_the_gap_is_filled_and_no_more(session: Session, seed: int) -> None:
    gap = (6.0, 8.5)
    result = fill(session, *gap, seed=seed)
    notes = parse_midi(result.midi, name="y").performance.notes
    inside = notes[(notes["start_us"] >= gap[0] * 1e6) & (notes["start_us"] < gap[1] * 1e6)]
    assert len(inside) == result.notes > 0
    heard = apply_sustain(parse_midi(file_bytes(), name="x").performance).notes
    is_gone = (heard["start_us"] >= gap[0] * 1e6) & (heard["start_us"] < gap[1] * 1e6)
    assert inside["end_us"].max() <= max(gap[1] * 1e6, heard["end_us"][is_gone].max()) + 1_000
    assert result.seconds <= gap[1] - gap[0]
    for pitch in np.unique(inside["pitch"]):  # no key is struck while it sounds
        own = np.sort(notes[notes["pitch"] == pitch], order="start_us")
        started_in_gap = own["start_us"][1:] >= gap[0] * 1e6
        assert (own["start_us"][1:] >= own["end_us"][:-1])[started_in_gap].all()


def test_the_pedal_is_up_in_the_gap_and_back_after_it(session: Session) -> None:
    result = fill(session, 6.0, 8.5)
    old = parse_midi(file_bytes(), name="x").performance.pedal
    new = parse_midi(result.midi, name="y").performance.pedal

    def value_at(pedal: np.ndarray, seconds: float) -> int:
        return int(pedal["value"][pedal["time_us"] <= seconds * 1e6][-1])

    assert value_at(new, 8.45) == 0
    for moment in (5.9, 8.501, 9.2, 12.0):
        assert value_at(new, moment) == value_at(old, moment)


def test_a_filled_gap_depends_on_seed_and_number_alone(session: Session) -> None:
    assert fill(session, seed=1).midi == fill(session, seed=1).midi
    assert fill(session, seed=1).midi != fill(session, seed=2).midi
    assert fill(session, seed=1).midi != fill(session, seed=1, index=2).midi


def test_a_checkpoint_that_has_not_learned_it_says_so(tmp_path: Path) -> None:
    for number, recipe in enumerate(({}, {"windows": {"infill_share": 0.0}}, {"windows": 3})):
        session = open_session(saved(tmp_path / str(number), recipe), device="cpu")
        with pytest.raises(UnavailableError, match="has not learned to fill gaps") as caught:
            fill(session)
        assert caught.value.hint


def test_gaps_of_unusual_length_are_filled_with_a_warning(session: Session) -> None:
    warnings: list[str] = []
    request = ContinueRequest(primer=file_bytes(), primer_name="x", between_seconds=(5.0, 5.5))
    result: ContinueResult = session.run(request, warn=warnings.append)
    assert "trained" in warnings[0]
    assert result.seconds <= 0.5


def test_gaps_that_are_none(session: Session) -> None:
    for gap in ((5.0, 5.0), (6.0, 5.0), (40.0, 45.0), (0.0, 130.0)):
        with pytest.raises(UsageError, match="between"):
            fill(session, *gap)
    with pytest.raises(UsageError, match="six hours"):
        ContinueRequest(between_seconds=(1.0, 1e9))
    with pytest.raises(InvalidInputError):
        session.run(ContinueRequest(primer=b"no", primer_name="x", between_seconds=(1.0, 2.0)))
