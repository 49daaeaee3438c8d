from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.market import (
    FairStatus,
    MidBiasSettings,
    QuoteStatus,
    clean_chain,
    estimate_forwards,
    quote_vols,
    unbiased_mids,
)

NULL = pl.lit(None, pl.Float64)
STRIKES = np.arange(60e3, 126e3, 1e3)


def quotes_of(chain: pl.DataFrame):
    return quote_vols(chain, estimate_forwards(chain))


@pytest.fixture(scope="module")
def lopsided(make_chain):
    """Vol 0.5 everywhere; the ask lies twice as far from it as the bid, in widths that vary by quote."""
    rng = np.random.default_rng(5)
    base = quotes_of(pl.concat(make_chain(strikes=STRIKES, expiry=e) for e in expiries(make_chain)))
    half = 0.012 * rng.gamma(4.0, 0.25, len(base))
    share = np.clip(1 / 3 + 0.2 * rng.uniform(-1, 1, len(base)), -0.9, 0.9)
    return with_vols(base, 0.5 - half * (1 - share), 0.5 + half * (1 + share))


def expiries(make_chain):
    first = make_chain()["expiry"][0]
    return [first + timedelta(days=7 * n) for n in range(6)]


def with_vols(quotes, bid, ask):
    return replace(
        quotes,
        bid_iv=bid,
        ask_iv=ask,
        mid_iv=0.5 * (bid + ask),
        half_spread_iv=0.5 * (ask - bid),
        is_two_sided=np.isfinite(bid) & np.isfinite(ask),
        at_one_tick=np.zeros(len(quotes), dtype=np.bool_),
    )


def test_the_bias_of_mids_is_removed(lopsided):
    found = unbiased_mids(lopsided)
    assert np.mean(lopsided.mid_iv - 0.5) > 30e-4
    for vol in (found.fair_iv, found.smile_iv):
        assert abs(np.mean(vol - 0.5)) < 6e-4
    assert np.mean(np.abs(found.smile_iv - 0.5) < 1.96 * found.smile_sd) > 0.85
    inside = (found.fair_iv >= lopsided.bid_iv) & (found.fair_iv <= lopsided.ask_iv)
    assert inside.all()
    assert found.counts() == {"ok": len(lopsided)}
    assert found.expiries["asymmetry"].to_numpy() == pytest.approx(1 / 3, abs=0.15)


def test_missing_bids_and_bad_quotes_leave_the_smile_where_it_is(lopsided):
    rng = np.random.default_rng(6)
    n = len(lopsided)
    bid = np.where(rng.random(n) < 0.3, np.nan, lopsided.bid_iv)
    jump = np.where(rng.random(n) < 0.08, 0.15, 0.0)
    broken = with_vols(lopsided, bid + jump, lopsided.ask_iv + jump)
    found = unbiased_mids(broken)
    assert abs(np.nanmean(found.smile_iv - 0.5)) < 12e-4
    told = np.array([s is FairStatus.OUTLIER for s in found.status])
    assert told[(jump > 0) & np.isfinite(bid)].mean() > 0.95
    bound = np.array([s is FairStatus.BOUND for s in found.status])
    assert (bound == np.isnan(bid)).all()
    told = bound & np.isfinite(found.fair_iv)
    assert told.sum() > 0.8 * bound.sum()
    assert (found.fair_iv[told] <= broken.ask_iv[told]).all()


def test_the_order_of_rows_does_not_matter(lopsided):
    order = np.random.default_rng(3).permutation(len(lopsided))
    changes = {}
    for name in lopsided.__slots__:
        value = getattr(lopsided, name)
        if isinstance(value, np.ndarray):
            changes[name] = value[order]
        elif isinstance(value, tuple):
            changes[name] = tuple(value[i] for i in order)
    mixed = unbiased_mids(replace(lopsided, **changes))
    np.testing.assert_allclose(mixed.fair_iv, unbiased_mids(lopsided).fair_iv[order], rtol=1e-9)


