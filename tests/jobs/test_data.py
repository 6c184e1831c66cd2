"""Data sets by name: fetched from a server of our own, unpacked, verified."""

from __future__ import annotations

import functools
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perceiver_music.dataset import catalog
from perceiver_music.dataset.catalog import DATA_SETS, MAESTRO_V3, DataSet
from perceiver_music.dataset.checksums import LIST_NAME
from perceiver_music.dataset.download import OFFLINE_VARIABLE, Patience
from perceiver_music.errors import (
    BusyError,
    InvalidInputError,
    OutputExistsError,
    StorageError,
    UnavailableError,
    UsageError,
)
from perceiver_music.files import sha256_of_bytes
from perceiver_music.jobs import data as job
from perceiver_music.jobs.progress import Progress
from perceiver_music.locks import exclusive_lock
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import Performance, note_array

IMPATIENT = Patience(attempts=1, first_wait_seconds=0.001, timeout_seconds=5)
CSV = (
    "canonical_composer,canonical_title,split,midi_filename\n"
    "Nobody,One,train,2004/one.midi\nNobody,Two,test,2004/two.midi\n"
)


def midi(pitch: int) -> bytes:
    return performance_to_midi(Performance(note_array([0], [500_000], [pitch], [80])))


def archive(**more: bytes) -> bytes:
    members = {
        "tiny-v1/maestro-v3.0.0.csv": CSV.encode(),
        "tiny-v1/LICENSE": b"free",
        "tiny-v1/2004/one.midi": midi(60),
        "tiny-v1/2004/two.midi": midi(62),
        **more,
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return stream.getvalue()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """A test has nothing to read."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive on the server; the data set `tiny` is what it is now."""
    for name in (OFFLINE_VARIABLE, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "server").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    path = tmp_path / "server" / "tiny.zip"
    path.write_bytes(archive())
    handler = functools.partial(QuietHandler, directory=str(path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/tiny.zip"
        offer(monkeypatch, url, path.read_bytes())
        yield path
        server.shutdown()
        thread.join()


def offer(monkeypatch: pytest.MonkeyPatch, url: str, content: bytes) -> DataSet:
    tiny = DataSet(
        name="tiny",
        title="Two notes",
        url=url,
        sha256=sha256_of_bytes(content),
        megabytes=1,
        most_bytes=1_000_000,
        most_unpacked_bytes=1_000_000,
        root="tiny-v1",
        licence="CC0-1.0",
        num_pieces=2,
        homepage="http://localhost",
    )
    for module in (catalog, job):
        monkeypatch.setattr(module, "DATA_SETS", (MAESTRO_V3, tiny))
    return tiny


def fetch(**options: object) -> job.DownloadResult:
    request = job.DownloadRequest(name="tiny", patience=IMPATIENT, **options)  # type: ignore[arg-type]
    return job.fetch(request)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_fetching(served: Path) -> None:
    reports: list[Progress] = []
    request = job.DownloadRequest(name="tiny")
    result = job.fetch(request, reports.append)
    assert result.as_json()["folder"] == "data/tiny"
    assert result.files == 4
    assert names(Path()) == [
        "data",
        "data/tiny",
        "data/tiny/2004",
        "data/tiny/2004/one.midi",
        "data/tiny/2004/two.midi",
        "data/tiny/LICENSE",
        f"data/tiny/{LIST_NAME}",
        "data/tiny/maestro-v3.0.0.csv",
    ]
    assert Path("data/tiny/2004/one.midi").read_bytes() == midi(60)
    assert {report.message for report in reports} == {"downloading", "unpacking"}
    assert {report.unit for report in reports} == {"bytes"}
    assert job.info("tiny").is_here


def test_what_was_fetched_is_whole(served: Path) -> None:
    fetch()
    reports: list[Progress] = []
    result = job.verify("tiny", reports.append)
    assert (result.is_whole, result.pieces, result.checksums) == (True, 2, 4)
    assert reports[-1].done == reports[-1].total == 4
    assert job.verify("data/tiny").is_whole


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("2004/one.midi", midi(61), "checksum"),
        ("2004/one.midi", None, "not there"),
        ("LICENSE", b"not free", "checksum"),
        ("LICENSE", None, "no such file"),
    ],
)
def test_damage_is_found(served: Path, name: str, data: bytes | None, reason: str) -> None:
    file = fetch().folder / name
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)
    result = job.verify("tiny")
    [problem] = result.problems
    assert problem.path == name
    assert reason in problem.reason
    assert result.as_json()["whole"] is False


def test_a_shorter_list_is_found(served: Path) -> None:
    listing = fetch().folder / "maestro-v3.0.0.csv"
    listing.write_text(CSV[: CSV.rindex("Nobody")])
    reasons = [problem.reason for problem in job.verify("tiny").problems]
    assert any("lists 1 pieces; the data set has 2" in reason for reason in reasons)
    assert any("checksum" in reason for reason in reasons)


