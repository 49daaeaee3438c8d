from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core import ManualClock, format_ns, parse_time, to_ns, year_fraction
from ivhedge.core.errors import ConfigError
from ivhedge.core.units import NS_PER_YEAR


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))
def test_times_survive_the_round_trip(moment):
    ns = to_ns(moment.replace(tzinfo=UTC))
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000) == moment.replace(tzinfo=UTC)
    assert parse_time(moment.isoformat()) == ns
    assert format_ns(ns) == moment.strftime("%Y-%m-%d %H:%M:%S")


def test_other_zones_are_converted():
    assert to_ns(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == parse_time("2026-01-01")


def test_naive_times_and_nonsense_are_refused():
    with pytest.raises(ConfigError, match="with a zone"):
        to_ns(datetime(2026, 1, 1))
    with pytest.raises(ConfigError, match="yesterday"):
        parse_time("yesterday")


def test_year_fraction_broadcasts_and_keeps_its_sign():
    spans = year_fraction(np.array([0, NS_PER_YEAR]), NS_PER_YEAR)
    assert spans.tolist() == [1.0, 0.0]
    assert year_fraction(NS_PER_YEAR, 0) == -1.0


def test_a_manual_clock_never_runs_backwards():
    clock = ManualClock(5)
    clock.advance_to(7)
    assert clock.now_ns() == 7
    with pytest.raises(ConfigError, match="only advance"):
        clock.advance_to(6)