def test_wider_noise_means_a_wider_error(lopsided):
    bid, ask = (0.5 + 3 * (v - 0.5) for v in (lopsided.bid_iv, lopsided.ask_iv))
    wide, narrow = unbiased_mids(with_vols(lopsided, bid, ask)), unbiased_mids(lopsided)
    assert (wide.fair_sd > 2 * narrow.fair_sd).all()


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda c: c.head(1), "few_quotes"),
        (lambda c: c.filter(pl.col("is_call")), "few_quotes"),
        (lambda c: c.with_columns(bid=NULL), "bounds_only"),
        (lambda c: c.with_columns(bid=pl.col("ask"), ask=pl.col("bid")), "no_quote"),
    ],
)
def test_thin_expiries_have_a_status_instead_of_an_exception(make_chain, change, verdict):
    chain = make_chain()
    quotes = quote_vols(change(chain), estimate_forwards(chain))
    found = unbiased_mids(quotes)
    assert found.expiries["status"].to_list() == [verdict]
    known = np.isfinite(found.fair_iv)
    assert known.any() == (verdict == "few_quotes")
    np.testing.assert_allclose(found.fair_iv[known], 0.5, atol=2e-3)


def test_a_broken_expiry_leaves_the_others_alone(make_chain):
    good = make_chain(strikes=STRIKES)
    late = make_chain(expiry=expiries(make_chain)[1]).with_columns(bid=NULL)
    both, alone = unbiased_mids(quotes_of(pl.concat([good, late]))), unbiased_mids(quotes_of(good))
    assert both.expiries["status"].to_list() == ["ok", "bounds_only"]
    np.testing.assert_array_equal(both.fair_iv[: good.height], alone.fair_iv)


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="min_quotes"):
        MidBiasSettings(min_quotes=2)


def test_price_grid_error_and_status(make_chain):
    at = pl.col("strike") == 110e3
    chain = make_chain().with_columns(bid=pl.when(at).then(0.0001).otherwise("bid"))
    missing = pl.col("strike") == 100e3
    chain = chain.with_columns(ask=pl.when(~missing).then("ask"))
    quotes = quotes_of(chain)
    assert (quotes.status[quotes.strike == 100e3] != QuoteStatus.TWO_SIDED).all()
    tick_call = (quotes.strike == 110e3) & quotes.is_call
    assert quotes.status[tick_call].tolist() == [QuoteStatus.ONE_TICK]
    assert sum(quotes.status_counts().values()) == len(quotes)
    money = quotes.is_call & (quotes.strike == 90e3)
    assert 0 < quotes.bid_error_iv[money][0] < 0.002
    # A bid of one tick leaves its vol open by far more than an ordinary one does.
    assert quotes.bid_error_iv[tick_call][0] > 3 * quotes.ask_error_iv[tick_call][0] > 0


def test_a_row_without_forward_does_not_stop_the_others(make_chain):
    chain = make_chain()
    other = make_chain(expiry=expiries(make_chain)[1]).with_columns(forward=NULL)
    quotes = quote_vols(pl.concat([chain, other]), estimate_forwards(chain))
    assert quotes.status_counts()["no_forward"] == other.height
    assert not quotes.is_two_sided[14:].any()
    assert (quotes.weight[14:] == 0).all()
    np.testing.assert_array_equal(quotes.mid_iv[:14], quotes_of(chain).mid_iv)


def test_depth_raises_weight_within_bounds(make_chain):
    chain = make_chain()
    weights = []
    for size in (0.01, 1.0, 100.0, 1e300):
        row = pl.int_range(pl.len()) == 6
        sized = chain.with_columns(
            pl.when(row).then(size).otherwise(1.0).alias(n) for n in ("bid_size", "ask_size")
        )
        quotes = quotes_of(sized)
        weights.append(quotes.weight[6])
        np.testing.assert_array_equal(quotes.depth_factor[:6], 1.0)
    assert weights == sorted(weights)
    assert weights[0] == pytest.approx(0.1 * weights[1])
    assert weights[3] <= 2 * weights[1]
    unknown = quotes_of(chain.with_columns(bid_size=NULL, ask_size=NULL))
    np.testing.assert_array_equal(unknown.depth_factor, 1.0)


@pytest.mark.recorded
def test_the_smile_through_both_views_is_nearer_to_recorded_marks_than_wide_mids(recorded):
    from ivhedge.market import read_chains, snapshots

    chains = read_chains(recorded / "deribit_chains" / "BTC", start="2026-02-01", end="2026-02-03")
    gaps = []
    for snapshot in snapshots(chains):
        chain = clean_chain(snapshot.chain).chain
        quotes = quotes_of(chain)
        found = unbiased_mids(quotes)
        mark = chain["mark_iv"].to_numpy()
        in_the_money = quotes.is_two_sided & np.isfinite(found.smile_iv) & ~quotes.is_otm & (mark > 0)
        gaps.append(np.abs([(v - mark)[in_the_money] for v in (quotes.mid_iv, found.smile_iv)]))
    mid, smile = np.median(np.concatenate(gaps, axis=1), axis=1)
    assert smile < 0.7 * mid
