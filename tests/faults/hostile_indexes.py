"""Hostile indexes of a training set, as `check` finds one beside a checkpoint."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from perceiver_music.evaluation.passage_index_file import MAGIC, VERSION

INDEX_HEAD = struct.Struct("<8sII")
DIGEST_BYTES = 32
INFLATED_BYTES = 300 << 20


@functools.cache
def _zeros() -> bytes:
    """Zeros by the hundred megabytes, deflated to a thousandth."""
    deflater = zlib.compressobj(9)
    megabytes = (deflater.compress(bytes(1 << 20)) for _ in range(INFLATED_BYTES >> 20))
    return b"".join([*megabytes, deflater.flush()])


def _index(**changes: object) -> Callable[[bytes], bytes]:
    """An index whose description lies, with a checksum that is right."""

    def change(whole: bytes) -> bytes:
        description, parts = _opened_index(whole)
        return _closed_index(json.dumps({**description, **changes}).encode(), parts)

    return change


def _opened_index(whole: bytes) -> tuple[dict[str, Any], bytes]:
    _, _, size = INDEX_HEAD.unpack_from(whole)
    end = INDEX_HEAD.size + size
    return json.loads(zlib.decompress(whole[INDEX_HEAD.size : end])), whole[end:-DIGEST_BYTES]


def _closed_index(description: bytes, parts: bytes, *, is_deflated: bool = False) -> bytes:
    head = description if is_deflated else zlib.compress(description)
    data = INDEX_HEAD.pack(MAGIC, VERSION, len(head)) + head + parts
    return data + hashlib.sha256(data).digest()


def _with_bombs(whole: bytes) -> bytes:
    """Three parts of zeros: some hundred million notes of one piece."""
    description, _ = _opened_index(whole)
    description |= {"pieces": description["pieces"][:1], "notes": [INFLATED_BYTES]}
    description["sizes"] = [len(_zeros()), len(_zeros()), len(_zeros())]
    return _closed_index(json.dumps(description).encode(), 3 * _zeros())


INDEXES: dict[str, Callable[[bytes], bytes]] = {
    "an index that is none": lambda whole: b"\x80\x04cos\nsystem\n.",
    "an index of nothing": lambda whole: b"",
    "an index cut short": lambda whole: whole[:-100],
    "a description that inflates": lambda whole: _closed_index(_zeros(), b"", is_deflated=True),
    "notes that inflate": _with_bombs,
    "a deep description of an index": lambda whole: _closed_index(b"[" * 500_000, b""),
    "an index that is a list": lambda whole: _closed_index(b"[]", b""),
    "no pieces": _index(pieces=[], notes=[]),
    "pieces that are numbers": _index(pieces=[1, 2, 3]),
    "pieces without names": _index(pieces=[{}, {}, {}]),
    "notes beyond number": _index(notes=[10**30, 1, 1]),
    "fewer notes than none": _index(notes=[-5, 50, 65]),
    "notes in words": _index(notes=["five", "of", "them"]),
    "sizes below nothing": _index(sizes=[-1, -1, -1]),
    "sizes beyond the file": _index(sizes=[2**62] * 3),
    "too few sizes": _index(sizes=[1]),
    "ranges that are numbers": _index(ranges={"lowest": 3}),
    "ranges in words": _index(ranges={"lowest": ["a", "b", "c"]}),
    "ranges that are no numbers": _index(ranges={"lowest": [float("nan")] * 3}),
    "a list for ranges": _index(ranges=[1]),
    "excerpts of nothing": _index(unseen=[{"notes": 0, "median": 1, "p95": 1, "longest": 1}]),
    "excerpts that are numbers": _index(unseen=[1]),
    "a text for what it is": _index(about="os.system"),
}
"""Indexes for `check`, beside an honest model whose description vouches for their checksum."""
