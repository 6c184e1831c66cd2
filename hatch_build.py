"""Builds the native decoder into a wheel or an editable installation, where there is a compiler.

Without one, the wheel is pure Python and everything works; decoding then takes torch's time.
"""

from __future__ import annotations

import importlib.util
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
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(f"/{NATIVE.as_posix()}/{compiling.LIBRARY.name}")


def _load_module(path: Path) -> ModuleType:
    """A module of the package by its file: the package itself may lack what it imports."""
    spec = importlib.util.spec_from_file_location("native_decoder_compile", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
