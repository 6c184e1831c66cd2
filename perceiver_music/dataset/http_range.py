"""What a server's answer to "from byte N on, please" says, checked against what was asked."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_PARTIAL_CONTENT = 206


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the body of an answer is.

    Attributes:
        start: place of its first byte in the file.
        total: bytes of the whole file; None when the server does not say.
        validator: names this version of the file in a later `If-Range`; None without one.
    """

    start: int
    total: int | None
    validator: str | None


def read_answer(response: http.client.HTTPResponse, asked_from: int) -> Answer:
    """Understand the head of a successful answer.

    A server that knows no ranges sends the whole file with another status; that is an answer too.

    Raises:
        http.client.HTTPException: it says that it sends something that was not asked for.
    """
    validator = _validator(response)
    if response.status != _PARTIAL_CONTENT:
        return Answer(start=0, total=response.length, validator=validator)
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None or int(match[1]) != asked_from:
        raise http.client.HTTPException("the server sends another part than was asked for")
    total = None if match[3] == "*" else int(match[3])
    return Answer(start=asked_from, total=total, validator=validator)


def _validator(response: http.client.HTTPResponse) -> str | None:
    """The strong ETag, else the date; a weak one says nothing about bytes (RFC 9110, 13.1.5)."""
    etag: str | None = response.headers.get("ETag")
    if etag is not None and etag.startswith('"'):
        return etag
    date: str | None = response.headers.get("Last-Modified")
    return date
