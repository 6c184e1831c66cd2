"""`evaluate` and `models` as jobs."""

from pathlib import Path

import mido
import pytest

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import StorageError, UsageError
from perceiver_music.jobs import evaluate, models, train
from perceiver_music.jobs.evaluate_request import EvaluateRequest
from perceiver_music.jobs.train_request import TrainRequest

SMALL = (
    "model.settings={width=16, num_heads=2, num_layers=1, context=64, latents=16}",
    "windows.latents=16",
    "windows.contexts=[[0, 32]]",
    "windows.windows_per_step=4",
)


@pytest.fixture(scope="module")
def checkpoint(tiny_store: TokenStore, tmp_path_factory: pytest.TempPathFactory) -> str:
    run_folder = tmp_path_factory.mktemp("runs") / "run"
    request = TrainRequest(
        data=tiny_store.path,
        output=run_folder,
        recipe="smoke",
        settings=SMALL,
        max_steps=3,
        device="cpu",
    )
    train.run(request)
    return str(run_folder / "checkpoint")


def scores(store: TokenStore, checkpoint: str, **fields: object) -> dict:
    request = EvaluateRequest(data=store.path, checkpoint=checkpoint, device="cpu", **fields)
    return evaluate.run(request).as_json()


def test_every_event_of_the_split_is_counted(tiny_store: TokenStore, checkpoint: str) -> None:
    fields = scores(tiny_store, checkpoint, split="train", per_event=True)
    pieces = tiny_store.split("train")
    assert fields["pieces"] == len(pieces) == len(fields["per_piece"])
    assert fields["events"] == sum(piece.num_tokens + 1 for piece in pieces)
    assert fields["notes"] == sum(piece.num_notes for piece in pieces)
    trained_on = (32, 16, 8)  # the context of its windows, not the model's longest
    assert (fields["context"], fields["latents"], fields["stride"]) == trained_on
    nats = [nats for piece in fields["per_piece"] for nats in piece["nats"]]
    assert len(nats) == fields["events"]
    total = fields["nats_per_event"] * fields["events"]
    assert sum(nats) == pytest.approx(total, rel=1e-5)
    assert fields["nats_per_note"] * fields["notes"] == pytest.approx(total)
    assert fields["nats_per_second"] * fields["seconds"] == pytest.approx(total)


def test_the_same_question_gets_the_same_answer(tiny_store: TokenStore, checkpoint: str) -> None:
    assert scores(tiny_store, checkpoint) == scores(tiny_store, checkpoint)


def test_context_latents_and_pieces_can_be_chosen(tiny_store: TokenStore, checkpoint: str) -> None:
    options = {"context": 96, "latents": 32, "stride": 32, "max_pieces": 1}
    fields = scores(tiny_store, checkpoint, split="train", **options)
    assert (fields["context"], fields["latents"], fields["stride"]) == (96, 32, 32)
    assert fields["pieces"] == 1
    assert fields["per_piece"][0]["path"] == tiny_store.split("train")[0].path
    with pytest.raises(UsageError, match="context"):
        scores(tiny_store, checkpoint, context=8, latents=16)


def test_music_that_takes_no_time_has_no_figure_per_second(checkpoint: str, tmp_path: Path) -> None:
    path = tmp_path / "fast.mid"
    midi = mido.MidiFile()
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1)])
    for pitch in range(60, 72):
        track.append(mido.Message("note_on", note=pitch, velocity=60))
        track.append(mido.Message("note_off", note=pitch, time=1))
    midi.tracks.append(track)
    midi.save(path)
    request = EvaluateRequest(files=(path,), checkpoint=checkpoint, device="cpu")
    fields = evaluate.run(request).as_json()
    assert (fields["notes"], fields["seconds"]) == (12, 0.0)
    assert fields["nats_per_second"] is None
    assert fields["nats_per_event"] > 0


@pytest.mark.parametrize("fields", [{}, {"data": Path("a"), "files": (Path("b"),)}])
def test_one_source_is_needed(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        EvaluateRequest(**fields)


def test_models_are_described_and_verified(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert models.verify(checkpoint).as_json()["verified"]
    info = models.info(checkpoint).as_json()
    assert info["description"]["metrics"]["step"] == 3
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "link").symlink_to(checkpoint)
    rows = {row.name: row for row in models.list_models().models}
    assert rows["link"].problem is None
    assert rows["link"].origin == "local"
    assert rows["link"].validation_nats_per_event is not None
    with pytest.raises(StorageError):
        models.info("nobody")
