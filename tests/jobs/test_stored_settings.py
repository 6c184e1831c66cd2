"""What a generated file says of how it was made is read as it was meant, also from older files."""

import json
from pathlib import Path
from typing import Any

import pytest

from perceiver_music.errors import InvalidInputError
from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.jobs.continuation_request import ContinueRequest
from perceiver_music.jobs.duet_file import DUET_SCHEMA
from perceiver_music.jobs.stored_settings import ComputeSettings, StoredSettings, request_fields
from perceiver_music.music.embedded import find_embedded

FIRST_FILE = {
    "schema": "perceiver-music-settings/2",
    "command": "continue",
    "primer": "x.mid",
    "primer_sha256": "1" * 64,
    "music_sha256": "2" * 64,
    "checkpoint": "maestro",
    "checkpoint_sha256": "3" * 64,
    "version": "0.1.0",
    "decoder": "native int8",
    "torch": None,
    "device": "cpu",
    "kernel": "AVX2",
    "threads": 1,
    "context": 4096,
    "latents": 1024,
    "seed": 7,
    "index": 2,
    "from_seconds": None,
    "to_seconds": 9.5,
    "last_seconds": None,
    "include_primer": True,
    "ending": False,
    "between_seconds": None,
    "length": {"amount": 60.0, "unit": "seconds"},
    "sampling": {
        "temperature": 1.0,
        "top_k": None,
        "top_p": 0.99,
        "min_p": None,
        "loop_guard": True,
        "keep_pace": True,
    },
}
"""What files had before anything was added."""


def read(fields: dict[str, Any]) -> StoredSettings:
    return StoredSettings.from_text(json.dumps(fields), name="x.mid")


def stored(request: ContinueRequest) -> StoredSettings:
    compute = ComputeSettings(
        version="1",
        decoder="torch",
        torch="2",
        device="cuda",
        kernel="H100",
        threads=3,
        context=64,
        latents=16,
        policy="slide",
    )
    return StoredSettings(
        command=request.command,
        primer=request.primer_name or None,
        primer_sha256=None if request.primer is None else "1" * 64,
        music_sha256="2" * 64,
        checkpoint="caf\xe9",
        checkpoint_sha256="3" * 64,
        compute=compute,
        request=request_fields(request),
    )


@pytest.mark.parametrize(
    "request_made",
    [
        ContinueRequest(primer=b"", primer_name="x.mid"),
        ContinueRequest(
            primer=b"",
            primer_name="x.mid",
            seed=5,
            index=3,
            length=LengthOption(amount=16, unit="bars"),
            from_seconds=1.5,
            to_seconds=9.0,
            include_primer=False,
            ending=True,
            sampling=SamplingOptions(temperature=0.8, top_k=20, top_p=None, keep_touch=False),
            starts_at_once=False,
        ),
        ContinueRequest(primer=b"", primer_name="x.mid", last_seconds=4.0),
        ContinueRequest(primer=b"", primer_name="x.mid", between_seconds=(6.0, 8.25)),
        ContinueRequest(seed=9),
    ],
    ids=["plain", "all", "last", "infill", "compose"],
)
def test_what_is_written_is_read(request_made: ContinueRequest) -> None:
    settings = stored(request_made)
    text = settings.as_text()
    assert text.isascii()
    again = StoredSettings.from_text(text, name="x.mid")
    assert again == settings
    assert again.as_text() == text
    assert again.as_request(primer=request_made.primer) == request_made


def test_what_an_older_file_does_not_say_is_as_it_was_then() -> None:
    settings = read(FIRST_FILE)
    assert settings.compute.policy == "exact"
    request = settings.as_request(primer=b"")
    assert not request.starts_at_once
    assert request.sampling == SamplingOptions(
        keep_key=False,
        keep_touch=False,
        keep_articulation=False,
        keep_joint=False,
        keep_moving=False,
        keep_grid=False,
        keep_levels=False,
        let_go=False,
        come_back=False,
    )
    assert (request.seed, request.index, request.to_seconds) == (7, 2, 9.5)


def test_what_a_newer_file_says_counts() -> None:
    sampling = {**FIRST_FILE["sampling"], "keep_key": True}
    settings = read({**FIRST_FILE, "policy": "slide", "starts_at_once": True, "sampling": sampling})
    assert settings.compute.policy == "slide"
    request = settings.as_request(primer=b"")
    assert request.starts_at_once
    assert request.sampling.keep_key
    assert not request.sampling.keep_touch


@pytest.mark.parametrize("name", sorted({*FIRST_FILE} - {"schema"}))
def test_what_every_file_says_must_be_there(name: str) -> None:
    fields = {key: value for key, value in FIRST_FILE.items() if key != name}
    with pytest.raises(InvalidInputError, match="settings stored in it are damaged") as refused:
        read(fields)
    assert refused.value.path == "x.mid"


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", "3", "null", "[" * 100_000])
def test_what_are_no_settings_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="damaged"):
        StoredSettings.from_text(text, name="x.mid")


@pytest.mark.parametrize(
    "change",
    [
        {"command": "duet"},
        {"index": "two"},
        {"threads": 1025},
        {"torch": 2},
        {"length": {"amount": 60.0, "unit": "miles"}},
        {"length": {"amount": 60.0, "unit": "seconds", "more": 1}},
        {"sampling": {"swing": True}},
        {"from_seconds": 10.0},
        {"between_seconds": [1.0, 2.0, 3.0]},
    ],
    ids=str,
)
def test_settings_that_no_file_has_are_refused(change: dict[str, Any]) -> None:
    read(FIRST_FILE)
    with pytest.raises(InvalidInputError, match="damaged"):
        read({**FIRST_FILE, **change})


def test_a_duet_and_another_format_are_told_from_damage() -> None:
    with pytest.raises(InvalidInputError, match="is a duet"):
        read({**FIRST_FILE, "schema": DUET_SCHEMA})
    with pytest.raises(InvalidInputError, match=r"stores its settings as .*settings/1"):
        read({**FIRST_FILE, "schema": "perceiver-music-settings/1"})


def test_the_gallery_is_understood() -> None:
    gallery = sorted((Path(__file__).parents[2] / "docs" / "gallery").glob("*.mid"))
    found = [find_embedded(file.read_bytes(), name=file.name) for file in gallery]
    read_back = [
        StoredSettings.from_text(each.settings, name="x") for each in found if each is not None
    ]
    assert read_back
    for each in read_back:
        assert StoredSettings.from_text(each.as_text(), name="x") == each
