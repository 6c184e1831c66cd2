"""`replay`: the same bytes from the file alone, or a refusal that names what is missing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import mido
import pytest
import torch

from perceiver_music.errors import (
    InvalidInputError,
    OutputExistsError,
    StorageError,
    UnavailableError,
)
from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.jobs import replay, stored_settings
from perceiver_music.jobs.continuation import ContinueRequest, Session, open_session
from perceiver_music.music.embedded import Embedded, find_embedded, with_embedded, without_embedded
from perceiver_music.sealed_json import sealed, unsealed
from tests.jobs.test_infill import RECIPE, file_bytes, saved

SHORT = LengthOption(amount=40, unit="events")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(tmp_path_factory.mktemp("models") / "fills", RECIPE)


@pytest.fixture(scope="module")
def session(checkpoint: str) -> Session:
    return open_session(checkpoint, device="cpu")


def made(session: Session, **fields: object) -> bytes:
    fields = {"primer": file_bytes(), "primer_name": "x.mid", "length": SHORT, **fields}
    return session.run(ContinueRequest(**fields)).midi


def again(data: bytes, checkpoint: str | None, **fields: object) -> replay.ReplayResult:
    request = replay.ReplayRequest(midi=data, input_name="out.mid", checkpoint=checkpoint, **fields)
    return replay.run(request)


def resettled(data: bytes, **changes: object) -> bytes:
    """The file with some of its settings changed."""
    found = find_embedded(data, name="x")
    assert found is not None
    text = json.dumps({**json.loads(found.settings), **changes}, sort_keys=True)
    return with_embedded(without_embedded(data), replace(found, settings=text))


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 5, "index": 3},
        {"from_seconds": 2.0, "to_seconds": 9.5, "include_primer": False},
        {"last_seconds": 4.0, "sampling": SamplingOptions(temperature=0.8, top_k=20)},
        {"ending": True, "length": LengthOption(amount=5.0)},
        {"primer": None, "primer_name": "", "seed": 9},
        {"primer": None, "primer_name": "", "seed": 9, "starts_at_once": False},
        {"between_seconds": (6.0, 8.25), "index": 2},
    ],
    ids=str,
)
def test_the_same_bytes_again(session: Session, checkpoint: str, fields: dict[str, object]) -> None:
    data = made(session, **fields)
    result = again(data, checkpoint)
    assert result.midi == data
    assert result.same
    assert not result.differences


def test_a_primer_that_was_made_here_is_not_carried_twice(
    session: Session, checkpoint: str
) -> None:
    first = made(session)
    second = made(session, primer=first)
    third = made(session, primer=second)
    assert again(third, checkpoint).midi == third
    primer = find_embedded(third, name="x").primer(name="x")
    assert primer == without_embedded(second)


def test_a_file_that_was_changed_comes_back_as_it_was(
    session: Session, checkpoint: str, tmp_path: Path
) -> None:
    data = made(session)
    path = tmp_path / "edited.mid"
    path.write_bytes(data)
    midi = mido.MidiFile(path)
    midi.tracks[0].append(mido.Message("note_on", note=99, velocity=1))
    midi.save(path)
    result = again(path.read_bytes(), checkpoint)
    assert result.midi == data
    assert not result.same


def test_a_composed_file_of_before_keeps_its_silence(session: Session, checkpoint: str) -> None:
    data = made(session, primer=None, primer_name="", seed=1, starts_at_once=False)
    found = find_embedded(data, name="x")
    assert found is not None
    settings = json.loads(found.settings)
    del settings["starts_at_once"]
    old = with_embedded(
        without_embedded(data), replace(found, settings=json.dumps(settings, sort_keys=True))
    )
    assert again(old, checkpoint).midi == old


def test_threads_are_set_as_they_were_and_back(checkpoint: str) -> None:
    data = made(open_session(checkpoint, device="cpu", decoder="torch"))
    here = torch.get_num_threads()
    data = resettled(data, threads=here + 1)
    assert again(data, checkpoint).differences == ()
    assert torch.get_num_threads() == here


def test_what_differs_is_named_only_in_the_way_when_it_matters(
    session: Session, checkpoint: str
) -> None:
    elsewhere = resettled(made(session), kernel="ABACUS", torch="0.1")
    result = again(elsewhere, checkpoint)
    assert result.midi == elsewhere
    assert [str(difference).split(" ")[:2] for difference in result.differences] == [
        ["torch", "0.1"],
        ["kernel", "ABACUS"],
    ]
    other_music = resettled(elsewhere, seed=77)
    with pytest.raises(UnavailableError, match=r"torch 0\.1 then.*kernel ABACUS then"):
        again(other_music, checkpoint)


def test_a_checkpoint_is_found_by_its_checksum_or_refused_by_name(
    session: Session, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made(session)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnavailableError, match=r"'fills' \(sha256 .*not here"):
        again(data, None)
    shutil.copytree(checkpoint, tmp_path / "checkpoints" / "renamed")
    assert again(data, None).same
    shutil.rmtree(tmp_path / "checkpoints")
    other = replace_weights(Path(checkpoint), tmp_path / "checkpoints" / "fills")
    for place in (None, str(other)):
        with pytest.raises(InvalidInputError, match="'fills' here is another"):
            again(data, place)
    with pytest.raises(StorageError, match="no such checkpoint"):
        again(data, "nowhere")


def replace_weights(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint of the same name whose description says other weights."""
    shutil.copytree(checkpoint, folder)
    file = folder / "checkpoint.json"
    fields = unsealed(json.loads(file.read_text()))
    fields["files"]["model.safetensors"]["sha256"] = "0" * 64
    file.write_bytes(sealed(fields))
    return folder


