"""The settlement average: closed forms, quadrature, Monte Carlo, limits, bad input."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR, year_fraction
from ivhedge.surface.averaging import (
    SETTLEMENT_WINDOW_NS,
    averaged_price,
    averaged_terms,
    averaged_total_variance,
)
from ivhedge.surface.clock import ClockEvent, VarianceClock

WINDOW = SETTLEMENT_WINDOW_NS
EXPIRY = 20_000 * NS_PER_DAY + 8 * NS_PER_HOUR


def closed_form(x):
    """Give ln(2(eˣ − 1 − x)/x²) at 50 digits."""
    with mpmath.workdps(50):
        x = mpmath.mpf(x)
        return float(mpmath.log(2 * (mpmath.e**x - 1 - x) / x**2))


@pytest.mark.parametrize("vol", [0.001, 0.1, 0.6, 3.0, 9.0, 100.0, 250.0])
@pytest.mark.parametrize("left", [1.0, 0.5, 1e-3, 1e-9])
def test_inside_the_window_the_variance_is_the_closed_form_of_what_is_left(vol, left):
    ts = EXPIRY - round(left * WINDOW)
    expected = closed_form(vol**2 * (EXPIRY - ts) / NS_PER_YEAR)
    assert averaged_total_variance(ts, EXPIRY, vol) == pytest.approx(expected, rel=1e-12)


def test_long_before_the_average_takes_two_thirds_of_the_window_off():
    ts, vol = EXPIRY - 7 * NS_PER_DAY, 0.6
    w = float(averaged_total_variance(ts, EXPIRY, vol))
    assert w == pytest.approx(vol**2 * (7 * NS_PER_DAY - 2 / 3 * WINDOW) / NS_PER_YEAR, rel=1e-8)


def test_at_expiry_nothing_is_left():
    assert averaged_total_variance(EXPIRY, EXPIRY, 0.6) == 0.0
    assert averaged_total_variance(EXPIRY - WINDOW, EXPIRY, 0.0) == 0.0


@settings(deadline=None)
@given(st.integers(0, 3 * WINDOW), st.integers(0, 3 * WINDOW), st.floats(0.01, 20.0))
def test_variance_falls_with_time_and_stays_below_that_of_the_last_price(one, other, vol):
    early, late = EXPIRY - max(one, other), EXPIRY - min(one, other)
    w = averaged_total_variance(np.array([early, late]), EXPIRY, vol)
    assert w[0] >= w[1] >= 0.0
    assert w[0] <= vol**2 * float(year_fraction(early, EXPIRY))


def test_the_opening_of_the_window_leaves_no_jump():
    opens = EXPIRY - WINDOW
    w = averaged_total_variance(np.array([opens - 1, opens, opens + 1]), EXPIRY, 0.6)
    assert np.ptp(w) < 1e-9 * w[1]


def test_a_clock_inside_the_window_agrees_with_quadrature():
    table = np.random.default_rng(3).uniform(0.2, 3.0, (7, 24))
    event = ClockEvent(
        name="release", start_ns=EXPIRY - 9 * WINDOW // 10, end_ns=EXPIRY - WINDOW // 3, multiplier=4.0
    )
    clock = VarianceClock.from_weights(table, events=[event])
    window, vol = 7 * WINDOW, 40.0
    for ts in (EXPIRY - 9 * WINDOW, EXPIRY - 5 * WINDOW, EXPIRY - WINDOW // 2):
        opens = max(ts, EXPIRY - window)
        nodes = opens + ((np.arange(400_000) + 0.5) / 400_000 * (EXPIRY - opens)).astype(np.int64)
        span = EXPIRY - opens
        grown = np.exp(vol**2 * clock.variance_time(opens, nodes))
        moment = 2.0 * np.mean((EXPIRY - nodes) / span * grown)
        expected = vol**2 * clock.variance_time(ts, opens) + np.log(moment)
        found = averaged_total_variance(ts, EXPIRY, vol, window, clock)
        assert found == pytest.approx(float(expected), rel=1e-7)


def test_a_clock_at_constant_speed_is_a_vol():
    fast = ClockEvent(name="all", start_ns=EXPIRY - NS_PER_DAY, end_ns=EXPIRY, multiplier=2.25)
    clock = VarianceClock.calendar().with_events([fast])
    for before in (NS_PER_DAY, WINDOW, WINDOW // 3):
        found = averaged_total_variance(EXPIRY - before, EXPIRY, 0.6, clock=clock)
        assert found == pytest.approx(float(averaged_total_variance(EXPIRY - before, EXPIRY, 0.9)), rel=1e-12)


@pytest.mark.parametrize("known_share", [0.0, 0.4, 0.8])
def test_monte_carlo_agrees_with_the_terms(known_share):
    rng, vol, index, known = np.random.default_rng(11), 12.0, 100.0, 100.6
    ts = EXPIRY - round((1.0 - known_share) * WINDOW) - (WINDOW if known_share == 0.0 else 0)
    steps, paths = 240, 40_000
    opens = max(ts, EXPIRY - WINDOW)
    dt = float(year_fraction(opens, EXPIRY)) / steps
    start = vol * np.sqrt(float(year_fraction(ts, opens)))
    first = start * rng.standard_normal(paths) - 0.5 * start**2
    moves = vol * np.sqrt(dt) * rng.standard_normal((steps, paths)) - 0.5 * vol**2 * dt
    logs = np.concatenate((first[None], first + np.cumsum(moves, axis=0)))
    path = index * np.exp(logs)
    ahead = (0.5 * (path[0] + path[-1]) + path[1:-1].sum(axis=0)) / steps
    settled = known_share * known + (1.0 - known_share) * ahead
    strikes = np.array([99.0, 100.0, 101.5])
    terms = averaged_terms(ts, EXPIRY, index, strikes, vol, known)
    for is_call in (True, False):
        sign = 1.0 if is_call else -1.0
        payoff = np.maximum(sign * (settled - strikes[:, None]), 0.0)
        error = payoff.std(axis=1) / np.sqrt(paths)
        gap = averaged_price(terms, strikes, is_call) - payoff.mean(axis=1)
        # Four standard errors, and what 240 steps miss of the continuous average.
        assert np.all(np.abs(gap) < 4.0 * error + 2e-4 * payoff.mean(axis=1))
    second = np.mean((ahead / index) ** 2)
    spread = np.std((ahead / index) ** 2) / np.sqrt(paths)
    assert abs(np.exp(terms.total_variance[0]) - second) < 4.0 * spread + 1e-5


@settings(deadline=None)
@given(
    st.floats(0.0, 2.0),
    st.floats(50.0, 150.0),
    st.floats(50.0, 150.0),
    st.floats(0.0, 20.0),
)
def test_put_call_parity_on_the_expected_settlement(left, strike, known, vol):
    ts = EXPIRY - round(left * WINDOW)
    terms = averaged_terms(ts, EXPIRY, 100.0, strike, vol, known)
    call, put = (float(averaged_price(terms, strike, side)) for side in (True, False))
    assert call - put == pytest.approx(float(terms.expected_settlement) - strike, abs=1e-9)
    assert min(call, put) >= 0.0


def test_the_known_part_decides():
    terms = averaged_terms(EXPIRY - WINDOW // 10, EXPIRY, 100.0, 80.0, 0.6, known_average=110.0)
    assert terms.strike < 0.0
    assert averaged_price(terms, 80.0, True) == pytest.approx(0.9 * 110.0 + 0.1 * 100.0 - 80.0)
    assert averaged_price(terms, 80.0, False) == 0.0
    done = averaged_terms(EXPIRY, EXPIRY, 100.0, 80.0, 0.6, known_average=83.0)
    assert (done.scale, done.expected_settlement, done.total_variance) == (0.0, 83.0, 0.0)
    assert averaged_price(done, 80.0, True) == pytest.approx(3.0)


def test_shapes_broadcast():
    terms = averaged_terms(EXPIRY - WINDOW // 2, EXPIRY, 100.0, 100.0, 0.6, 100.0)
    both = averaged_price(terms, 100.0, [True, False])
    assert both.shape == (2,)
    assert both[0] == pytest.approx(both[1])
    strikes = np.array([[99.0], [101.0]])
    table = averaged_terms(EXPIRY - WINDOW // 2, EXPIRY, 100.0, strikes, [0.5, 0.6, 0.7], 100.0)
    assert averaged_price(table, strikes, True).shape == (2, 3)


def test_at_the_money_gamma_fades_with_the_root_of_what_is_left():
    gammas = []
    for part in (1, 4):
        prices = [
            float(
                averaged_price(
                    averaged_terms(EXPIRY - WINDOW // part, EXPIRY, index, 100.0, 0.6, 100.0), 100.0, True
                )
            )
            for index in (99.99, 100.0, 100.01)
        ]
        gammas.append(prices[0] - 2.0 * prices[1] + prices[2])
    assert gammas[1] / gammas[0] == pytest.approx(0.5, rel=1e-2)


def test_before_the_window_the_terms_are_those_of_a_plain_option():
    terms = averaged_terms(EXPIRY - NS_PER_DAY, EXPIRY, 100.0, [90.0, 110.0], 0.6)
    assert terms.scale.tolist() == [1.0, 1.0]
    assert terms.strike.tolist() == [90.0, 110.0]
    assert terms.expected_settlement.tolist() == [100.0, 100.0]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"ts_ns": EXPIRY + 1}, DataError, "drop what has expired"),
        ({"ts_ns": float(EXPIRY)}, DataError, "integer nanoseconds"),
        ({"ts_ns": np.datetime64("2024-10-04T08:00")}, DataError, "integer nanoseconds"),
        ({"vol": np.nan}, DataError, "finite vols"),
        ({"vol": -0.1}, DataError, "finite vols"),
        ({"window_ns": 0}, ConfigError, "window"),
        ({"window_ns": NS_PER_DAY + 1}, ConfigError, "window"),
        ({"forward": 0.0}, DataError, "forward"),
        ({"strike": np.inf}, DataError, "strike"),
        ({"known_average": None}, DataError, "known_average"),
        ({"known_average": -1.0}, DataError, "known_average"),
    ],
)
def test_bad_input_is_refused(change, error, words):
    good = {
        "ts_ns": EXPIRY - WINDOW // 2,
        "expiry_ns": EXPIRY,
        "forward": 100.0,
        "strike": 100.0,
        "vol": 0.6,
        "known_average": 100.0,
    }
    averaged_terms(**good)
    with pytest.raises(error, match=words):
        averaged_terms(**{**good, **change})
