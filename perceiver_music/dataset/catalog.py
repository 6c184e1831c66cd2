"""The data sets that can be fetched by name. A new one is one entry of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from perceiver_music.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Where a data set comes from, how it is known to be the right one, and what it allows.

    Attributes:
        name: what it is called on the command line.
        title: what it is, in a line.
        url: of a zip archive.
        sha256: of that archive.
        megabytes: its size, about.
        most_bytes: more than this is never fetched, whatever the server says.
        most_unpacked_bytes: nor is more than this unpacked.
        root: the only folder at the top of the archive, whose contents are the data set.
        licence: of the data.
        num_pieces: files of music in it.
        homepage: where to read more.
    """

    name: str
    title: str
    url: str
    sha256: str
    megabytes: int
    most_bytes: int
    most_unpacked_bytes: int
    root: str
    licence: str
    num_pieces: int
    homepage: str


MAESTRO_V3: Final = DataSet(
    name="maestro-v3",
    title="MAESTRO v3.0.0, MIDI only: concert piano performances with official splits",
    url="https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0-midi.zip",
    sha256="70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c",
    megabytes=56,
    most_bytes=100_000_000,
    most_unpacked_bytes=200_000_000,
    root="maestro-v3.0.0",
    licence="CC BY-NC-SA 4.0",
    num_pieces=1_276,
    homepage="https://magenta.tensorflow.org/datasets/maestro",
)

DATA_SETS: Final = (MAESTRO_V3,)


def get_data_set(name: str) -> DataSet:
    """The data set of that name.

    Raises:
        UsageError: there is none.
    """
    for data_set in DATA_SETS:
        if data_set.name == name:
            return data_set
    names = ", ".join(data_set.name for data_set in DATA_SETS)
    raise UsageError(f"there is no data set {name!r}", hint=f"There are: {names}.")
