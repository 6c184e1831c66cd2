"""A wheel is named by the systems that its library runs on."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HOOK = Path(__file__).resolve().parents[2] / "hatch_build.py"
OLD = b"...\0GLIBC_2.2.5\0GLIBC_2.14\0libm.so.6\0"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("library", "python", "machine", "system"),
    [
        (b"\0\0", "macosx-11.0-universal2", "arm64", "macosx_11_0_arm64"),
        (b"\0\0", "macosx-10.9-universal2", "x86_64", "macosx_10_9_x86_64"),
        (b"\0\0", "macosx-14.0-arm64", "arm64", "macosx_14_0_arm64"),
        (OLD, "linux-x86_64", "x86_64", "manylinux_2_14_x86_64"),
        (OLD + b"GLIBC_2.29\0", "linux-x86_64", "x86_64", "manylinux_2_29_x86_64"),
        (b"\0GLIBC_2.2.5\0", "linux-x86_64", "x86_64", "manylinux_2_5_x86_64"),
        (b"\0GLIBC_2.17\0", "linux-aarch64", "aarch64", "manylinux_2_17_aarch64"),
        (b"\0libc.musl\0", "linux-x86_64", "x86_64", "linux_x86_64"),
    ],
)
def test_the_system_of_a_wheel(
    hook: ModuleType, library: bytes, python: str, machine: str, system: str
) -> None:
    assert hook.system_of(library, python=python, machine=machine) == system
