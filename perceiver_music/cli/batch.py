"""Many items, one command: no bad one stops the others, and the code says how it went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from perceiver_music.cli import failures
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.signals import Terminated
from perceiver_music.errors import PartialFailureError, PerceiverMusicError


@dataclass(frozen=True, kw_only=True)
class Item:
    """One piece of work.

    Attributes:
        inputs: the files that it reads, as the user wrote them.
        work: does it and prints its result; gets the moment it began. Returns False when the
            item was left alone.
        fields: what the JSON object of its failure says of it.
    """

    inputs: Sequence[str]
    work: Callable[[float], bool]
    fields: Mapping[str, object] = field(default_factory=dict)


def run_batch(
    invocation: Invocation, items: Iterable[Item], *, num_inputs: int, writes_files: bool = False
) -> int:
    """Does all items and returns the exit code.

    Args:
        invocation: where results and failures are told.
        items: the work, in order.
        num_inputs: how many inputs the items come from; a single one fails with its own code.
        writes_files: whether each writes a file; an interruption then counts those that are there.

    Raises:
        StoppedBySignalError: it was interrupted when there were files, written now or before.
    """
    codes: list[int] = []
    told: set[str] = set()
    num_done = num_skipped = 0
    for item in items:
        started = time.perf_counter()
        try:
            if item.work(started):
                num_done += 1
            else:
                num_skipped += 1
        except Exception as error:  # a bug too must not stop the others
            failure = failures.as_failure(error)
            if str(failure) not in told:  # what is wrong with a primer is so for all its variations
                failure = failures.report(error, invocation.console)
            told.add(str(failure))
            invocation.emit_failure(failure, inputs=item.inputs, since=started, **item.fields)
            codes.append(failure.exit_code)
        except (KeyboardInterrupt, Terminated) as stop:
            if not writes_files or not num_done + num_skipped:
                raise
            raise _stopped(stop, num_done + num_skipped, num_inputs) from None
    num_items = num_done + num_skipped + len(codes)
    if num_items > 1:
        _summarise(invocation, done=num_done, skipped=num_skipped, failed=len(codes))
    if not codes:
        return 0
    return codes[0] if num_inputs == 1 else PartialFailureError.exit_code


def _stopped(stop: BaseException, num_there: int, num_inputs: int) -> PerceiverMusicError:
    failure = failures.as_failure(stop)
    failure.message += f"; {num_there} of {num_inputs} files are there"
    failure.hint = "For the rest run it again with --skip-existing."
    return failure


def _summarise(invocation: Invocation, *, done: int, skipped: int, failed: int) -> None:
    parts = [f"{done} done"]
    if skipped:
        parts.append(f"{skipped} skipped")
    if failed:
        parts.append(f"{failed} failed")
    summary = ", ".join(parts)
    if failed:
        # Under --quiet too: it is the error of the batch as a whole.
        invocation.console.failure_summary(summary)
    else:
        invocation.console.info(summary)
