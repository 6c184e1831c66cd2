"""A download against servers that break off, lie, know no ranges or serve another file."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from perceiver_music.dataset.download import OFFLINE_VARIABLE, Patience, Remote, download
from perceiver_music.errors import (
    InvalidInputError,
    StorageError,
    UnavailableError,
)

CONTENT = bytes(range(256)) * 4_000
OTHER = CONTENT[::-1]
IMPATIENT = Patience(attempts=3, first_wait_seconds=0.001, timeout_seconds=5)


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, with the vices that a test gives it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag: str | None = '"one"'
        self.knows_ranges = True
        self.says_length = True
        self.said_too_much = 0
        self.break_after: list[int] = []  # bytes sent of each of the next answers
        self.always_break_after: int | None = None
        self.codes: list[int] = []  # errors for the next requests
        self.wrong_range = False
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.zip"

    @property
    def ranges(self) -> list[str | None]:
        return [request.get("Range") for request in self.requests]

    def remote(self, **changes: object) -> Remote:
        values = {"url": self.url, "sha256": sha256(CONTENT), "most_bytes": 10_000_000}
        return Remote(**{**values, **changes})  # type: ignore[arg-type]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: object) -> None:
        """A test has nothing to read."""

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers))
        if server.codes:
            self.send_error(server.codes.pop(0))
            return
        start, content = self._start(), server.content
        if start is not None and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(200 if start is None else 206)
        body = content[start or 0 :]
        if start is not None:
            said = start + 7 if server.wrong_range else start
            self.send_header("Content-Range", f"bytes {said}-{len(content) - 1}/{len(content)}")
        if server.etag is not None:
            self.send_header("ETag", server.etag)
        if server.says_length:
            self.send_header("Content-Length", str(len(body) + server.said_too_much))
        self.end_headers()
        most = server.break_after.pop(0) if server.break_after else server.always_break_after
        self.wfile.write(body[:most])

    def _start(self) -> int | None:
        """Where the answer starts; None for the whole file."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None or not self.server.knows_ranges:
            return None
        condition = self.headers.get("If-Range")
        return int(match[1]) if condition in (None, self.server.etag) else None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in (OFFLINE_VARIABLE, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "file.zip"


def part_of(target: Path) -> Path:
    return target.with_name("file.zip.part")


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def assert_done(target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert names(target) == [target.name]


def test_an_honest_server(server: Server, target: Path) -> None:
    reports: list[tuple[int, int | None]] = []
    download(server.remote(), target, on_bytes=lambda done, total: reports.append((done, total)))
    assert_done(target)
    assert server.ranges == [None]
    assert reports[0] == (0, len(CONTENT))
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)


def test_a_break_is_mended_from_where_it_was(server: Server, target: Path) -> None:
    server.break_after = [300_000, 200_000]
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]
    assert server.requests[1]["If-Range"] == '"one"'


def test_a_later_call_goes_on(server: Server, target: Path) -> None:
    server.break_after = [100_000]
    server.always_break_after = 0
    with pytest.raises(UnavailableError, match="broke off") as failure:
        download(server.remote(), target, patience=IMPATIENT)
    assert failure.value.exit_code == 69
    assert part_of(target).stat().st_size == 100_000
    server.always_break_after = None
    server.requests.clear()
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)
    assert server.ranges == ["bytes=100000-"]


def test_a_server_without_ranges(server: Server, target: Path) -> None:
    server.knows_ranges = False
    server.break_after = [300_000]
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)


def test_a_server_without_ranges_that_always_breaks_off(server: Server, target: Path) -> None:
    server.knows_ranges = False
    server.always_break_after = 300_000
    with pytest.raises(UnavailableError):
        download(server.remote(), target, patience=IMPATIENT)
    assert len(server.requests) == 1 + IMPATIENT.attempts


def test_a_server_without_a_mark_of_the_version(server: Server, target: Path) -> None:
    server.etag = None
    server.break_after = [300_000]
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)
    assert server.ranges == [None, "bytes=300000-"]
    assert "If-Range" not in server.requests[1]


def test_a_weak_mark_is_not_trusted_with_ranges(server: Server, target: Path) -> None:
    server.etag = 'W/"one"'
    server.break_after = [300_000]
    download(server.remote(), target, patience=IMPATIENT)
    assert "If-Range" not in server.requests[1]
    assert_done(target)


def test_the_file_changed_between_two_tries(server: Server, target: Path) -> None:
    server.content, server.always_break_after = OTHER, 300_000
    server.knows_ranges = False
    with pytest.raises(UnavailableError):
        download(server.remote(), target, patience=IMPATIENT)
    server.content, server.etag, server.always_break_after = CONTENT, '"two"', None
    server.knows_ranges = True
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)


def test_parts_of_two_versions_are_thrown_away(server: Server, target: Path) -> None:
    server.etag = None  # so that the server cannot tell that it is another version
    server.content, server.break_after = OTHER, [300_000, 0, 0, 0]
    with pytest.raises(UnavailableError):
        download(server.remote(), target, patience=IMPATIENT)
    server.content = CONTENT
    server.requests.clear()
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)
    assert server.ranges == ["bytes=300000-", None]


