"""Promise 9: an archive stays inside its folder and within its size."""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import stat
import struct
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from perceiver_music.dataset.archive import unpack_zip
from perceiver_music.errors import InvalidInputError
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

MOST_BYTES = 1_000_000
ROOT = "set"


def _zip(
    members: dict[str, bytes],
    *,
    mode: int = 0,
    method: int = zipfile.ZIP_DEFLATED,
    change: tuple[bytes, bytes] = (b"", b""),
) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, method
            archive.writestr(info, data)
    return stream.getvalue().replace(*change) if change[0] else stream.getvalue()


def _named(name: str) -> bytes:
    return _zip({"set/a": b"a", name: b"evil"})


def _twice(*names: str) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for name in names:
            archive.writestr(name, name)
    return stream.getvalue()


def _said(size: int, said: int) -> bytes:
    return _zip({"set/a": bytes(size)}, change=(struct.pack("<I", size), struct.pack("<I", said)))


def _encrypted() -> bytes:
    data = bytearray(_zip({"set/a": b"a"}))
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


HONEST = {"set/a": b"some text, some text" * 50, "set/b/c": b"more"}
LINKS = {"link": stat.S_IFLNK, "pipe": stat.S_IFIFO, "device": stat.S_IFCHR, "socket": 0o140000}

ARCHIVES: dict[str, Callable[[], bytes]] = {
    "one folder up": lambda: _named("../evil"),
    "up from below": lambda: _named("set/../../evil"),
    "up from deep below": lambda: _named("set/a/../../../evil"),
    "an absolute name": lambda: _named("/tmp/evil"),
    "two slashes": lambda: _named("//evil"),
    "a drive": lambda: _named("C:/evil"),
    "back slashes": lambda: _named("set\\..\\..\\evil"),
    "nothing but up": lambda: _named(".."),
    "a zero byte": lambda: _zip({"set/aXb": b"a"}, change=(b"set/aXb", b"set/a\0b")),
    "another root": lambda: _named("other/a"),
    "no root": lambda: _named("evil"),
    "the root as a file": lambda: _named("set"),
    **{
        f"a {kind}": lambda bits=bits: _zip({"set/a": b"/etc/passwd"}, mode=bits | 0o777)
        for kind, bits in LINKS.items()
    },
    "a name twice": lambda: _twice("set/a", "set/a"),
    "a name twice, spelt otherwise": lambda: _twice("set/a", "set/./a"),
    "a file that is a folder": lambda: _twice("set/a", "set/a/b"),
    "a bomb by its own word": lambda: _zip({"set/a": bytes(MOST_BYTES + 1)}),
    "a thousand small bombs": lambda: _zip({f"set/{n}": bytes(2_000) for n in range(1_000)}),
    "a bomb that says it is small": lambda: _said(5_000_000, 100),
    "a file that says it is larger": lambda: _said(100_000, 900_000),
    "bzip2": lambda: _zip({"set/a": b"a"}, method=zipfile.ZIP_BZIP2),
    "lzma": lambda: _zip({"set/a": b"a"}, method=zipfile.ZIP_LZMA),
    "encrypted": _encrypted,
    "nothing in it": lambda: _zip({}),
    "only a folder": lambda: _zip({"set/": b""}),
    "cut in the middle": lambda: _zip(HONEST)[:60],
    "without its end": lambda: _zip(HONEST)[:-30],
    "a web page": lambda: b"<html>404</html>",
    "a wrong checksum inside": lambda: _zip(
        {"set/a": b"some text"}, method=zipfile.ZIP_STORED, change=(b"some text", b"same text")
    ),
}


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Every archive: refused with 65, no byte outside, no more than was agreed."""
    for name in list(ARCHIVES)[:size]:
        folder = workshop.fresh("archives")
        (folder / "x.zip").write_bytes(ARCHIVES[name]())
        into = folder / "surroundings" / "into"
        into.mkdir(parents=True)
        ledger.enter(not (why := _judge(folder / "x.zip", into)), name, why)
    _honest(ledger, workshop)
    _another_digest(ledger, workshop)


def _judge(archive: Path, into: Path) -> str | None:
    try:
        unpack_zip(archive, into, root=ROOT, most_bytes=MOST_BYTES)
    except InvalidInputError as error:
        if not error.hint:
            return "no way out is told"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    else:
        return "unpacked"
    outside = [path for path in into.parent.rglob("*") if into not in (path, *path.parents)]
    outside += [path for path in (Path("/tmp/evil"), Path("/evil")) if path.exists()]
    if outside:
        return f"wrote {outside[0]}"
    num_bytes = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    return f"wrote {num_bytes} bytes" if num_bytes > MOST_BYTES else None


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _honest(ledger: Ledger, workshop: Workshop) -> None:
    folder = workshop.fresh("archives")
    (folder / "x.zip").write_bytes(_zip(HONEST))
    found = unpack_zip(folder / "x.zip", folder, root=ROOT, most_bytes=MOST_BYTES)
    ledger.enter(sorted(found) == ["a", "b/c"], "an honest one", found)


def _another_digest(ledger: Ledger, workshop: Workshop) -> None:
    """A whole archive that is not the one that was named: never unpacked."""
    from perceiver_music.dataset.download import Patience, Remote, download

    folder = workshop.fresh("archives")
    source, target = folder / "x.zip", folder / "target.zip"
    source.write_bytes(_zip(HONEST))
    why = "accepted"
    with _served(folder) as address:
        remote = Remote(url=f"{address}/x.zip", sha256="0" * 64, most_bytes=MOST_BYTES)
        try:
            download(remote, target, patience=Patience(attempts=1, first_wait_seconds=0.001))
        except InvalidInputError:
            why = ""
    is_gone = not list(folder.glob("target*"))
    ledger.enter(not why and is_gone, "another digest", why or "something is kept")
