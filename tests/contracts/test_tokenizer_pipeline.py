"""Whatever the tokenizer: files to a store, to a checkpoint, to a likelihood and to new music."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import numpy as np
import pytest

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import InvalidInputError, UnavailableError, UsageError
from perceiver_music.generation.options import LengthOption
from perceiver_music.jobs import continuation, evaluate, preprocess, train
from perceiver_music.jobs.continuation_request import ContinueRequest
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.tokenizer.registry import TOKENIZERS

SMALL = (
    "model.settings={width=32, num_heads=2, num_layers=1, context=128, latents=32}",
    "windows.latents=32",
    "windows.contexts=[[0, 128]]",
    "windows.windows_per_step=2",
    "windows.augmentation={transpose=2, velocity_shift=2, stretch=[0.95, 1.05]}",
    "model.counts_events=true",
    "run.windows_per_pass=2",
)


def piece(seed: int) -> bytes:
    """A MIDI file with notes and a pedal that is pressed and let go of."""
    rng = np.random.default_rng(seed)
    notes = np.zeros(40, dtype=NOTE_DTYPE)
    notes["start_us"] = np.cumsum(rng.integers(20_000, 300_000, 40))
    notes["end_us"] = notes["start_us"] + rng.integers(50_000, 200_000, 40)
    notes["pitch"] = 40 + (7 * np.arange(40) + seed) % 45
    notes["velocity"] = rng.integers(30, 100, 40)
    pedal = np.zeros(30, dtype=PEDAL_DTYPE)
    pedal["time_us"] = np.cumsum(rng.integers(50_000, 400_000, 30))
    pedal["value"] = rng.integers(0, 128, 30)
    return performance_to_midi(Performance(notes, pedal))


@pytest.fixture(scope="module", params=sorted(TOKENIZERS))
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Path]:
    """Name of a tokenizer, a store and a checkpoint of it."""
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "midi").mkdir()
    for seed in range(12):
        (folder / "midi" / f"{seed}.mid").write_bytes(piece(seed))
    store, run = folder / "made.store", folder / "run"
    preprocess.run(
        preprocess.PreprocessRequest(
            sources=(str(folder / "midi"),), output=store, workers=1, tokenizer=request.param
        )
    )
    result = train.run(
        TrainRequest(
            data=store, output=run, recipe="smoke", settings=SMALL, max_steps=3, device="cpu"
        )
    )
    assert result.report.step == 3
    return request.param, store, run / "checkpoint"


def test_a_store_holds_what_the_tokenizer_writes(trained: tuple[str, Path, Path]) -> None:
    name, path, _ = trained
    store = TokenStore.open(path)
    assert store.tokenizer_name == name
    first = store.pieces[0]
    data = piece(int(Path(first.path).stem))
    ids = TOKENIZERS[name].encode(parse_midi(data, name=first.path).performance)
    assert store.ids(first).tolist() == ids.tolist()


def test_a_likelihood_of_files_and_of_the_store(
    trained: tuple[str, Path, Path], tmp_path: Path
) -> None:
    _, store, checkpoint = trained
    split = next(s for s in ("test", "validation", "train") if TokenStore.open(store).split(s))
    of_store = evaluate.run(
        evaluate.EvaluateRequest(data=store, split=split, checkpoint=str(checkpoint), device="cpu")
    )
    first = of_store.pieces[0]
    file = tmp_path / "again.mid"
    file.write_bytes(piece(int(Path(first.path).stem)))
    of_file = evaluate.run(
        evaluate.EvaluateRequest(files=(file,), checkpoint=str(checkpoint), device="cpu")
    )
    np.testing.assert_allclose(of_file.pieces[0].nats, first.nats)
    vocabulary = TOKENIZERS[trained[0]].vocabulary
    assert 0 < of_file.nats_per_event < 3 * np.log(vocabulary.size)


@pytest.mark.parametrize("ending", [False, True])
def test_new_music_after_a_primer_and_from_nothing(
    trained: tuple[str, Path, Path], ending: bool
) -> None:
    name, _, checkpoint = trained
    session = continuation.open_session(str(checkpoint), device="cpu")
    primer = piece(99)
    for data, to_seconds in ((primer, 2.0), (primer, None), (None, None)):
        result = session.run(
            ContinueRequest(
                primer=data,
                primer_name="primer.mid" if data else "",
                to_seconds=to_seconds,
                seed=5,
                length=LengthOption(amount=120, unit="events"),
                ending=ending,
            )
        )
        made = parse_midi(result.midi, name="made").performance
        assert made.num_notes > 0
        keys, pedal = set(), 0
        for message in mido.MidiFile(file=io.BytesIO(result.midi)).tracks[0]:
            if message.type == "note_on":
                keys.add(message.note)
            elif message.type == "note_off":
                keys.discard(message.note)
            elif message.type == "control_change" and message.control == 64:
                pedal = message.value
        assert (keys, pedal) == (set(), 0)
        if name == "pedal-performance-623" and data is None:
            assert len(made.pedal) > 1


def test_the_primer_stays_as_it_is(trained: tuple[str, Path, Path]) -> None:
    _, _, checkpoint = trained
    session = continuation.open_session(str(checkpoint), device="cpu")
    primer = piece(7)
    result = session.run(
        ContinueRequest(
            primer=primer,
            primer_name="p.mid",
            to_seconds=3.0,
            length=LengthOption(amount=40, unit="events"),
        )
    )
    given = parse_midi(primer, name="p").performance
    made = parse_midi(result.midi, name="m").performance
    assert made.notes["start_us"][0] == given.notes["start_us"][0]
    before = given.pedal[given.pedal["time_us"] < 3_000_000]
    assert np.array_equal(before, made.pedal[: len(before)])


def test_gaps_are_refused_in_one_line_by_those_that_have_none(
    trained: tuple[str, Path, Path], tmp_path: Path
) -> None:
    name, store, checkpoint = trained
    session = continuation.open_session(str(checkpoint), device="cpu")
    fill = ContinueRequest(primer=piece(3), primer_name="p.mid", between_seconds=(1.0, 2.0))
    with pytest.raises(UnavailableError, match="has not learned to fill gaps"):
        session.run(fill)
    if not TOKENIZERS[name].can_infill:
        gaps = TrainRequest(
            data=store,
            output=tmp_path / "run",
            recipe="smoke",
            settings=(*SMALL, "windows.infill_share=0.5"),
            max_steps=1,
            device="cpu",
        )
        with pytest.raises(UsageError, match="no way to write a gap"):
            train.run(gaps)


def test_ids_of_one_are_not_taken_for_those_of_another(
    trained: tuple[str, Path, Path], tiny_store: TokenStore
) -> None:
    name, _, checkpoint = trained
    request = evaluate.EvaluateRequest(
        data=tiny_store.path, checkpoint=str(checkpoint), device="cpu"
    )
    if name == tiny_store.tokenizer_name:
        assert evaluate.run(request).events > 0
    else:
        with pytest.raises(InvalidInputError, match=f"the checkpoint speaks {name}"):
            evaluate.run(request)