def test_a_folder_without_checksums_is_read(served: Path) -> None:
    folder = fetch().folder
    (folder / LIST_NAME).unlink()
    assert job.verify(str(folder)).is_whole
    (folder / "2004" / "two.midi").write_bytes(b"junk")
    [problem] = job.verify(str(folder)).problems
    assert problem.path == "2004/two.midi"


def test_verifying_nothing(served: Path, tmp_path: Path) -> None:
    for name in ("tiny", "nowhere"):
        with pytest.raises(StorageError):
            job.verify(name)
    with pytest.raises(InvalidInputError, match="no list"):
        job.verify(str(tmp_path))


def test_a_folder_of_ones_own(served: Path, tmp_path: Path) -> None:
    target = tmp_path / "big disk" / "music"
    assert fetch(output=target).folder == target
    assert sorted(path.name for path in target.parent.iterdir()) == ["music"]


def test_a_data_set_that_is_there(served: Path) -> None:
    folder = fetch().folder
    (folder / "LICENSE").unlink()
    with pytest.raises(OutputExistsError):
        fetch()
    assert not job.verify("tiny").is_whole
    fetch(overwrite=True)
    assert job.verify("tiny").is_whole
    assert [path.name for path in Path("data").iterdir()] == ["tiny"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_of_other_things_is_never_removed(served: Path, overwrite: bool) -> None:
    Path("data/tiny").mkdir(parents=True)
    Path("data/tiny/mine").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        fetch(overwrite=overwrite)
    assert names(Path("data")) == ["tiny", "tiny/mine"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine", b"mine"),
        ("2004/mine.mid", b"mine"),
        (LIST_NAME, b"these are my own sums\n"),
        (LIST_NAME, b"0" * 64 + b"  something that is not here\n"),
    ],
)
def test_a_list_of_checksums_makes_no_data_set_of_other_files(
    served: Path, name: str, content: bytes
) -> None:
    folder = fetch().folder
    (folder / name).write_bytes(content)
    before = names(folder)
    with pytest.raises(OutputExistsError, match="other things"):
        fetch(overwrite=True)
    assert names(folder) == before
    assert (folder / name).read_bytes() == content


def test_what_is_no_folder_is_never_removed(served: Path) -> None:
    Path("data").mkdir()
    Path("data/mine").mkdir()
    Path("data/tiny").symlink_to("mine")
    with pytest.raises(OutputExistsError):
        fetch(overwrite=True)
    Path("file").write_bytes(b"mine")
    with pytest.raises(StorageError):
        fetch(overwrite=True, output=Path("file"))
    assert Path("file").read_bytes() == b"mine"
    assert Path("data/tiny").is_symlink()


def test_an_empty_folder_may_be_filled(served: Path) -> None:
    Path("data/tiny").mkdir(parents=True)
    fetch(overwrite=True)
    assert job.verify("tiny").is_whole


def test_another_archive(served: Path) -> None:
    served.write_bytes(archive(extra=b"evil"))
    with pytest.raises(InvalidInputError, match="checksum"):
        fetch()
    assert names(Path()) == ["data"]


def test_an_archive_that_leads_outside(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one whose checksum is right."""
    content = archive(**{"../evil": b"evil"})
    served.write_bytes(content)
    offer(monkeypatch, job.info("tiny").data_set.url, content)
    with pytest.raises(InvalidInputError, match="leads outside"):
        fetch()
    assert not [name for name in names(Path().resolve().parent) if "evil" in name]
    assert not job.info("tiny").is_here


def test_a_server_without_it(served: Path) -> None:
    served.unlink()
    with pytest.raises(UnavailableError, match="404"):
        fetch()
    assert names(Path()) == ["data"]


def test_offline(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    with pytest.raises(UnavailableError):
        fetch()
    assert names(Path()) == ["data"]


def test_an_unpacking_that_broke_off_needs_no_second_download(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(job, "unpack_zip", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch()
    assert not job.info("tiny").is_here
    served.unlink()
    fetch()
    assert [path.name for path in Path("data").iterdir()] == ["tiny"]


def _interrupted(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_two_at_once(served: Path) -> None:
    sha256 = job.info("tiny").data_set.sha256
    with exclusive_lock(Path(f"data/.{sha256[:16]}.zip")), pytest.raises(BusyError):
        fetch()


def test_the_table() -> None:
    assert len({data_set.name for data_set in DATA_SETS}) == len(DATA_SETS)
    for data_set in DATA_SETS:
        assert data_set.url.startswith("https://")
        assert len(bytes.fromhex(data_set.sha256)) == 32
        assert data_set.megabytes * 1_000_000 < data_set.most_bytes
        row = job.info(data_set.name).as_json()
        assert row["licence"]
        assert row in job.list_data_sets().as_json()["data_sets"]
    with pytest.raises(UsageError, match="no data set"):
        job.info("nope")


def test_the_real_maestro_is_what_the_table_says(shared_data: Path) -> None:
    listing = shared_data / MAESTRO_V3.root / f"{MAESTRO_V3.root}.csv"
    num_rows = len(listing.read_text(encoding="utf-8").splitlines()) - 1
    assert num_rows == MAESTRO_V3.num_pieces
