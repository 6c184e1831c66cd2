"""`data`, from outside; the network itself is tested with the job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def test_list_and_info(run: Run) -> None:
    assert any("maestro-v3" in line for line in run("data", "list").succeeded().lines)
    names = [row["name"] for row in run("data", "list", "--json").object["data_sets"]]
    assert "maestro-v3" in names
    fields = run("data", "info", "maestro-v3", "--json").succeeded().object
    assert fields["schema"] == "data info/1"
    assert len(fields["sha256"]) == 64
    assert any(fields["sha256"] in line for line in run("data", "info", "maestro-v3").lines)
    run("data", "info", "nope").failed(65)


def test_verify_what_is_not_here(run: Run) -> None:
    run("data", "verify", "maestro-v3").failed(74)
    run("data", "verify", "nowhere").failed(74)
    Path("empty").mkdir()
    run("data", "verify", "empty").failed(65)


def test_nothing_is_fetched_offline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_OFFLINE", "1")
    run("data", "download", "maestro-v3", "-o", "m").failed(69)
    assert not Path("m").exists()


def test_what_is_there_is_left_alone(run: Run) -> None:
    Path("m").mkdir()
    run("data", "download", "maestro-v3", "-o", "m").failed(73)
    run("data", "download", "maestro-v3", "-o", "m", "--skip-existing").succeeded()
    run("data", "download", "nope", "-o", "m", "--skip-existing").failed(65)
