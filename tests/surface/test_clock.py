"""The variance clock: exact integration, events, text, bad input, and estimates that find a known truth."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, EmptyData, GapError, SchemaError
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR, to_ns, year_fraction
from ivhedge.market import read_chains
from ivhedge.surface import certify
from ivhedge.surface._clock_atm import atm_vols
from ivhedge.surface._clock_estimate import ClockEstimate, combine_estimates
from ivhedge.surface._clock_implied import estimate_implied_clock
from ivhedge.surface._clock_realised import estimate_realised_clock, shrunk_cells
from ivhedge.surface.clock import ClockEvent, VarianceClock

WEEK = 7 * NS_PER_DAY
MINUTE = NS_PER_HOUR // 60
MONDAY = to_ns(datetime(2026, 1, 5, tzinfo=UTC))
DAYS = np.array([1.25, 1.2, 1.2, 1.1, 1.25, 0.35, 0.65])
HOURS = 1.0 + 0.5 * np.sin(np.arange(24) * np.pi / 12)
TRUTH = VarianceClock.from_weights(DAYS[:, None] * HOURS, name="truth")

moments = st.integers(-(2**60), 2**60)
tables = st.lists(st.floats(0.0, 50.0), min_size=168, max_size=168).filter(lambda rows: sum(rows) > 1.0)


def event(start, end, **numbers):
    return ClockEvent(name="event", start_ns=start, end_ns=end, **numbers)


EVENTS = (
    event(MONDAY + 13 * NS_PER_HOUR + 7 * MINUTE, MONDAY + 15 * NS_PER_HOUR, multiplier=3.0),
    event(MONDAY + NS_PER_DAY, MONDAY + NS_PER_DAY + 90 * MINUTE, multiplier=0.5, extra_days=0.75),
)


@settings(deadline=None, max_examples=40)
@given(moments, moments)
def test_the_calendar_clock_is_calendar_time(one, other):
    start, end = min(one, other), max(one, other)
    found = VarianceClock.calendar().variance_time(start, end)
    assert found == pytest.approx(float(year_fraction(start, end)), rel=1e-14, abs=1e-15)


@settings(deadline=None, max_examples=40)
@given(tables, st.integers(-2_000, 2_000), st.integers(0, 60))
def test_whole_weeks_last_as_long_as_in_the_calendar(table, week, count):
    clock = VarianceClock.from_weights(np.reshape(table, (7, 24)))
    start = MONDAY + week * WEEK + 12_345_678_901
    assert clock.variance_time(start, start + count * WEEK) == count * WEEK / NS_PER_YEAR


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-3 * WEEK, 3 * WEEK), min_size=3, max_size=3))
def test_time_adds_up_and_never_runs_back(offsets):
    clock = TRUTH.with_events(EVENTS)
    a, b, c = (MONDAY + offset for offset in sorted(offsets))
    first, second, whole = clock.variance_time([a, b, a], [b, c, c])
    assert first >= 0.0
    assert second >= 0.0
    assert first + second == pytest.approx(float(whole), rel=1e-12, abs=1e-16)


def test_the_integral_is_the_sum_of_the_speed():
    clock = TRUTH.with_events(EVENTS)
    minutes = MONDAY - NS_PER_DAY + np.arange(9 * 1_440) * MINUTE
    end = int(minutes[-1]) + MINUTE
    expected = clock.rate(minutes).sum() * MINUTE / NS_PER_YEAR
    assert clock.variance_time(int(minutes[0]), end) == pytest.approx(expected, rel=1e-12)
    assert clock.rate(MONDAY + 2 * NS_PER_DAY + 5 * NS_PER_HOUR) == clock.weights[2, 5]


def test_events_bring_what_they_say():
    span = (MONDAY, MONDAY + WEEK)
    extra = TRUTH.with_events([event(*span, extra_days=0.5)])
    assert extra.variance_time(*span) == pytest.approx(7.5 / 365, rel=1e-14)
    double = TRUTH.with_events([event(*span, multiplier=2.0)])
    assert double.variance_time(MONDAY, MONDAY + WEEK // 5) == pytest.approx(
        2.0 * float(TRUTH.variance_time(MONDAY, MONDAY + WEEK // 5)), rel=1e-14
    )
    assert extra.variance_time(span[1], span[1] + WEEK) == pytest.approx(7 / 365, rel=1e-14)


@settings(deadline=None, max_examples=40)
@given(
    tables,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.floats(0, 1e9),
    st.integers(-(2**62), 2**62),
)
def test_text_gives_the_same_clock_back_to_the_last_bit(table, name, number, start):
    first = ClockEvent(name=name, start_ns=start, end_ns=start + 1, multiplier=number, extra_days=number / 3)
    clock = VarianceClock.from_weights(np.reshape(table, (7, 24)), events=[first], name=name)
    for back in (VarianceClock.from_toml(clock.to_toml()), VarianceClock.from_json(clock.to_json())):
        assert back == clock
        assert hash(back) == hash(clock)
        assert back.weights.tobytes() == clock.weights.tobytes()


def test_clocks_of_other_numbers_differ():
    assert VarianceClock.calendar() != TRUTH
    assert TRUTH.with_events(EVENTS) != TRUTH
    assert VarianceClock.calendar() != "calendar"


def test_a_clock_cannot_be_changed():
    table = np.ones((7, 24))
    clock = VarianceClock(weights=table)
    table[0, 0] = 9.0
    assert clock.weights[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        clock.weights[0, 0] = 2.0
    with pytest.raises(FrozenInstanceError):
        clock.name = "other"


def _table(value):
    table = np.ones((7, 24))
    table[3, 4] = value
    return table


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (_table(np.nan), "finite weights"),
        (_table(-1.0), "finite weights"),
        (_table(np.inf), "finite weights"),
        (_table(2.0), "average to one"),
        (np.zeros((7, 24)), "average to one"),
        (np.ones((24, 7)), "shape"),
    ],
)
def test_unfit_weights_are_refused(weights, words):
    with pytest.raises(ConfigError, match=words):
        VarianceClock(weights=weights)


def test_normalising_is_asked_for():
    assert VarianceClock.from_weights(_table(2.0)).weights.mean() == pytest.approx(1.0, rel=1e-15)
    seven = VarianceClock.from_weights([2, 2, 2, 2, 2, 1, 1])
    assert seven.day_weights().tolist() == pytest.approx([7 / 6] * 5 + [7 / 12] * 2)
    with pytest.raises(ConfigError, match="only zeros"):
        VarianceClock.from_weights(np.zeros(7))


@pytest.mark.parametrize(
    "numbers",
    [
        {"start_ns": 5, "end_ns": 5},
        {"start_ns": 5, "end_ns": 4},
        {"start_ns": 1.5, "end_ns": 4},
        {"start_ns": datetime(2026, 1, 1), "end_ns": 4},
        {"start_ns": 0, "end_ns": 4, "multiplier": -1.0},
        {"start_ns": 0, "end_ns": 4, "extra_days": np.nan},
    ],
)
def test_unfit_events_are_refused(numbers):
    with pytest.raises(ConfigError, match="event 'fomc'"):
        ClockEvent(name="fomc", **numbers)


@pytest.mark.parametrize("others", [[event(0, 10), event(9, 20)], [event(10, 20), event(0, 5)]])
def test_overlapping_or_unsorted_events_are_refused(others):
    with pytest.raises(ConfigError, match="do not overlap"):
        TRUTH.with_events(others)
    TRUTH.with_events([event(0, 10), event(10, 20)])


@pytest.mark.parametrize("moment", [np.datetime64("2026-01-05"), 1.5, datetime(2026, 1, 5), "2026-01-05"])
def test_times_without_a_zone_or_with_fractions_are_refused(moment):
    with pytest.raises(DataError, match="integer nanoseconds"):
        TRUTH.variance_time(0, moment)


def test_an_expiry_before_now_is_refused():
    assert TRUTH.tau(MONDAY, MONDAY) == 0.0
    with pytest.raises(DataError, match="drop what has expired"):
        TRUTH.tau(MONDAY, [MONDAY + 1, MONDAY - 1])
    with pytest.raises(DataError, match="ends at or after"):
        TRUTH.variance_time(MONDAY, MONDAY - 1)


def test_forward_variance_is_flat_where_vol_per_variance_time_is():
    clock, ts = TRUTH.with_events(EVENTS), MONDAY + 3 * NS_PER_HOUR
    expiry = ts + np.array([1, 2, 5, 9]) * NS_PER_DAY
    w = 0.25 * clock.tau(ts, expiry)
    assert clock.forward_variance(ts, expiry, w) == pytest.approx(0.25, rel=1e-12)
    days = clock.variance_per_day(ts, expiry, w, 30)
    edges = ts + np.arange(31) * NS_PER_DAY
    assert days == pytest.approx(0.25 * clock.variance_time(edges[:-1], edges[1:]), rel=1e-10)
    # Saturday's variance is less than half of Friday's.
    assert days[5] < 0.5 * days[3]


@pytest.mark.parametrize(
    ("expiry", "w", "words"),
    [
        ([MONDAY + 2, MONDAY + 1], [0.1, 0.2], "ascending"),
        ([MONDAY, MONDAY + 1], [0.1, 0.2], "ascending"),
        ([MONDAY + 1, MONDAY + 2], [0.1, np.nan], "finite"),
        ([MONDAY + 1, MONDAY + 2], [0.1], "shapes"),
    ],
)
def test_an_unfit_term_structure_is_refused(expiry, w, words):
    with pytest.raises(DataError, match=words):
        TRUTH.forward_variance(MONDAY, expiry, w)


def test_a_clock_that_stands_still_has_no_forward_variance():
    clock = VarianceClock.from_weights([0, 1, 1, 1, 1, 1, 1])
    with pytest.raises(DataError, match="stands still"):
        clock.forward_variance(MONDAY, [MONDAY + NS_PER_HOUR], [0.1])
    with pytest.raises(DataError, match="one day or more"):
        TRUTH.variance_per_day(MONDAY, [MONDAY + 1], [0.1], 0)


class Clocked:
    """A surface read on a clock."""

    def __init__(self, surface, clock):
        self.base, self.clock = surface, clock
        for name in ("underlying", "ts_ns", "expiries", "taus", "index"):
            setattr(self, name, getattr(surface, name))

    def warped(self, tau):
        return self.clock.warped_tau(self.ts_ns, self.expiries, tau)

    def total_variance(self, k, tau):
        return self.base.total_variance(k, self.warped(tau))

    def implied_vol(self, k, tau):
        return np.sqrt(self.total_variance(k, tau) / tau)

    def forward(self, tau):
        return self.base.forward(tau)


def test_a_surface_on_a_clock_stays_certified_and_keeps_its_expiries(truth_surface):
    clocked = Clocked(truth_surface, TRUTH.with_events(EVENTS))
    assert certify(clocked).valid
    assert clocked.warped(truth_surface.taus) == pytest.approx(truth_surface.taus, rel=1e-12)
    assert clocked.warped(0.0) == 0.0
    # Between two expiries at-the-money variance is linear in variance time.
    hours = truth_surface.ts_ns + np.arange(30, 46) * NS_PER_HOUR
    steps = np.diff(clocked.total_variance(0.0, year_fraction(truth_surface.ts_ns, hours)))
    speed = clocked.clock.variance_time(hours[:-1], hours[1:])
    assert steps / speed == pytest.approx(steps[0] / speed[0], rel=1e-6)
    assert np.ptp(speed) > 0.3 * speed.mean()


@settings(deadline=None, max_examples=40)
@given(tables, st.lists(st.floats(0.0, 3.0), min_size=2, max_size=2))
def test_warped_time_never_runs_back(table, taus):
    clock = VarianceClock.from_weights(np.reshape(table, (7, 24)) + 0.01, events=EVENTS)
    expiry = MONDAY + np.array([1, 2, 9, 300]) * NS_PER_DAY
    first, second = clock.warped_tau(MONDAY, expiry, sorted(taus))
    assert 0.0 <= first <= second
    plain = VarianceClock.calendar().warped_tau(MONDAY, expiry, taus)
    assert plain == pytest.approx(taus, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("tau", [-0.1, np.nan, 201.0])
def test_warping_refuses_times_out_of_range(tau):
    with pytest.raises(DataError, match="expected tau"):
        TRUTH.warped_tau(MONDAY, [MONDAY + 1], tau)
    with pytest.raises(DataError, match="stands still"):
        VarianceClock.from_weights([0, 1, 1, 1, 1, 1, 1]).warped_tau(MONDAY, [MONDAY + 1], 0.1)


def test_days_from_expiry_to_expiry():
    assert TRUTH.day_weights(8).sum() == pytest.approx(7.0)
    friday = MONDAY + 4 * NS_PER_DAY + 8 * NS_PER_HOUR
    expected = 365.0 * float(TRUTH.variance_time(friday, friday + NS_PER_DAY))
    assert TRUTH.day_weights(8)[4] == pytest.approx(expected)
    with pytest.raises(ConfigError, match="hour"):
        TRUTH.day_weights(24)


@pytest.mark.parametrize(
    "text",
    [
        "weights = [1, 2",
        "name = 'x'",
        "weights = [[1.0, 2.0], [1.0]]",
        "weights = 'a'",
        "name = 3\nweights = [1]",
        "weights = [1]\nspeed = 2",
        "weights = [1]\nevents = 3",
        "weights = [1]\nevents = [3]",
        "weights = [1]\n[[events]]\nname = 'x'",
        "weights = [1]\n[[events]]\nname = 'x'\nstart_ns = 1\nend_ns = 2\nmultiplier = 'y'",
    ],
)
def test_text_that_is_no_clock_is_refused(text):
    with pytest.raises(ConfigError, match="expected"):
        VarianceClock.from_toml(text)


def test_json_that_is_no_clock_is_refused():
    for text in ("[1]", "{", '{"weights": null}'):
        with pytest.raises(ConfigError, match="expected"):
            VarianceClock.from_json(text)


def hourly_bars(weeks, seed, clock=TRUTH):
    """Bars of a random walk on the clock, with a vol that wanders from week to week."""
    rng, sub = np.random.default_rng(seed), 30
    ts = MONDAY + np.arange(weeks * 168) * NS_PER_HOUR
    vol = np.repeat(0.6 * np.exp(0.4 * rng.standard_normal(weeks)), 168)
    deviation = vol * np.sqrt(clock.variance_time(ts, ts + NS_PER_HOUR))
    steps = deviation[:, None] / np.sqrt(sub) * rng.standard_normal((ts.size, sub))
    path = np.cumsum(steps.ravel()).reshape(ts.size, sub)
    start = np.concatenate(([0.0], path[:-1, -1]))[:, None]
    path = np.exp(np.concatenate((start, path), axis=1))
    return ts, path[:, 0], path.max(axis=1), path.min(axis=1), path[:, -1]


def test_realised_weights_find_the_truth_inside_their_intervals():
    found = estimate_realised_clock(*hourly_bars(120, 5), rng=np.random.default_rng(1))
    truth = TRUTH.weights.mean(axis=1)
    assert found.n_weeks == 120
    assert np.abs(found.days / truth - 1.0).max() < 0.06
    assert np.abs(found.weights / TRUTH.weights - 1.0).max() < 0.2
    inside = (found.day_low <= truth) & (truth <= found.day_high)
    assert inside.sum() >= 5
    assert found.clock().day_weights() == pytest.approx(found.days)
    assert np.ptp(found.clock(hourly=False).weights, axis=1).max() == 0.0


def test_cells_are_shrunk_by_their_noise():
    means = TRUTH.weights * np.random.default_rng(8).uniform(0.5, 1.5, (7, 24))
    sure = shrunk_cells(means.ravel(), np.zeros(168))
    assert sure == pytest.approx(means / means.mean(), rel=1e-12)
    lost = shrunk_cells(means.ravel(), np.full(168, 100.0))
    product = means.mean(axis=1, keepdims=True) * means.mean(axis=0)
    assert lost == pytest.approx(product / product.mean(), rel=1e-12)


def test_one_jump_moves_the_weights_little():
    bars = hourly_bars(60, 6)
    calm = estimate_realised_clock(*bars, rng=np.random.default_rng(1), n_draws=5)
    high = bars[2].copy()
    high[30 * 168 + 5 * 24 + 4] *= 1.25
    wild = estimate_realised_clock(bars[0], bars[1], high, *bars[3:], rng=np.random.default_rng(1), n_draws=5)
    assert abs(wild.days[5] / calm.days[5] - 1.0) < 0.1


def test_unfit_bars_are_refused():
    ts, *prices = hourly_bars(10, 2)
    rng = np.random.default_rng(0)
    swapped = ts.copy()
    swapped[[3, 4]] = swapped[[4, 3]]
    cases = [
        (swapped, prices, DataError, "ascending"),
        (ts + 1, prices, DataError, "full hours"),
        (ts.astype("datetime64[ns]"), prices, DataError, "integer nanoseconds"),
        (ts[:-1], prices, DataError, "one bar per time"),
        (ts, [prices[0], -prices[1], *prices[2:]], DataError, "positive"),
        (ts[: 7 * 168], [p[: 7 * 168] for p in prices], EmptyData, "whole weeks"),
        (ts[ts // NS_PER_HOUR % 24 != 5], [p[ts // NS_PER_HOUR % 24 != 5] for p in prices], GapError, "168"),
    ]
    for times, rows, error, words in cases:
        with pytest.raises(error, match=words):
            estimate_realised_clock(times, *rows, rng=rng)
    with pytest.raises(ConfigError, match="jump_quantile"):
        estimate_realised_clock(ts, *prices, rng=rng, jump_quantile=0.5)


def term_structures(weeks, seed, noise=0.01):
    """At-the-money vols of the daily and weekly expiries, with a level and slope of their own each time."""
    rng = np.random.default_rng(seed)
    rows = []
    for ts in (MONDAY + np.arange(weeks * 28) * 6 * NS_PER_HOUR + 5 * NS_PER_HOUR).tolist():
        first = (ts // NS_PER_DAY) * NS_PER_DAY + 8 * NS_PER_HOUR + (NS_PER_DAY if ts % NS_PER_DAY else 0)
        expiry = first + np.array([0, 1, 2, 3, 6, 9]) * NS_PER_DAY
        V = TRUTH.tau(ts, expiry)
        w = 0.3 * np.exp(0.3 * rng.standard_normal()) * V * (1.0 + 3.0 * rng.standard_normal() * V)
        vol = np.sqrt(w / year_fraction(ts, expiry)) * np.exp(noise * rng.standard_normal(expiry.size))
        rows.append(np.column_stack((np.full(expiry.size, ts), expiry)))
        rows.append(vol)
    times = np.concatenate(rows[::2])
    vols = np.concatenate(rows[1::2])
    return times[:, 0], times[:, 1], vols, np.full(vols.size, 0.006)


def test_implied_weights_find_the_truth():
    quotes = term_structures(8, 4)
    shape = np.tile(HOURS**0.5, (7, 1))
    found = estimate_implied_clock(*quotes, shape=shape, rng=np.random.default_rng(2), n_draws=10)
    assert np.abs(found.days - TRUTH.weights.mean(axis=1)).max() < 0.05
    assert found.hour_power == pytest.approx(2.0, abs=0.25)
    assert np.all(found.day_low <= found.day_high)
    assert found.n_weeks == 8
    flat = estimate_implied_clock(*quotes, rng=np.random.default_rng(2), n_draws=2)
    assert np.ptp(flat.weights, axis=1).max() < 1e-12


def test_levels_and_slopes_of_the_day_leave_no_trace_in_the_weights():
    quotes = term_structures(5, 4, noise=0.0)
    found = estimate_implied_clock(*quotes, shape=TRUTH.weights, rng=np.random.default_rng(2), n_draws=2)
    assert found.weights == pytest.approx(TRUTH.weights, abs=1e-3)
    assert found.hour_power == pytest.approx(1.0, abs=1e-3)


def test_unfit_term_structures_are_refused():
    ts, expiry, vol, half = term_structures(4, 1)
    rng = np.random.default_rng(0)
    cases = [
        ((ts, expiry[:-1], vol, half), {}, DataError, "lengths"),
        ((ts.astype(float), expiry, vol, half), {}, DataError, "integer"),
        ((expiry, ts, vol, half), {}, DataError, "expired"),
        ((ts, expiry, np.where(vol > 0.5, np.nan, vol), half), {}, DataError, "finite"),
        ((ts, expiry, vol, half), {"min_days": 5, "max_days": 2}, ConfigError, "min_days"),
        ((ts, expiry, vol, half), {"shape": np.zeros((7, 24))}, ConfigError, "shape"),
        ((ts[:200], expiry[:200], vol[:200], half[:200]), {}, EmptyData, "weeks"),
    ]
    for columns, options, error, words in cases:
        with pytest.raises(error, match=words):
            estimate_implied_clock(*columns, rng=rng, **options)


def estimate(days, error):
    table = np.repeat(np.asarray(days)[:, None], 24, axis=1)
    table = table / table.mean()
    rest = {"day_low": days, "day_high": days, "low": table, "high": table, "n_weeks": 9}
    return ClockEstimate(weights=table, day_log_error=np.full(7, error), **rest)


def test_estimates_are_combined_by_their_precision():
    sharp, vague = estimate(DAYS, 0.01), estimate(DAYS * np.array([1.03, 1, 1, 1, 1, 1, 0.97]), 0.1)
    near = combine_estimates(sharp, vague)
    assert np.abs(near.days / sharp.days - 1.0).max() < 0.005
    # A difference that no sampling error explains is shared by both.
    other = estimate(DAYS * np.array([1.2, 0.9, 1.1, 0.8, 1.2, 0.5, 1.3]), 0.02)
    shared = combine_estimates(sharp, other)
    middle = np.sqrt(sharp.days * other.days)
    assert np.abs(shared.days * middle.mean() / middle - 1.0).max() < 0.02
    assert np.all(shared.day_log_error > near.day_log_error)
    assert shared.weights.mean() == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="standard errors"):
        combine_estimates(sharp, estimate(DAYS, 0.0))


def test_the_at_the_money_vol_of_a_chain(truth_surface, chain_of):
    found = atm_vols(chain_of(truth_surface))
    expected = truth_surface.implied_vol(0.0, truth_surface.taus)
    assert found["tau"].to_numpy() == pytest.approx(truth_surface.taus)
    # A parabola through a skewed smile is off by a part of the half-spread of half a vol point.
    assert np.abs(found["vol"].to_numpy() - expected).max() < 0.0025
    assert found["half_spread"].to_numpy() == pytest.approx(0.005, abs=1e-4)
    assert found["n_quotes"].min() >= 4


def test_a_chain_without_columns_or_quotes(truth_surface, chain_of):
    chain = chain_of(truth_surface)
    with pytest.raises(SchemaError, match="strike"):
        atm_vols(chain.drop("strike"))
    assert atm_vols(chain.with_columns(bid=pl.lit(None, pl.Float64))).height == 0


@pytest.mark.recorded
@pytest.mark.slow
def test_recorded_chains_price_a_quiet_weekend(recorded):
    chains = read_chains(recorded / "deribit_chains" / "BTC", start="2026-03-02", end="2026-04-05")
    terms = atm_vols(chains)
    columns = (terms[name].to_numpy() for name in ("ts_ns", "expiry_ns", "vol", "half_spread"))
    found = estimate_implied_clock(*columns, rng=np.random.default_rng(0), n_draws=10)
    assert found.days[5] < 0.6
    assert found.day_high[5] < found.days[[0, 1, 2, 3, 4]].min()
