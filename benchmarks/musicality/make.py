"""Continue the opening of each piece of a split; goes on where it was stopped."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.musicality.made_pieces import PRIMER_SECONDS, made_path, piece_midi, pieces_of
from perceiver_music.dataset.token_store import Piece, TokenStore
from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.jobs.continuation import ContinueRequest, open_session
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.model.checkpoint_description import read_description

SEED = 1


def make(
    store: TokenStore,
    split: str,
    folder: Path,
    *,
    checkpoint: str | None,
    seconds: float,
    only: list[tuple[int, Piece]] | None = None,
    sampling: SamplingOptions | None = None,
) -> str:
    """Make what is not there yet, of all pieces or `only` some; returns the checkpoint's sha256."""
    session = open_session(checkpoint, device="cpu")
    folder.mkdir(parents=True, exist_ok=True)
    for index, piece in pieces_of(store, split) if only is None else only:
        output = made_path(folder, index)
        if output.exists() or piece.seconds <= PRIMER_SECONDS:
            continue
        started = time.perf_counter()
        session.run(
            ContinueRequest(
                primer=piece_midi(store, piece),
                primer_name=piece.title,
                output=output,
                to_seconds=PRIMER_SECONDS,
                include_primer=False,
                # Not one for all: their first events would be drawn by the same numbers.
                seed=SEED + index,
                length=LengthOption(amount=seconds, unit="seconds"),
                sampling=sampling or SamplingOptions(),
            )
        )
        sys.stderr.write(f"{output.name} {piece.title}: {time.perf_counter() - started:.1f} s\n")
    return read_description(resolve_checkpoint(checkpoint)).sha256


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("folder", type=Path, help="of the outputs; one a checkpoint")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pieces", type=int, default=None, help="so many, spread over the split")
    parser.add_argument("--temperature", type=float, default=SamplingOptions.temperature)
    parser.add_argument("--top-p", type=float, default=SamplingOptions.top_p)
    parser.add_argument("--min-p", type=float, default=SamplingOptions.min_p)
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    make(
        store,
        arguments.split,
        arguments.folder,
        checkpoint=arguments.checkpoint,
        seconds=arguments.seconds,
        only=pieces_of(store, arguments.split, arguments.pieces),
        sampling=SamplingOptions(
            temperature=arguments.temperature, top_p=arguments.top_p, min_p=arguments.min_p
        ),
    )


if __name__ == "__main__":
    main()
