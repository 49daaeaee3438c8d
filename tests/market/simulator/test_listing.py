import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core import NS_PER_DAY, NS_PER_HOUR, parse_time
from ivhedge.core.errors import ConfigError
from ivhedge.market.simulator import ExpiryRule, StrikeRule
from ivhedge.market.simulator.listing import (
    expiry_label,
    listed_expiries,
    listed_strikes,
    monthly_expiries,
    next_listing,
)

START = parse_time("2026-01-05T00:00Z")


def test_calendar_is_the_known_one():
    labels = [expiry_label(int(e)) for e in listed_expiries(START, ExpiryRule())]
    assert labels == [
        "5JAN26", "6JAN26", "9JAN26", "16JAN26", "23JAN26", "30JAN26",
        "27FEB26", "27MAR26", "26JUN26", "25SEP26", "25DEC26",
    ]  # fmt: skip
    months = [expiry_label(int(e)) for e in monthly_expiries(START, ExpiryRule(quarterlies=1))]
    assert months == ["30JAN26", "27FEB26", "27MAR26"]


def test_an_expiry_is_gone_when_it_expires():
    at_expiry = parse_time("2026-01-05T08:00Z")
    assert at_expiry in listed_expiries(at_expiry - 1, ExpiryRule())
    assert at_expiry not in listed_expiries(at_expiry, ExpiryRule())


@given(hours=st.integers(0, 40_000), ahead=st.integers(1, 400))
def test_what_is_listed_stays_until_it_expires(hours, ahead):
    now = START + hours * NS_PER_HOUR
    later = now + ahead * NS_PER_HOUR
    before, after = listed_expiries(now, ExpiryRule()), listed_expiries(later, ExpiryRule())
    assert set(before[before > later]) <= set(after)
    assert np.all((before % NS_PER_DAY) == 8 * NS_PER_HOUR)
    assert np.all(before > now)


@given(spot=st.floats(1.0, 1e6), days=st.floats(0.01, 400.0))
def test_strikes_surround_spot_on_round_numbers(spot, days):
    strikes = listed_strikes(spot, days / 365.0, StrikeRule())
    assert 20 <= strikes.size <= 60
    assert strikes[0] < spot < strikes[-1]
    assert np.all(np.diff(strikes) > 0.0)
    assert np.diff(strikes).min() / np.diff(strikes).max() <= 0.5


def test_strikes_are_added_as_spot_moves_and_none_is_lost():
    first = next_listing(None, START, 90_000.0, ExpiryRule(), StrikeRule())
    second = next_listing(first, START + 6 * NS_PER_HOUR, 99_000.0, ExpiryRule(), StrikeRule())
    old = set(zip(first.expiry_ns.tolist(), first.strike.tolist(), strict=True))
    new = set(zip(second.expiry_ns.tolist(), second.strike.tolist(), strict=True))
    assert old < new
    assert set(second.listed_ns.tolist()) == {0, START + 6 * NS_PER_HOUR}


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (-1, 1, 1, 1), (1, 1, 1, 9)])
def test_bad_rules_are_refused(counts):
    with pytest.raises(ConfigError):
        ExpiryRule(dailies=counts[0], weeklies=counts[1], monthlies=counts[2], quarterlies=counts[3])
    with pytest.raises(ConfigError):
        StrikeRule(count=1)
