"""Many items: no bad one stops the others, and the code says how it went."""

from __future__ import annotations

import json

import pytest

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.console import Console
from perceiver_music.cli.invocation import Invocation
from perceiver_music.errors import InvalidInputError, StorageError


def _done(_: float) -> bool:
    return True


def _skipped(_: float) -> bool:
    return False


def _invalid(_: float) -> bool:
    raise InvalidInputError("is bad", path="x.mid")


def _unreadable(_: float) -> bool:
    raise StorageError("is gone", path="x.mid")


def _buggy(_: float) -> bool:
    raise RuntimeError("oh no")


def _interrupted(_: float) -> bool:
    raise KeyboardInterrupt


def _run(*works, num_inputs: int | None = None, **options: bool) -> int:
    invocation = Invocation(command="render", console=Console(**options))
    items = [Item(inputs=[f"{i}.mid"], work=work) for i, work in enumerate(works)]
    return run_batch(invocation, items, num_inputs=num_inputs or len(items))


@pytest.mark.parametrize(
    ("works", "code"),
    [
        ([_done], 0),
        ([_skipped], 0),
        ([_done, _skipped], 0),
        ([_invalid], 65),
        ([_unreadable], 74),
        ([_buggy], 1),
        ([_done, _invalid], 3),
        ([_invalid, _invalid], 3),
        ([_buggy, _done], 3),
    ],
)
def test_codes(works: list, code: int) -> None:
    assert _run(*works) == code


def test_two_items_of_one_input_fail_with_its_code() -> None:
    assert _run(_invalid, _invalid, num_inputs=1) == 65


def test_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    _run(_done, _skipped, _invalid)
    assert capsys.readouterr().err.splitlines()[-1] == "error: 1 done, 1 skipped, 1 failed"
    _run(_done)
    assert capsys.readouterr().err == ""
    _run(_done, _done, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_failure_has_an_object_of_its_own(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _run(_done, _unreadable, as_json=True)
    [line] = capfdbinary.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["inputs"], said["error"]["code"]) == (["1.mid"], 74)


def test_the_same_failure_is_told_once(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert _run(_invalid, _unreadable, _invalid, _invalid) == 3
    error = capfdbinary.readouterr().err
    assert (error.count(b"x.mid: is bad"), error.count(b"x.mid: is gone")) == (1, 1)
    _run(_invalid, _invalid, as_json=True)
    captured = capfdbinary.readouterr()
    assert (captured.out.count(b'"is bad"'), captured.err.count(b"is bad")) == (2, 1)


def test_a_signal_stops_them_all() -> None:
    with pytest.raises(KeyboardInterrupt):
        _run(_done, _interrupted, _done)
