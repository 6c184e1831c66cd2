"""Builds the native decoder into a wheel or an editable installation, where there is a compiler.

Without one, the wheel is pure Python and everything works; decoding then takes torch's time.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("perceiver_music", "model", "native")


class NativeDecoderHook(BuildHookInterface):
    """See https://hatch.pypa.io/latest/plugins/build-hook/custom/."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say that the wheel is for this system; or leave it as it was."""
        if self.target_name != "wheel":
            return
        compiling = _load_module(Path(self.root, NATIVE, "compile.py"))
        try:
            compiling.compile_library()
        except compiling.CannotCompile as error:
            self.app.display_warning(f"The native decoder is left out: {error}")
            return
        except Exception as error:  # whatever it is: installing must not fail for it
            self.app.display_warning(f"The native decoder is left out: {error!r}")
            return
        system = system_of(compiling.LIBRARY.read_bytes())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{system}"
        build_data["artifacts"].append(f"/{NATIVE.as_posix()}/{compiling.LIBRARY.name}")


def system_of(library: bytes, *, python: str | None = None, machine: str | None = None) -> str:
    """The last part of the wheel's name: which systems its library runs on.

    Args:
        library: the library. It needs nothing beyond C and its mathematics.
        python: the system that this Python was built for, which may be more than one processor's.
        machine: the processor that is compiled for.
    """
    system = (python or sysconfig.get_platform()).replace("-", "_").replace(".", "_")
    if system.endswith("_universal2"):
        return system.removesuffix("universal2") + (machine or platform.machine())
    # A symbol says since which glibc it is what it is: PEP 600 names wheels by the newest.
    glibc = [int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", library)]
    if system.startswith("linux_") and glibc:
        return system.replace("linux", f"manylinux_2_{max(5, *glibc)}", 1)
    return system


def _load_module(path: Path) -> ModuleType:
    """A module of the package by its file: the package itself may lack what it imports."""
    spec = importlib.util.spec_from_file_location("native_decoder_compile", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