def test_a_damaged_checkpoint_that_was_named_is_what_is_told_of(
    session: Session, checkpoint: str, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint, tmp_path / "damaged")
    (tmp_path / "damaged" / "checkpoint.json").write_bytes(b"{}")
    with pytest.raises(InvalidInputError, match="damaged"):
        again(made(session), str(tmp_path / "damaged"))


def test_a_primer_too_large_to_travel_is_asked_for(
    session: Session, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("perceiver_music.music.embedded.LARGEST_EMBEDDED_PRIMER", 10)
    data = made(session)
    with pytest.raises(UnavailableError, match=r"primer 'x\.mid'"):
        again(data, checkpoint)
    Path("x.mid").write_bytes(file_bytes())
    assert again(data, checkpoint).midi == data
    Path("y.mid").write_bytes(file_bytes())
    Path("x.mid").write_bytes(file_bytes()[:-1])
    assert again(data, checkpoint, primer=Path("y.mid")).midi == data
    with pytest.raises(InvalidInputError, match="another primer"):
        again(data, checkpoint)


def test_what_cannot_be_replayed(session: Session, checkpoint: str) -> None:
    with pytest.raises(InvalidInputError, match="stores no settings"):
        again(file_bytes(), checkpoint)
    with pytest.raises(InvalidInputError):
        again(b"no MIDI", checkpoint)
    old = with_embedded(file_bytes(), Embedded(settings='{"schema": "x/1"}', deflated_primer=None))
    with pytest.raises(InvalidInputError, match="x/1"):
        again(old, checkpoint)


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 0},
        {"threads": "many"},
        {"context": None},
        {"command": "explode"},
        {"seed": -1},
        {"seed": "seven"},
        {"index": []},
        {"length": {"amount": "x"}},
        {"sampling": {"temperature": -3}},
        {"sampling": None},
        {"between_seconds": [1]},
        {"between_seconds": ["a", "b"]},
        {"kernel": 3},
        {"decoder": "tor?h"},
        {"device": "cpux"},
        {"latents": 1_000_000},
    ],
    ids=str,
)
def test_damaged_settings_are_refused(
    session: Session, checkpoint: str, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError):
        again(resettled(made(session), **changes), checkpoint)


def test_outputs(session: Session, checkpoint: str, tmp_path: Path) -> None:
    data = made(session)
    output = tmp_path / "deep" / "again.mid"
    again(data, checkpoint, output=output)
    assert output.read_bytes() == data
    with pytest.raises(OutputExistsError):
        again(data, checkpoint, output=output)
    again(data, checkpoint, output=output, overwrite=True)


def test_the_policy_is_that_of_then(checkpoint: str) -> None:
    slid = made(open_session(checkpoint, device="cpu", policy="slide"))
    found = find_embedded(slid, name="x")
    assert found is not None
    assert json.loads(found.settings)["policy"] == "slide"
    assert again(slid, checkpoint).same
    with pytest.raises(InvalidInputError, match="policy"):
        again(resettled(slid, policy="sl?de"), checkpoint)
    older = {key: value for key, value in json.loads(found.settings).items() if key != "policy"}
    stored = stored_settings.StoredSettings.from_text(json.dumps(older), name="x")
    assert stored.compute.policy == "exact"
