from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.market import ForwardMethod, ForwardSettings, StablePrice, estimate_forwards
from ivhedge.market.forward_basis import stable_prices
from ivhedge.market.parity import parity_forwards

NULL = pl.lit(None, pl.Float64)
TETHER = (("dune", "USDT"),)


def in_tether(make_chain, price, **how):
    """A venue whose strikes and prices are in a currency worth `price` USD."""
    chain = make_chain(venue="dune", settlement="usd", forward=90_000.0 / price, half_spread=0.001, **how)
    return chain.with_columns(forward=NULL)


@pytest.mark.parametrize("price", [0.97, 0.999, 1.004])
def test_the_price_of_a_stablecoin_is_found_and_taken_out(make_chain, price):
    dates = [make_chain()["expiry"][0] + timedelta(days=30 * n) for n in range(3)]
    usd = pl.concat(make_chain(half_spread=0.001, expiry=e) for e in dates).with_columns(forward=NULL)
    usdt = pl.concat(in_tether(make_chain, price, expiry=e) for e in dates)
    curve = estimate_forwards(pl.concat([usd, usdt]), settings=ForwardSettings(currencies=TETHER))
    (row,) = curve.basis.iter_rows(named=True)
    assert (row["currency"], row["source"], row["n_expiries"]) == ("USDT", "estimated", 3)
    assert row["price"] == pytest.approx(price, rel=1e-6)
    assert 0 < row["std_error"] < 1e-3
    np.testing.assert_allclose(curve.forwards, 90_000.0, rtol=1e-6)
    # The venue's own row stays in the currency of its prices.
    own = curve.table.filter(pl.col("venue") == "dune")["forward"].to_numpy()
    np.testing.assert_allclose(own, 90_000.0 / price, rtol=1e-6)
    assert set(curve.status["status"]) == {"ok"}


def test_a_given_price_is_taken_with_its_error(make_chain):
    given = StablePrice(currency="USDT", price=0.99, std_error=0.01, source="given", n_expiries=0)
    how = ForwardSettings(currencies=TETHER, stable_prices=(given,))
    curve = estimate_forwards(in_tether(make_chain, 0.99), settings=how)
    assert curve.currency == "USD"
    assert curve.forwards[0] == pytest.approx(90_000.0, rel=1e-6)
    assert curve.std_errors[0] == pytest.approx(90_000.0 * 0.01 / 0.99, rel=0.001)


def test_currencies_are_never_mixed_silently(make_chain):
    how = ForwardSettings(currencies=TETHER)
    alone = estimate_forwards(in_tether(make_chain, 0.98), settings=how)
    assert alone.currency == "USDT"
    later = make_chain()["expiry"][0] + timedelta(days=30)
    apart = pl.concat([make_chain(), in_tether(make_chain, 0.98, expiry=later)])
    curve = estimate_forwards(apart, settings=how)
    assert curve.expiry_ns.size == 1
    assert curve.forwards[0] == pytest.approx(90_000.0)
    assert curve.status.filter(pl.col("venue") == "dune")["status"].to_list() == ["no_basis"]


def test_one_wrong_expiry_does_not_move_the_basis():
    expiry = np.repeat(np.arange(6), 2)
    units = ["USD", "USDT"] * 6
    forward = np.where(np.arange(12) % 2, 100.0 / 0.999, 100.0)
    forward[11] *= 1.05
    price = stable_prices(units, expiry, forward, np.full(12, 0.01))["USDT"]
    assert price.price == pytest.approx(0.999, rel=1e-9)
    assert price.n_expiries == 5


def test_a_contradiction_names_both_values(make_chain):
    chain = make_chain(half_spread=0.002).with_columns(forward=pl.lit(93_000.0))
    curve = estimate_forwards(chain)
    (row,) = curve.status.iter_rows(named=True)
    assert row["status"] == "contradicts_parity"
    assert "93000.00" in row["detail"]
    assert "parity gives 90000" in row["detail"]
    assert curve.forwards[0] == pytest.approx(90_000, rel=2e-4)


def test_an_expiry_is_refused_while_the_others_stand(make_chain):
    later = make_chain()["expiry"][0] + timedelta(days=30)
    wrong = make_chain(expiry=later, half_spread=0.002).with_columns(forward=pl.lit(99_000.0))
    how = ForwardSettings(methods=(ForwardMethod.VENUE,))
    curve = estimate_forwards(pl.concat([wrong, make_chain()]), settings=how)
    assert curve.status["status"].to_list() == ["ok", "contradicts_parity"]
    assert curve.expiry_ns.size == 1


