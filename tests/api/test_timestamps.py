import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api import timestamps


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d1h"),
        (8 * 86400 + 3600, "8d"),
        (729 * 86400, "729d"),
        (3 * 365 * 86400 + 20 * 86400, "3y20d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_read_as_kubectls(seconds, text):
    assert timestamps.human(seconds) == text


def test_times_are_written_in_utc():
    assert timestamps.rfc3339(0.9) == "1970-01-01T00:00:00Z"
    assert timestamps.micro(0.5) == "1970-01-01T00:00:00.500000Z"
    assert timestamps.parse("1970-01-01T01:00:00+01:00") == 0
    assert timestamps.ago(None) == "<unknown>"
    assert timestamps.Ago(timestamps.parse("1970-01-01T00:00:00Z"), "2 (", " ago)").at(5) == "2 (5s ago)"


@pytest.mark.parametrize("text", ["", "1970-01-01", "1970-01-01T00:00:00", "now", "1970-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        timestamps.parse(text)


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999))
def test_a_time_survives_being_written_and_read(seconds, micros):
    instant = seconds + micros / 1e6
    assert timestamps.parse(timestamps.micro(instant)) == pytest.approx(instant, abs=1e-6)
    assert timestamps.parse(timestamps.rfc3339(instant)) == seconds
