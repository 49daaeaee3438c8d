"""What must hold whatever the market: order, names, units, truth."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.market.simulator import SimulationConfig, simulate_market
from ivhedge.surface.fusion import FusedSurface, FusionSettings, VenueQuotes, fuse, venue_health
from tests.surface.fusion._market import (
    EXPIRIES,
    HALF,
    LEVEL,
    NAMES,
    SLOPE,
    TAUS,
    TS_NS,
    Rows,
    market,
    true_vol,
)

ANCHORED = FusionSettings(anchor="anna")
SEEDS = st.integers(0, 100_000)
BP = 1e-4


def gap(fused: FusedSurface) -> float:
    """Root mean square error in vol within 1.8 deviations."""
    k = np.linspace(-1.8, 1.8, 19) * 0.6 * np.sqrt(TAUS)[:, None]
    truth = np.stack([true_vol(k[e], tau) for e, tau in enumerate(TAUS)])
    return float(np.sqrt(np.mean((fused.fit.surface.implied_vol(k, TAUS[:, None]) - truth) ** 2)))


def renamed(rows: Rows, names: dict[str, str]) -> Rows:
    """The same quotes under other names."""
    return replace(rows, venue=np.array([names[v] for v in rows.venue]))


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, order=st.randoms(use_true_random=False))
def test_order_of_rows_is_of_no_consequence(seed: int, order: object) -> None:
    rows = market(seed, strikes=12)
    at = np.arange(rows.k.size)
    order.shuffle(at)  # type: ignore[attr-defined]
    plain, mixed = fuse(rows.quotes()), fuse(rows.pick(at).quotes())
    np.testing.assert_array_equal(plain.model.state.mean, mixed.model.state.mean)
    np.testing.assert_array_equal(plain.quotes.vol, mixed.quotes.vol)
    np.testing.assert_allclose(plain.fit.surface.theta, mixed.fit.surface.theta, rtol=1e-9)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, order=st.permutations(NAMES), anchored=st.booleans())
def test_names_of_venues_are_of_no_consequence(seed: int, order: list[str], anchored: bool) -> None:
    names = dict(zip(NAMES, order, strict=True))
    rows = market(seed, strikes=12)
    before = FusionSettings(anchor="anna" if anchored else None)
    after = FusionSettings(anchor=names["anna"] if anchored else None)
    one, two = fuse(rows.quotes(), settings=before), fuse(renamed(rows, names).quotes(), settings=after)
    for part in (0, 1):
        for x, y in zip(one.model.state.at(part), two.model.state.at(part), strict=True):
            there = [two.model.venues.index(names[v]) for v in one.model.venues]
            np.testing.assert_allclose(y[there], x, atol=1e-8)
    np.testing.assert_allclose(two.fit.surface.theta, one.fit.surface.theta, rtol=1e-6)


@settings(max_examples=8, deadline=None)
@given(
    seed=SEEDS,
    level=st.lists(st.floats(-0.8, 0.8), min_size=3, max_size=3),
    slope=st.lists(st.floats(-0.4, 0.4), min_size=3, max_size=3),
)
def test_any_bias_within_a_spread_is_found(seed: int, level: list[float], slope: list[float]) -> None:
    """Biases in half-spreads of each venue, on top of the market's."""
    rows = market(seed)
    unit = 0.6 * np.sqrt(TAUS[rows.expiry])
    right_level, right_slope = dict(LEVEL), dict(SLOPE)
    for name, a, b in zip(NAMES[1:], level, slope, strict=True):
        mine = rows.venue == name
        right_level[name] += a * HALF[name]
        right_slope[name] += b * HALF[name]
        rows.vol[mine] += a * HALF[name] + b * HALF[name] * (rows.k / unit)[mine]
    state = fuse(rows.quotes(), settings=ANCHORED).model.state
    for part, right in ((0, right_level), (1, right_slope)):
        value, error = state.at(part)
        for v, name in enumerate(NAMES):
            # 4.5 deviations and 3 bp: the market's z and the fusion's differ by the level's own bias.
            room = 4.5 * error[v, 0] + 3.0 * BP + 0.03 * abs(right[name])
            assert abs(value[v, 0] - right[name]) < room, (name, part)
            assert error[v, 0] < 0.15 * HALF[name]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_surface_is_rid_of_biases_that_all_others_share(seed: int) -> None:
    rows = market(seed)
    for name in NAMES[1:]:
        rows.vol[rows.venue == name] += 0.9 * HALF[name]
    assert gap(fuse(rows.quotes(), settings=ANCHORED)) < 12.0 * BP


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS, contamination=st.sampled_from([0.0, 0.1, 0.2]))
def test_never_worse_than_the_best_venue_alone(seed: int, contamination: float) -> None:
    """By more than 3 bp, the best chosen in hindsight by the truth."""
    rows = market(seed)
    stale = np.random.default_rng(seed).random(rows.k.size) < contamination
    rows.vol[stale] += 0.04
    alone = min(gap(fuse(rows.pick(rows.venue == name).quotes())) for name in NAMES)
    assert gap(fuse(rows.quotes(), settings=ANCHORED)) < alone + 3.0 * BP


