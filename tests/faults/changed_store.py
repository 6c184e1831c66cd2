"""Promise 18: a store that changes under a reader is noticed, and kills nobody."""

from __future__ import annotations

import random
import struct

from perceiver_music.dataset.token_store import MAGIC, VERSION, TokenStore
from perceiver_music.errors import InvalidInputError, PerceiverMusicError
from perceiver_music.files import sha256_of_bytes
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

HEAD_BYTES = 12
VERSIONS = (0, VERSION + 1, VERSION + 255, 2**32 - 1)


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """`size` flips and as many cuts while the store is open; then other versions."""
    path = workshop.fresh("changed_store") / "x.store"
    data = workshop.store.read_bytes()
    rng = random.Random(18)
    for number in range(2 * size):
        path.write_bytes(data)
        store = TokenStore.open(path)
        whole = [
            (store.ids(piece).tobytes(), store.notes(piece).tobytes()) for piece in store.pieces
        ]
        if number % 2:
            place = rng.randrange(len(data))
            with path.open("r+b") as stream:
                stream.seek(place)
                stream.write(bytes([data[place] ^ 1 << rng.randrange(8)]))
            what = f"byte {place} changed"
        else:
            length = rng.randrange(len(data))
            with path.open("r+b") as stream:
                stream.truncate(length)
            what = f"cut to {length}"
        ledger.enter(not (why := _judge(store, whole)), what, why)
        ledger.enter(_is_refused(path), f"{what}, opened anew", "accepted")
    for version in VERSIONS:
        body = MAGIC + struct.pack("<I", version) + data[HEAD_BYTES:-32]
        path.write_bytes(body + bytes.fromhex(sha256_of_bytes(body)))
        ledger.enter(_is_refused(path), f"version {version}", "accepted")


def _judge(store: TokenStore, whole: list[tuple[bytes, bytes]]) -> str | None:
    """Each piece's ids are in memory already; its notes are as they were, or refused."""
    for piece, (ids, notes) in zip(store.pieces, whole, strict=True):
        if store.ids(piece).tobytes() != ids:
            return "other ids than when it was opened"
        try:
            if store.notes(piece).tobytes() != notes:
                return "other notes than when it was opened"
        except InvalidInputError:
            continue
        except PerceiverMusicError as error:
            return f"another failure: {error}"
    return None


def _is_refused(path: object) -> bool:
    try:
        TokenStore.open(path)  # type: ignore[arg-type]
    except InvalidInputError:
        return True
    return False
