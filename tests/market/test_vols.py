from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.market import (
    ForwardSettings,
    QuoteSettings,
    QuoteStatus,
    clean_chain,
    estimate_forwards,
    quote_vols,
)
from ivhedge.pricing import IvStatus, black76_greeks, black76_price

NULL = pl.lit(None, pl.Float64)


def vols(chain: pl.DataFrame, **settings: float):
    return quote_vols(chain, estimate_forwards(chain), settings=QuoteSettings(**settings))


@pytest.mark.parametrize(("settlement", "venue"), [("coin", "deribit"), ("usd", "dune")])
def test_mid_vol_is_the_true_one_and_lies_between_bid_and_ask(make_chain, settlement, venue):
    quotes = vols(make_chain(settlement=settlement, venue=venue, half_spread=0.005))
    ok = quotes.is_two_sided
    assert ok[quotes.is_otm].all()
    np.testing.assert_allclose(quotes.mid_iv[ok], 0.5, rtol=1e-9)
    assert (quotes.bid_iv[ok] < 0.5).all()
    assert (quotes.ask_iv[ok] > 0.5).all()
    np.testing.assert_allclose(quotes.log_moneyness, np.log(quotes.strike / 90_000.0))
    assert len(quotes) == 14


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize(("settlement", "venue"), [("coin", "deribit"), ("usd", "dune")])
def test_each_side_prices_back_to_its_quote(make_chain, settlement, venue, side):
    chain = make_chain(settlement=settlement, venue=venue, half_spread=0.005)
    quotes = vols(chain)
    ok = quotes.is_two_sided
    vol = getattr(quotes, f"{side}_iv")
    price = black76_price(quotes.forward, quotes.strike, quotes.tau, vol, quotes.is_call)
    unit = quotes.forward if settlement == "coin" else 1.0
    np.testing.assert_allclose((price / unit)[ok], chain[side].to_numpy()[ok], rtol=1e-9)


def test_row_forward_is_used_before_the_curve(make_chain):
    chain = make_chain(forward=90_000.0)
    other = make_chain(forward=90_300.0)
    mixed = pl.concat([chain[:7], other[7:]])
    quotes = quote_vols(mixed, estimate_forwards(chain))
    ok = quotes.is_two_sided
    np.testing.assert_allclose(quotes.mid_iv[ok], 0.5, rtol=1e-9)
    assert set(quotes.forward) == {90_000.0, 90_300.0}


def test_row_without_forward_takes_the_curve(make_chain):
    chain = make_chain()
    at = pl.int_range(pl.len()) == 3
    holed = chain.with_columns(forward=pl.when(~at).then("forward"))
    np.testing.assert_allclose(vols(holed).forward, 90_000.0)
    unknown_venue = holed.with_columns(venue=pl.when(at).then(pl.lit("nimbus")).otherwise("venue"))
    np.testing.assert_allclose(quote_vols(unknown_venue, estimate_forwards(chain)).forward, 90_000.0)


def test_no_forward_at_all(make_chain):
    other = make_chain(expiry=make_chain()["expiry"][0] + timedelta(days=7))
    with pytest.raises(DataError, match="expected a forward for its expiry"):
        quote_vols(other.with_columns(forward=NULL), estimate_forwards(make_chain()))


def test_one_sided_quotes_stay_and_are_flagged(make_chain):
    chain = make_chain().with_columns(bid=pl.when(pl.col("strike") != 100e3).then("bid"))
    quotes = vols(chain)
    one_sided = quotes.strike == 100e3
    assert not quotes.has_bid[one_sided].any()
    assert quotes.has_ask.all()
    assert np.isnan(quotes.bid_iv[one_sided]).all()
    assert (quotes.bid_status[one_sided] == IvStatus.BAD_INPUT).all()
    assert np.isfinite(quotes.ask_iv[one_sided & quotes.is_otm]).all()
    assert (quotes.weight[one_sided] == 0).all()
    assert np.isnan(quotes.half_spread_iv[one_sided]).all()
    assert not quotes.is_two_sided[one_sided].any()


def test_bid_below_intrinsic_has_a_status(make_chain):
    chain = make_chain().with_columns(
        bid=pl.when((pl.col("strike") == 70e3) & pl.col("is_call")).then(0.2).otherwise("bid")
    )
    quotes = vols(chain)
    at = (quotes.strike == 70e3) & quotes.is_call
    assert quotes.bid_status[at].tolist() == [IvStatus.BELOW_INTRINSIC]
    assert quotes.has_bid[at].all()
    assert not quotes.is_two_sided[at].any()
    for vol, status in ((quotes.bid_iv, quotes.bid_status), (quotes.ask_iv, quotes.ask_status)):
        assert (np.isnan(vol) == (status != IvStatus.OK)).all()