@pytest.mark.parametrize("rows", ["one", "calls", "one_sided"])
def test_an_expiry_without_pairs_has_a_status(make_chain, rows):
    later = make_chain()["expiry"][0] + timedelta(days=30)
    thin = make_chain(expiry=later).with_columns(forward=NULL)
    thin = {
        "one": thin.head(1),
        "calls": thin.filter(pl.col("is_call")),
        "one_sided": thin.with_columns(bid=NULL),
    }[rows]
    curve = estimate_forwards(pl.concat([thin, make_chain()]))
    assert curve.status["status"].to_list() == ["ok", "no_forward"]


def test_pairs_that_contradict_each_other_are_told(make_chain):
    chain = make_chain(half_spread=0.0005).with_columns(forward=NULL)
    move = pl.when(pl.col("strike").rank("dense") % 2 == 0).then(0.01).otherwise(-0.01)
    torn = chain.with_columns(
        pl.when(pl.col("is_call")).then(pl.col(s) + move).otherwise(s).alias(s) for s in ("bid", "ask")
    )
    curve = estimate_forwards(torn)
    assert curve.status["status"].to_list() == ["parity_disjoint"]
    assert curve.std_errors[0] > 10 * estimate_forwards(chain).std_errors[0]


def test_unstamped_quotes_leave_a_common_error(make_chain):
    chain = make_chain(half_spread=0.0001)
    unstamped = chain.with_columns(ts_event=pl.lit(None, chain.schema["ts_event"]))
    (sharp,), (vague,) = (parity_forwards(c).values() for c in (chain, unstamped))
    assert vague.std_error > 10.0 > sharp.std_error
    assert vague.forward == pytest.approx(sharp.forward, rel=1e-9)


def test_stale_pairs_weigh_less(make_chain):
    chain = make_chain(half_spread=0.0005).with_columns(forward=NULL)
    moved = make_chain(half_spread=0.0005, forward=90_090.0)
    old = pl.col("strike") > 90e3
    stale = pl.concat(
        [
            chain.filter(~old),
            moved.filter(old).with_columns(
                (pl.col("ts") - timedelta(seconds=300)).cast(pl.Datetime("ns", "UTC")).alias("ts_event")
            ),
        ],
    ).with_columns(forward=NULL)
    fresh = stale.with_columns(ts_event=pl.col("ts"))
    near, far = (next(iter(parity_forwards(c).values())).forward for c in (stale, fresh))
    assert abs(near - 90_000.0) < 0.3 * abs(far - 90_000.0) + 1.0
    assert near == pytest.approx(90_000.0, rel=1e-4)


@settings(deadline=None, max_examples=20)
@given(scale=st.floats(0.01, 100.0), seed=st.integers(0, 100))
def test_parity_scales_with_money_and_ignores_row_order(make_chain, scale, seed):
    chain = make_chain(settlement="usd", venue="nimbus")
    noise = np.random.default_rng(seed).uniform(-300.0, 300.0, chain.height)
    chain = chain.with_columns(bid=pl.col("bid") + noise, ask=pl.col("ask") + noise)
    money = [pl.col(name) * scale for name in ("strike", "bid", "ask")]
    (one,) = parity_forwards(chain).values()
    (two,) = parity_forwards(chain.with_columns(money).sample(fraction=1.0, shuffle=True, seed=seed)).values()
    for name in ("forward", "std_error", "band_low", "band_high"):
        assert getattr(two, name) == pytest.approx(scale * getattr(one, name), rel=1e-6)


def test_error_bars_cover_the_truth(make_chain):
    rng = np.random.default_rng(11)
    strikes, scores = np.arange(60e3, 126e3, 2e3), []
    base = make_chain(strikes=strikes, half_spread=0.0)
    for _ in range(150):
        half = 0.001 * rng.lognormal(0.0, 0.3, base.height)
        centre = base["bid"].to_numpy() + half * rng.uniform(-1.0, 1.0, base.height)
        centre += np.where(rng.random(base.height) < 0.1, 0.02 * rng.choice([-1, 1], base.height), 0.0)
        (pair,) = parity_forwards(base.with_columns(bid=centre - half, ask=centre + half)).values()
        scores.append((pair.forward - 90_000.0) / pair.std_error)
    assert 0.88 <= np.mean(np.abs(scores) < 1.96) <= 1.0
    assert np.std(scores) > 0.5