def test_another_file(server: Server, target: Path) -> None:
    server.content = OTHER
    with pytest.raises(InvalidInputError, match="checksum") as failure:
        download(server.remote(), target, patience=IMPATIENT)
    assert failure.value.exit_code == 65
    assert names(target) == []


def test_a_part_longer_than_the_file(server: Server, target: Path) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(CONTENT + b"more")
    state = {"url": server.url, "validator": '"one"'}
    target.with_name("file.zip.part.json").write_text(json.dumps(state))
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)


@pytest.mark.parametrize("state", [None, "", "[]", '{"url": "http://elsewhere", "validator": "1"}'])
def test_a_part_of_unknown_origin_is_not_used(
    server: Server, target: Path, state: str | None
) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(b"what is this?")
    if state is not None:
        target.with_name("file.zip.part.json").write_text(state)
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)
    assert server.ranges == [None]


def test_a_whole_part_needs_no_network(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    target.parent.mkdir()
    part_of(target).write_bytes(CONTENT)
    download(server.remote(), target)
    assert_done(target)
    assert server.requests == []


def test_what_is_here_is_not_fetched_again(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    download(server.remote(), target)
    assert server.requests == []
    target.write_bytes(OTHER)
    download(server.remote(), target)
    assert_done(target)


def test_a_length_that_is_too_long(server: Server, target: Path) -> None:
    server.said_too_much = 1_000
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)


def test_a_length_that_is_too_short(server: Server, target: Path) -> None:
    server.said_too_much = -1_000
    with pytest.raises(InvalidInputError, match="checksum"):
        download(server.remote(), target, patience=IMPATIENT)
    assert names(target) == []


def test_no_length_at_all(server: Server, target: Path) -> None:
    server.says_length = False
    reports: list[int | None] = []
    download(server.remote(), target, on_bytes=lambda done, total: reports.append(total))
    assert_done(target)
    assert set(reports) == {None}


@pytest.mark.parametrize("says_length", [True, False])
def test_more_than_agreed_is_not_fetched(server: Server, target: Path, says_length: bool) -> None:
    server.says_length = says_length
    with pytest.raises(InvalidInputError, match="longer than"):
        download(server.remote(most_bytes=500_000), target, patience=IMPATIENT)
    assert names(target) == []


def test_a_part_that_was_not_asked_for(server: Server, target: Path) -> None:
    server.break_after = [300_000]
    server.wrong_range = True
    with pytest.raises(UnavailableError, match="another part"):
        download(server.remote(), target, patience=IMPATIENT)
    assert part_of(target).read_bytes() == CONTENT[:300_000]


@pytest.mark.parametrize("code", [403, 404, 410])
def test_an_answer_that_will_stay(server: Server, target: Path, code: int) -> None:
    server.codes = [code]
    with pytest.raises(UnavailableError, match=str(code)):
        download(server.remote(), target, patience=IMPATIENT)
    assert len(server.requests) == 1
    assert names(target) == []


@pytest.mark.parametrize("code", [429, 500, 503])
def test_an_answer_that_may_pass(server: Server, target: Path, code: int) -> None:
    server.codes = [code, code]
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)
    server.codes = [code] * 9
    with pytest.raises(UnavailableError, match=str(code)):
        download(server.remote(), target.with_name("again"), patience=IMPATIENT)


def test_waits_grow(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("perceiver_music.dataset.download.time.sleep", waits.append)
    server.codes = [500] * 9
    with pytest.raises(UnavailableError):
        download(server.remote(), target, patience=Patience(attempts=4, first_wait_seconds=1.0))
    assert waits == [1.0, 2.0, 4.0]


def test_nobody_there(target: Path) -> None:
    remote = Remote(url="http://127.0.0.1:9/x.zip", sha256=sha256(CONTENT), most_bytes=1_000_000)
    with pytest.raises(UnavailableError, match="cannot download"):
        download(remote, target, patience=IMPATIENT)


def test_offline(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    with pytest.raises(UnavailableError, match=OFFLINE_VARIABLE):
        download(server.remote(), target)
    assert server.requests == []
    monkeypatch.setenv(OFFLINE_VARIABLE, "0")
    download(server.remote(), target)
    assert_done(target)


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a folder")
    with pytest.raises(StorageError):
        download(server.remote(), tmp_path / "file" / "file.zip", patience=IMPATIENT)
    assert server.requests == []


def test_a_disk_that_fills_up(server: Server, target: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
    try:
        with pytest.raises(StorageError) as failure:
            download(server.remote(), target, patience=IMPATIENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failure.value.exit_code == 74
    assert len(server.requests) == 1
    download(server.remote(), target, patience=IMPATIENT)
    assert_done(target)
    assert server.ranges[1] == "bytes=600000-"
