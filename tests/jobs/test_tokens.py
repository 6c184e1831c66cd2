"""`tokens` as a job: events of a file, and back."""

import json
from pathlib import Path

import numpy as np
import pytest

from perceiver_music.errors import InvalidInputError, OutputExistsError, UsageError
from perceiver_music.jobs import tokens
from perceiver_music.jobs.tokens import DecodeRequest, TokensRequest
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NOTE_DTYPE, Performance
from perceiver_music.tokenizer import vocabulary as v

NOTES = np.array([(0, 500_000, 60, 62), (250_000, 1_750_000, 64, 82)], dtype=NOTE_DTYPE)
MIDI = performance_to_midi(Performance(notes=NOTES))


def test_events_are_told_one_a_line() -> None:
    result = tokens.run(TokensRequest(midi=MIDI, input_name="x.mid"))
    assert list(result.lines()) == [
        "0.00 371 VELOCITY 16",
        "0.00 60 NOTE_ON 60",
        "0.00 280 TIME_SHIFT 25",
        "0.25 376 VELOCITY 21",
        "0.25 64 NOTE_ON 64",
        "0.25 280 TIME_SHIFT 25",
        "0.50 188 NOTE_OFF 60",
        "0.50 355 TIME_SHIFT 100",
        "1.50 280 TIME_SHIFT 25",
        "1.75 192 NOTE_OFF 64",
    ]
    fields = result.as_json()
    assert (fields["events"], fields["notes"], fields["seconds"]) == (10, 2, 1.75)
    assert fields["tokenizer"] == "maestro-performance-400"


@pytest.mark.parametrize("is_bare_list", [True, False])
def test_ids_become_the_same_events_again(tmp_path: Path, is_bare_list: bool) -> None:
    fields = tokens.run(TokensRequest(midi=MIDI, input_name="x.mid")).as_json()
    path = tmp_path / "ids.json"
    path.write_text(json.dumps(fields["ids"] if is_bare_list else fields))
    output = tmp_path / "again.mid"
    request = DecodeRequest(ids=path, input_name="ids.json", output=output)
    result = tokens.decode(request)
    assert output.read_bytes() == result.midi
    assert result.as_json()["notes"] == 2
    again = tokens.run(TokensRequest(midi=output, input_name="again.mid"))
    assert again.as_json()["ids"] == fields["ids"]
    with pytest.raises(OutputExistsError):
        tokens.decode(request)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1.5]", b"[400]", b"[-1]", b'["a"]', b"[[1]]", b"[" * 99_999, b"\xff"]
)
def test_what_is_no_list_of_ids_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        tokens.decode(DecodeRequest(ids=data, input_name="ids.json"))
    assert caught.value.path == "ids.json"


def test_other_tokenizers_and_other_files_are_refused() -> None:
    with pytest.raises(UsageError):
        tokens.run(TokensRequest(midi=MIDI, input_name="x.mid", tokenizer="remi"))
    with pytest.raises(InvalidInputError):
        tokens.run(TokensRequest(midi=b"nothing", input_name="x.mid"))
    with pytest.raises(InvalidInputError, match="no piano notes"):
        tokens.run(TokensRequest(midi=Tracks().file(480), input_name="x.mid"))


def test_more_music_than_is_read_is_not_written(tmp_path: Path) -> None:
    hours = [v.TIME_SHIFT + 99] * 22_000
    note = [v.VELOCITY + 5, v.NOTE_ON + 60, v.TIME_SHIFT + 9, v.NOTE_OFF + 60]
    output = tmp_path / "long.mid"
    request = DecodeRequest(
        ids=json.dumps(hours + note).encode(), input_name="ids.json", output=output
    )
    with pytest.raises(InvalidInputError, match="six hours"):
        tokens.decode(request)
    assert not output.exists()
