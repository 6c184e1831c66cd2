"""Ports by name, and what happens when they fail."""

from __future__ import annotations

import importlib.metadata
from types import ModuleType

import mido
import pytest

from perceiver_music.errors import UnavailableError, UsageError
from perceiver_music.live.ports import (
    MAX_SYSEX_BYTES,
    PortGone,
    open_input,
    open_output,
    port_names,
)

NOTE = mido.Message("note_on", note=60, velocity=64)


def test_names(backend: ModuleType) -> None:
    names = port_names()
    assert (list(names.inputs), list(names.outputs)) == (backend.INPUTS, backend.OUTPUTS)


@pytest.mark.parametrize("name", ["Synth Two", "two", None])
def test_a_port_by_its_name_a_part_of_it_or_none(backend: ModuleType, name: str | None) -> None:
    port = open_output(name)
    port.send(NOTE)
    port.close()
    assert (len(backend.sent), backend.state["is_open"]) == (1, 0)


def test_a_name_of_several_or_of_none_is_refused(backend: ModuleType) -> None:
    with pytest.raises(UsageError, match="2 MIDI output ports"):
        open_output("synth")
    with pytest.raises(UnavailableError, match="Organ") as caught:
        open_input("Organ")
    assert "Grand Piano" in str(caught.value.hint)
    backend.INPUTS.clear()
    with pytest.raises(UnavailableError, match="no MIDI input port") as caught:
        open_input(None)
    assert "--midi-file" in str(caught.value.hint)


def test_where_ports_cannot_even_be_listed_nobody_is_sent_to_the_list(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> list[dict[str, object]]:
        raise OSError("no sound system")

    monkeypatch.setattr(backend, "get_devices", fail)
    for ask in (port_names, lambda: open_input(None), lambda: open_output("one")):
        with pytest.raises(UnavailableError, match="no sound system") as caught:
            ask()
        assert "--midi-file" in str(caught.value.hint)
        assert "--list-ports" not in str(caught.value.hint)


def test_a_backend_whose_c_library_is_missing(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("libmidi.so: cannot open shared object file")

    monkeypatch.setattr(mido, "Backend", fail)
    with pytest.raises(UnavailableError, match=r"libmidi\.so") as caught:
        port_names()
    assert "MIDO_BACKEND" in str(caught.value.hint)


def test_a_port_that_goes_away_is_one_failure_of_ours(backend: ModuleType) -> None:
    output, keyboard = open_output("one"), open_input("grand")
    backend.state["fails_after"] = 0
    with pytest.raises(PortGone, match="Synth One"):
        output.send(NOTE)
    backend.arriving.append([])
    with pytest.raises(PortGone, match="Grand Piano"):
        keyboard.poll()


def test_a_message_without_an_end_is_forgotten(backend: ModuleType) -> None:
    keyboard = open_input("grand")
    for _ in range(20_000):
        backend.arriving.append([0xF0, 1, 2, 3] if _ == 0 else [1, 2, 3, 4])
        assert keyboard.poll() is None
        assert len(keyboard._port._parser._tok._bytes) <= MAX_SYSEX_BYTES + 4
    backend.arriving.append([0x90, 60, 64])
    assert keyboard.poll() == NOTE


def test_a_backend_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDO_BACKEND", "no.such.backend")
    with pytest.raises(UnavailableError, match=r"no\.such\.backend"):
        port_names()


def test_pygame_is_a_backend_for_mido(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With no device at all, which is what a build machine has, it says so and is quiet."""
    assert importlib.metadata.version("pygame-ce")
    monkeypatch.setenv("MIDO_BACKEND", "mido.backends.pygame")
    try:
        names = port_names()
    except UnavailableError:  # a machine without any sound system
        names = None
    assert names is None or names.backend == "mido.backends.pygame"
    assert capfd.readouterr() == ("", "")
