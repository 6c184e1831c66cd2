"""The small languages: what they read, and what they refuse."""

import pytest

from perceiver_music.cli.lengths import Length, parse_length, parse_moment


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("4096", 4096, "events"),
        ("500notes", 500, "notes"),
        ("60s", 60, "seconds"),
        ("2.5s", 2.5, "seconds"),
        ("1:30", 90, "seconds"),
        ("16bars", 16, "bars"),
        ("1 bar", 1, "bars"),
        ("10 Events", 10, "events"),
    ],
)
def test_a_length_is_read(text: str, amount: float, unit: str) -> None:
    assert parse_length(text) == Length(amount=amount, unit=unit)


@pytest.mark.parametrize("text", ["", "0", "0s", "-3", "1.5notes", "12parsecs", "s", "1e400s", "٣"])
def test_no_length(text: str) -> None:
    with pytest.raises(ValueError, match=r"length|music|whole|large"):
        parse_length(text)


def test_a_length_in_words_reads_back() -> None:
    for text in ("4096", "500notes", "60s", "2.5s", "16bars"):
        assert str(parse_length(text)) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", 12.5),
        ("12.5s", 12.5),
        ("1:30", 90),
        ("1:02:03.5", 3723.5),
        (".5", 0.5),
        ("90:00", 5400),
    ],
)
def test_a_moment_is_read(text: str, seconds: float) -> None:
    assert parse_moment(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:75", "1:75:00", "soon", "1m", "nan", "inf", "1:"])
def test_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_moment(text)


def test_few_events_may_have_been_meant_as_seconds() -> None:
    few = parse_length("30")
    assert few.is_of_few_events
    assert few.in_words == "30 events, about 8 notes; 30s is seconds"
    assert parse_length("2").in_words == "2 events, a few notes at most; 2s is seconds"
    assert parse_length("1").in_words == "1 event, a few notes at most; 1s is seconds"
    assert parse_length("19").in_words == "19 events, a few notes at most; 19s is seconds"
    assert not any(parse_length(text).is_of_few_events for text in ("4096", "30s", "30notes"))


@pytest.mark.parametrize("text", ["9" * 21, "25000s", "7:00:00", "600000notes", "30000bars"])
def test_more_than_six_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="six hours"):
        parse_length(text)