def test_half_spread_includes_half_a_tick(make_chain):
    quotes = vols(make_chain())
    at = int(np.flatnonzero(quotes.is_call & (quotes.strike == 90e3))[0])
    tau = quotes.tau[at]
    vega = float(black76_greeks(90e3, 90e3, tau, 0.5, True, names=("vega",))["vega"])
    # An at-the-money price of about 0.09 coin lies on the 0.0005 step of the ladder.
    tick_iv = 0.0005 * 90e3 / vega
    expected = 0.5 * (quotes.ask_iv[at] - quotes.bid_iv[at]) + 0.5 * tick_iv
    assert quotes.half_spread_iv[at] == pytest.approx(expected, rel=1e-9)


def test_weight_is_an_inverse_variance_that_decays_with_age(make_chain):
    chain = make_chain()
    old = chain.with_columns(ts_event=pl.col("ts") - timedelta(seconds=120))
    fresh, aged = vols(chain, half_life_s=60.0), vols(old, half_life_s=60.0)
    ok = fresh.is_two_sided
    np.testing.assert_allclose(aged.weight[ok] / fresh.weight[ok], 0.25)
    np.testing.assert_allclose(fresh.weight[ok], 1 / np.maximum(fresh.half_spread_iv[ok], 0.001) ** 2)
    unknown = vols(chain.with_columns(ts_event=pl.lit(None, chain.schema["ts_event"])))
    assert (unknown.age_s == 0).all()


def test_quote_stamped_after_the_snapshot_is_not_younger_than_fresh(make_chain):
    chain = make_chain().with_columns(ts_event=pl.col("ts") + timedelta(seconds=30))
    assert (vols(chain).age_s == 0).all()


def test_one_tick_bid_is_flagged(make_chain):
    chain = make_chain().with_columns(bid=pl.when(pl.col("strike") == 110e3).then(0.0001).otherwise("bid"))
    quotes = vols(chain)
    assert (quotes.at_one_tick == (quotes.strike == 110e3)).all()


def test_every_row_says_what_it_is_good_for(make_chain):
    at, call = pl.col("strike"), pl.col("is_call")
    chain = make_chain().with_columns(
        bid=pl.when(at == 100e3)
        .then(None)
        .when((at == 110e3) & call)
        .then(0.0001)
        .when((at == 95e3) & call)
        .then(pl.col("ask") * 1.01)
        .otherwise("bid"),
        ask=pl.when((at == 85e3) & ~call).then(None).otherwise("ask"),
    )
    # Not cleaned: a crossed row that got this far is named, whatever its vols are.
    quotes = quote_vols(chain, estimate_forwards(make_chain()))
    expected = {
        (100e3, True): QuoteStatus.ASK_ONLY,
        (110e3, True): QuoteStatus.ONE_TICK,
        (95e3, True): QuoteStatus.CROSSED,
        (85e3, False): QuoteStatus.BID_ONLY,
        (90e3, True): QuoteStatus.TWO_SIDED,
    }
    for (strike, is_call), status in expected.items():
        row = (quotes.strike == strike) & (quotes.is_call == is_call)
        assert quotes.status[row].tolist() == [status], (strike, is_call)


def test_a_row_far_from_the_venue_forward_but_inside_the_band_keeps_its_own(make_chain):
    # Wide quotes leave a wide band: a row 1.5 % away may be stamped apart, and nothing contradicts it.
    chain = make_chain(half_spread=0.3)
    curve = estimate_forwards(chain)
    low, high = curve.table.select("band_low", "band_high").row(0)
    assert low < 0.985 * 90e3 < 90e3 < high
    moved = chain.with_columns(
        forward=pl.when(pl.col("strike") == 110e3).then(0.985 * 90e3).otherwise("forward")
    )
    tight = replace(curve, table=curve.table.with_columns(std_error=pl.lit(1.0)))
    quotes = quote_vols(moved, tight)
    np.testing.assert_array_equal(quotes.forward[quotes.strike == 110e3], 0.985 * 90e3)


def test_otm_flag(make_chain):
    quotes = vols(make_chain())
    assert quotes.is_otm[quotes.strike == 90e3].all()
    assert (quotes.is_otm[quotes.strike == 70e3] == ~quotes.is_call[quotes.strike == 70e3]).all()


@pytest.mark.parametrize("wrong", [{"half_life_s": 0.0}, {"floor_half_spread": 0.0}])
def test_wrong_settings(wrong):
    with pytest.raises(ConfigError):
        QuoteSettings(**wrong)


@pytest.mark.recorded
def test_recorded_mid_vols_lie_near_the_venue_marks(recorded):
    from ivhedge.market import read_chains, snapshots

    chains = read_chains(recorded / "deribit_tickers", end="2026-01-16")
    for snapshot in snapshots(chains):
        cleaned = clean_chain(snapshot.chain).chain
        curve = estimate_forwards(cleaned, settings=ForwardSettings())
        quotes = quote_vols(cleaned, curve)
        ok = quotes.is_two_sided & quotes.is_otm
        assert ok.mean() > 0.35
        gap = np.abs(quotes.mid_iv - cleaned["mark_iv"].to_numpy())[ok]
        assert np.median(gap) < 0.005
