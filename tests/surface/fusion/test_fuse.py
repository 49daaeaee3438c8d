"""Biases of known truth, intervals, lost venues, bad quotes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.surface.fusion import BiasStatus, FusedSurface, FusionSettings, VenueQuotes, fuse
from tests.surface.fusion._market import EXPIRIES, LEVEL, NAMES, SLOPE, TAUS, TS_NS, Rows, market, true_vol

ANCHORED = FusionSettings(anchor="anna")


def common(fused: FusedSurface) -> dict[str, dict[str, float]]:
    """Common biases by venue."""
    table = fused.model.biases().filter(pl.col("expiry").is_null())
    return {row["venue"]: row for row in table.iter_rows(named=True)}


def gap(fused: FusedSurface, other: FusedSurface | None = None) -> float:
    """Root mean square distance in vol from the truth or from another surface."""
    k = np.linspace(-1.8, 1.8, 19) * 0.6 * np.sqrt(TAUS)[:, None]
    taus = TAUS[:, None]
    mine = fused.fit.surface.implied_vol(k, taus)
    truth = np.stack([true_vol(k[e], tau) for e, tau in enumerate(TAUS)])
    theirs = truth if other is None else other.fit.surface.implied_vol(k, taus)
    return float(np.sqrt(np.mean((mine - theirs) ** 2)))


def test_known_biases_are_found_beside_an_anchor() -> None:
    fused = fuse(market(0, noise=0.05).quotes(), settings=ANCHORED)
    found = common(fused)
    for name in NAMES:
        assert found[name]["level_bias"] == pytest.approx(LEVEL[name], abs=4e-4)
        assert found[name]["slope_bias"] == pytest.approx(SLOPE[name], abs=4e-4)
    quotes = fused.quotes
    names = [quotes.venues[v] for v in quotes.venue]
    right = (
        np.array([LEVEL[n] for n in names]) + np.array([SLOPE[n] for n in names]) * quotes.standard_moneyness
    )
    np.testing.assert_allclose(fused.bias, right, atol=1.2e-3)
    assert found["anna"]["level_error"] == 0.0
    assert found["anna"]["status"] == BiasStatus.REFERENCE
    assert gap(fused) < 5e-4
    assert fused.fit.certificate.valid


def test_biases_without_an_anchor_are_relative_to_the_weighted_consensus() -> None:
    fused = fuse(market(0, noise=0.05).quotes())
    weight = fused.model.state.reference
    centre = float(weight @ [LEVEL[name] for name in fused.model.venues])
    assert weight[0] > 0.5  # the tight venue leads
    for name, row in common(fused).items():
        assert row["level_bias"] == pytest.approx(LEVEL[name] - centre, abs=4e-4)


def test_intervals_cover() -> None:
    inside, seen = 0, 0
    for seed in range(8):
        found = fuse(market(seed).quotes(), settings=ANCHORED).model.biases()
        for row in found.filter(pl.col("venue") != "anna").iter_rows(named=True):
            inside += abs(row["level_bias"] - LEVEL[row["venue"]]) < 1.96 * row["level_error"]
            inside += abs(row["slope_bias"] - SLOPE[row["venue"]]) < 1.96 * row["slope_error"]
            seen += 2
    assert inside > 0.85 * seen


def test_one_sided_contamination_is_told_from_bias() -> None:
    rows = market(3)
    stale = np.random.default_rng(1).random(rows.k.size) < 0.2
    rows.vol[stale] += 0.06
    found = common(fuse(rows.quotes(), settings=ANCHORED))
    for name in ("bert", "cora"):
        assert found[name]["level_bias"] == pytest.approx(LEVEL[name], abs=2e-3)
    assert fuse(rows.quotes(), settings=ANCHORED).good[rows_order(rows, stale)].mean() < 0.2


def rows_order(rows: Rows, mask: np.ndarray) -> np.ndarray:
    """The packed rows of some quotes."""
    order = np.lexsort((rows.venue, rows.k, EXPIRIES[rows.expiry]))
    return np.flatnonzero(mask[order])


@pytest.mark.parametrize("lost", NAMES)
def test_loss_of_any_venue_hardly_moves_the_surface(lost: str) -> None:
    first = fuse(market(0).quotes(), settings=ANCHORED)
    rows = market(1)
    later = TS_NS + 2_000_000_000
    full = fuse(replace(rows.quotes(), ts_ns=later), first.model, settings=ANCHORED)
    left = replace(rows.pick(rows.venue != lost).quotes(), ts_ns=later)
    fused = fuse(left, first.model, settings=ANCHORED)
    assert gap(fused, full) < 1.0e-3
    assert fused.n_held > 0
    # Long after, only the memory of the biases is left.
    much_later = fuse(replace(left, ts_ns=TS_NS + 10_800_000_000_000), fused.model, settings=ANCHORED)
    assert much_later.n_held == 0
    assert gap(much_later) < 2.0e-3
    assert set(much_later.model.biases().filter(pl.col("venue") == lost)["status"]) <= {
        BiasStatus.REFERENCE,
        BiasStatus.REMEMBERED,
    }


def test_quarantine_is_loss() -> None:
    first = fuse(market(0).quotes(), settings=ANCHORED)
    rows = market(1)
    rows.vol[rows.venue == "anna"] += 0.05
    later = replace(rows.quotes(), ts_ns=TS_NS + 1_000_000_000)
    fused = fuse(later, first.model, settings=ANCHORED, quarantine={"anna"})
    assert gap(fused, first) < 1.0e-3
    assert fused.quotes.excluded["anna"] == {"quarantined": 120}
    assert fused.quarantined == ("anna",)


def test_copycat_does_not_get_double_weight() -> None:
    rows = market(5, names=("anna", "bert"))
    mine = rows.venue == "bert"
    copy = rows.pick(mine)
    copy.venue = np.full(copy.k.size, "copy")
    copy.vol = copy.vol + 0.002
    both = Rows(
        *(
            np.concatenate((getattr(rows, name), getattr(copy, name)))
            for name in ("venue", "expiry", "k", "vol", "half", "age")
        )
    )
    fused = fuse(both.quotes(), settings=ANCHORED)
    assert fused.model.copies().keys() == {("bert", "copy")}
    alone = fuse(rows.quotes(), settings=ANCHORED)
    assert gap(fused, alone) < 4e-4
    # Two that say the same are no surer than one.
    assert common(fused)["bert"]["level_error"] > 0.95 * common(alone)["bert"]["level_error"]
    np.testing.assert_allclose(fused.atm_error, alone.atm_error, rtol=0.1)


def test_independent_venues_are_no_copies() -> None:
    for seed in range(4):
        assert fuse(market(seed).quotes(), settings=ANCHORED).model.copies() == {}


def test_one_venue_alone_has_no_identified_bias() -> None:
    fused = fuse(market(0, names=("cora",)).quotes())
    table = fused.model.biases()
    assert set(table["status"]) == {BiasStatus.UNIDENTIFIED}
    assert table["level_bias"].is_finite().all()
    assert table["level_error"].is_finite().all()
    assert fused.fit.certificate.valid


def test_one_venue_beside_an_absent_anchor_says_how_little_is_known() -> None:
    row = common(fuse(market(0, names=("cora",)).quotes(), settings=ANCHORED))["cora"]
    assert row["status"] == BiasStatus.UNIDENTIFIED
    assert row["level_error"] > 0.5 * 0.012


def test_no_quotes_is_an_error() -> None:
    rows = market(0)
    with pytest.raises(EmptyData, match="found none"):
        rows.pick(rows.k > 99.0).quotes()
    with pytest.raises(EmptyData, match="quarantine"):
        fuse(rows.quotes(), quarantine=NAMES)


def test_bad_quotes_are_counted_and_kept_out() -> None:
    rows = market(2)
    clean = fuse(rows.quotes(), settings=ANCHORED)
    junk = rows.pick(np.arange(rows.k.size) < 6)
    junk.vol[0], junk.k[1], junk.age[2] = np.nan, np.inf, -1.0
    junk.half[3] = -0.01  # crossed
    junk.half[4] = 2.0  # bid below zero
    junk.age[5] = np.nan
    both = Rows(
        *(
            np.concatenate((getattr(rows, name), getattr(junk, name)))
            for name in ("venue", "expiry", "k", "vol", "half", "age")
        )
    ).quotes()
    assert both.excluded == {"anna": {"not_finite": 2, "bad_age": 2, "crossed": 1, "not_positive": 1}}
    assert gap(fuse(both, settings=ANCHORED), clean) == 0.0


def test_memory_must_fit() -> None:
    fused = fuse(market(0).quotes(), settings=ANCHORED)
    with pytest.raises(ConfigError, match="anchor"):
        fuse(market(1).quotes(), fused.model)
    with pytest.raises(DataError, match="in order"):
        fuse(replace(market(1).quotes(), ts_ns=TS_NS - 1), fused.model, settings=ANCHORED)
    with pytest.raises(ConfigError, match="BTC"):
        fuse(replace(market(1).quotes(), underlying="ETH"), fused.model, settings=ANCHORED)


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match="one shape"):
        VenueQuotes.from_arrays(
            ts_ns=0,
            underlying="BTC",
            venue=["a", "b"],
            expiry_ns=[1],
            log_moneyness=[0.0, 0.0],
            bid_vol=[0.1, 0.1],
            ask_vol=[0.2, 0.2],
        )


def test_standing_quotes_are_not_counted_again() -> None:
    quotes = market(0).quotes()
    fused = fuse(quotes, settings=ANCHORED)
    model = fused.model
    for second in range(1, 6):
        model = fuse(replace(quotes, ts_ns=TS_NS + second * 1_000_000_000), model, settings=ANCHORED).model
    before, after = (
        m.biases().filter(pl.col("expiry").is_null() & (pl.col("venue") == "bert"))["level_error"][0]
        for m in (fused.model, model)
    )
    assert after > 0.9 * before


def test_memory_of_a_bias_fades_with_time_and_never_beyond_the_prior() -> None:
    rows = market(0)
    first = fuse(rows.quotes())
    left = rows.pick(rows.venue != "dora").quotes()
    errors = [common(first)["dora"]["level_error"]]
    for days, drift in ((1, 0.3), (6, 0.3), (6, 100.0)):
        later = replace(left, ts_ns=TS_NS + days * 86_400_000_000_000)
        after = fuse(later, first.model, settings=FusionSettings(drift_per_day=drift))
        errors.append(common(after)["dora"]["level_error"])
    assert errors[0] < errors[1] < errors[2] < errors[3]
    # 0.3 half-spreads a day, half of that variance common to all expiries; the prior is one half-spread.
    assert errors[1] == pytest.approx(np.hypot(errors[0], 0.3 * 0.5**0.5 * 0.018 * 1.05), rel=0.2)
    assert errors[3] < 1.1 * 0.018


def test_typical_half_spread_follows_the_market_within_days() -> None:
    rows = market(0)
    first = fuse(rows.quotes())
    wide = replace(rows, half=3.0 * rows.half).quotes()
    ratio = []
    for days in (0, 1, 5):
        after = fuse(replace(wide, ts_ns=TS_NS + days * 86_400_000_000_000), first.model)
        ratio.append(after.model.state.half_spread / first.model.state.half_spread)
    np.testing.assert_allclose(ratio[0], 1.0)
    assert ((ratio[1] > 1.8) & (ratio[1] < 2.6)).all()
    assert (ratio[2] > 2.8).all()
