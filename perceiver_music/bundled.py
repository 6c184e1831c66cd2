"""Where the files that come with the package lie: checkpoints and primers.

In a checkout they are at the top, `checkpoints/` and `data/primers/`, for people to see. A wheel
has no top, so it carries copies inside the package, under `bundled_files/` (see `force-include`
in `pyproject.toml`). The copies win, because only an installed package has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from perceiver_music.errors import UnavailableError

_PACKAGE: Final = Path(__file__).resolve().parent


def bundled_checkpoints() -> Path:
    """The folder with one folder a bundled checkpoint.

    Raises:
        UnavailableError: this installation carries none.
    """
    return _bundled("checkpoints", in_checkout=Path("checkpoints"))


def bundled_primers() -> Path:
    """The folder with the bundled primers, `*.mid`.

    Raises:
        UnavailableError: this installation carries none.
    """
    return _bundled("primers", in_checkout=Path("data", "primers"))


def _bundled(name: str, *, in_checkout: Path) -> Path:
    candidates = (_PACKAGE / "bundled_files" / name, _PACKAGE.parent / in_checkout)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise UnavailableError(
        f"this installation of perceiver-music has no bundled {name}",
        path=candidates[0],
        hint="Install the package again from its wheel or from a whole checkout.",
    )
