import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.core.units import NS_PER_DAY, parse_time
from ivhedge.market.readers.window import parse_window


def test_bare_date_end_means_through_that_day():
    window = parse_window("2026-01-05", "2026-01-06")
    assert window.start_ns == parse_time("2026-01-05")
    assert window.end_ns == parse_time("2026-01-06") + NS_PER_DAY


def test_end_with_a_time_is_exclusive_as_given():
    assert parse_window(None, "2026-01-06T08:00").end_ns == parse_time("2026-01-06T08:00")


def test_nanoseconds_pass_through():
    window = parse_window(5, 7)
    assert (window.start_ns, window.end_ns) == (5, 7)


@pytest.mark.parametrize(("start", "end"), [("2026-01-07", "2026-01-05"), (7, 7)])
def test_empty_window_is_refused(start, end):
    with pytest.raises(ConfigError, match="start before the end"):
        parse_window(start, end)


def test_nonsense_time_is_refused():
    with pytest.raises(ConfigError, match="ISO date"):
        parse_window("yesterday", None)
