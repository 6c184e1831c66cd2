"""Moments as people say them."""

from perceiver_music.music.moments import clock


def test_minutes_and_the_nearest_second() -> None:
    said = [clock(seconds) for seconds in (0, 0.49, 0.5, 1.5, 59.4, 59.6, 60, 98.9, 3601)]
    assert said == ["0:00", "0:00", "0:01", "0:02", "0:59", "1:00", "1:00", "1:39", "60:01"]