@settings(max_examples=5, deadline=None)
@given(seed=SEEDS, lost=st.sampled_from(NAMES))
def test_loss_of_any_venue_without_an_anchor(seed: int, lost: str) -> None:
    """Standing quotes: what moves the surface is the loss alone. Within 10 bp."""
    rows = market(seed)
    first = fuse(rows.quotes())
    left = replace(rows.pick(rows.venue != lost).quotes(), ts_ns=TS_NS + 1_000_000_000)
    after = fuse(left, first.model)
    k = np.linspace(-1.8, 1.8, 19) * 0.6 * np.sqrt(TAUS)[:, None]
    one, two = (f.fit.surface.implied_vol(k, TAUS[:, None]) for f in (first, after))
    assert float(np.sqrt(np.mean((one - two) ** 2))) < 10.0 * BP
    # All of its quotes but those that were judged bad.
    assert 110 <= after.n_held <= 120
    assert after.fit.certificate.valid


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS, names=st.sets(st.sampled_from(NAMES), min_size=1), anchored=st.booleans())
def test_weights_are_finite_and_sum_to_one(seed: int, names: set[str], anchored: bool) -> None:
    rows = market(seed, names=tuple(names), strikes=12)
    fused = fuse(rows.quotes(), settings=ANCHORED if anchored else None)
    reference = fused.model.state.reference
    assert (reference >= 0.0).all()
    assert reference.sum() == pytest.approx(1.0)
    share = np.array([health.share for health in venue_health(fused).values()])
    assert (share >= 0.0).all()
    assert share.sum() == pytest.approx(1.0)
    assert ((fused.good >= 0.0) & (fused.good <= 1.0)).all()
    for column in ("level_bias", "level_error", "slope_bias", "slope_error"):
        assert fused.model.biases()[column].is_finite().all()
    assert np.isfinite(fused.atm_error).all()
    assert (fused.atm_error > 0.0).all()


def test_vols_of_all_venues_shifted_shift_the_surface_and_no_bias() -> None:
    rows = market(0)
    up = replace(rows, vol=rows.vol + 0.05)
    one, two = fuse(rows.quotes(), settings=ANCHORED), fuse(up.quotes(), settings=ANCHORED)
    np.testing.assert_allclose(one.model.state.at(0)[0], two.model.state.at(0)[0], atol=3e-4)
    k = np.zeros((TAUS.size, 1))
    move = two.fit.surface.implied_vol(k, TAUS[:, None]) - one.fit.surface.implied_vol(k, TAUS[:, None])
    np.testing.assert_allclose(move, 0.05, atol=5e-4)


@pytest.mark.slow
def test_simulated_five_venues_over_seeds() -> None:
    """The seeded market of `ivhedge.market.simulator`: biases within their intervals, most of the time."""
    inside, seen = 0, 0
    for seed in range(6):
        simulated = simulate_market(SimulationConfig(n_snapshots=1), np.random.default_rng(seed))
        fused = fuse(
            simulated.chains.filter(pl.col("underlying") == "BTC"), settings=FusionSettings(anchor="aurora")
        )
        truth = {row["venue"]: row for row in simulated.venues.iter_rows(named=True)}
        for row in fused.model.biases().filter(pl.col("expiry").is_null()).iter_rows(named=True):
            for part in ("level", "slope"):
                if row[f"{part}_error"] > 0.0:
                    off = abs(row[f"{part}_bias"] - truth[row["venue"]][f"{part}_bias"])
                    inside += off < 1.96 * row[f"{part}_error"]
                    seen += 1
                    assert off < 80.0 * BP, (seed, row["venue"], part)
    assert seen == 48
    assert inside >= 0.75 * seen


def test_expiry_that_only_a_lost_venue_quotes_is_held_with_a_wide_forward() -> None:
    rows = market(0)
    only = (rows.expiry != 3) | (rows.venue == "anna")
    first = fuse(rows.pick(only).quotes(), settings=ANCHORED)
    left: VenueQuotes = replace(
        rows.pick(only & (rows.venue != "anna")).quotes(), ts_ns=TS_NS + 1_000_000_000
    )
    after = fuse(left, first.model, settings=ANCHORED)
    assert EXPIRIES[3] in after.fit.surface.expiries
    errors = dict(zip(after.fit.forwards.expiry_ns.tolist(), after.fit.forwards.std_errors, strict=True))
    assert errors[int(EXPIRIES[3])] > 2.0 * errors[int(EXPIRIES[0])]
