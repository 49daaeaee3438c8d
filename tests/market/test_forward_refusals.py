"""Forwards that are refused, and what the rows of their venue are priced with instead."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.market import (
    ForwardMethod,
    ForwardSettings,
    QuoteStatus,
    StablePrice,
    estimate_forwards,
    quote_vols,
)
from ivhedge.market.parity import outside_bands

NULL = pl.lit(None, pl.Float64)
OTM = pl.col("is_call") == (pl.col("strike") > 90e3)
TETHER = (("dune", "USDT"),)


def without_pairs(chain: pl.DataFrame, factor: float = 1.0) -> pl.DataFrame:
    return chain.filter(OTM).with_columns(pl.col("forward") * factor)


def status_of(curve, venue: str) -> list[str]:
    return curve.status.filter(pl.col("venue") == venue)["status"].to_list()


def test_an_unchecked_venue_forward_has_the_error_of_a_mark(make_chain):
    alone = estimate_forwards(without_pairs(make_chain()))
    assert alone.std_errors[0] == pytest.approx(5e-4 * 90_000)
    wider = estimate_forwards(without_pairs(make_chain()), settings=ForwardSettings(mark_error_bp=9.0))
    assert wider.std_errors[0] == pytest.approx(9e-4 * 90_000)


def test_an_unchecked_venue_forward_hardly_moves_a_checked_one(make_chain):
    checked = make_chain(half_spread=0.0005)
    near = without_pairs(make_chain(venue="aurora"), 1.0005)
    curve = estimate_forwards(pl.concat([checked, near]))
    assert status_of(curve, "aurora") == ["ok"]
    assert 90_000 <= curve.forwards[0] < 90_002


@pytest.mark.parametrize("factor", [0.95, 0.99, 1.01, 1.05])
def test_an_unchecked_forward_outside_the_band_of_another_venue_is_not_pooled(make_chain, factor):
    wrong = without_pairs(make_chain(venue="aurora"), factor)
    chain = pl.concat([make_chain(half_spread=0.002), wrong])
    curve = estimate_forwards(chain)
    assert status_of(curve, "aurora") == ["not_pooled"]
    assert "without pairs of its own" in curve.status.filter(venue="aurora")["detail"][0]
    assert curve.forwards[0] == pytest.approx(90_000.0, rel=1e-6)
    # Its rows take the pooled forward, so their vols are right again.
    quotes = quote_vols(chain, curve)
    np.testing.assert_allclose(quotes.forward, 90_000.0, rtol=1e-6)
    np.testing.assert_allclose(quotes.mid_iv[quotes.is_two_sided], 0.5, rtol=1e-4)


def test_rows_of_an_outlier_among_three_venues_take_the_pooled_forward(make_chain):
    wrong = make_chain(venue="borealis").with_columns(forward=pl.lit(94_500.0))
    chain = pl.concat([make_chain(), make_chain(venue="aurora"), wrong])
    how = ForwardSettings(band_slack_bp=1e4)
    curve = estimate_forwards(chain, settings=how)
    assert status_of(curve, "borealis") == ["not_pooled"]
    np.testing.assert_allclose(quote_vols(chain, curve).forward, 90_000.0, rtol=1e-6)


def test_two_against_two_leaves_nobody_out(make_chain):
    # All four lie far from their middle: a median that nobody shares refuses nobody.
    names = ("aurora", "borealis", "cirrus", "deribit")
    chain = pl.concat(
        make_chain(venue=name, forward=90_000.0 if i < 2 else 94_500.0, half_spread=0.002)
        for i, name in enumerate(names)
    )
    curve = estimate_forwards(chain, settings=ForwardSettings(band_slack_bp=1e4))
    assert [status_of(curve, name) for name in names] == [["ok"]] * 4


@pytest.mark.parametrize("wrong", [0.05, -0.05, 0.02])
def test_a_minority_of_wrong_rows_is_refused(make_chain, wrong):
    at = pl.col("strike") < 85e3
    chain = make_chain(half_spread=0.002)
    mixed = chain.with_columns(pl.when(at).then(pl.col("forward") * (1 + wrong)).otherwise("forward"))
    quotes = quote_vols(mixed, estimate_forwards(mixed))
    np.testing.assert_allclose(quotes.forward, 90_000.0)


@pytest.mark.parametrize("methods", [("parity",), ("future", "parity")])
def test_wrong_rows_are_refused_whatever_the_methods(make_chain, methods):
    chain = make_chain(half_spread=0.002).with_columns(forward=pl.lit(90_500.0))
    how = ForwardSettings(methods=tuple(ForwardMethod(name) for name in methods))
    curve = estimate_forwards(chain, settings=how)
    assert status_of(curve, "deribit") == ["contradicts_parity"]
    np.testing.assert_allclose(quote_vols(chain, curve).forward, curve.forwards[0])


def test_a_contradicted_column_alone_leaves_no_forward(make_chain):
    later = make_chain()["expiry"][0] + timedelta(days=30)
    wrong = make_chain(expiry=later, half_spread=0.002).with_columns(forward=pl.lit(99_000.0))
    chain = pl.concat([make_chain(), wrong])
    curve = estimate_forwards(chain, settings=ForwardSettings(methods=(ForwardMethod.VENUE,)))
    quotes = quote_vols(chain, curve)
    assert np.isnan(quotes.forward[14:]).all()
    assert (quotes.status[14:] == QuoteStatus.NO_FORWARD).all()


def test_one_pair_vetoes_a_wrong_column(make_chain):
    later = make_chain()["expiry"][0] + timedelta(days=30)
    thin = make_chain(expiry=later, half_spread=0.01).filter(OTM | (pl.col("strike") == 90e3))
    good, bad = (
        pl.concat([make_chain(), thin.with_columns(pl.col("forward") * factor)]) for factor in (1.0, 1.03)
    )
    right = estimate_forwards(good)
    assert right.status["status"].to_list() == ["ok", "ok"]
    assert right.table["n_pairs"].to_list() == [7, 1]
    wrong = estimate_forwards(bad)
    assert wrong.status["status"].to_list() == ["ok", "contradicts_parity"]
    assert wrong.expiry_ns.size == 1  # one pair is no forward
    assert (quote_vols(bad, wrong).status[14:] == QuoteStatus.NO_FORWARD).all()


def test_one_old_pair_vetoes_only_what_it_can_tell(make_chain):
    thin = make_chain(half_spread=0.001, forward=90_200.0).filter(OTM | (pl.col("strike") == 90e3))
    thin = thin.with_columns(forward=pl.lit(90_000.0))
    assert estimate_forwards(pl.concat([thin, make_chain(venue="aurora")])).status["status"].to_list() == [
        "ok",
        "contradicts_parity",
    ]
    old = thin.with_columns(ts_event=pl.col("ts").dt.offset_by("-10m"))
    assert status_of(estimate_forwards(old), "deribit") == ["ok"]


def tether(make_chain, price, **how):
    return make_chain(venue="dune", settlement="usd", forward=90_000.0 / price, half_spread=0.001, **how)


def test_the_pooled_forward_reaches_a_tether_venue_in_its_currency(make_chain):
    later = make_chain()["expiry"][0] + timedelta(days=30)
    bare = without_pairs(tether(make_chain, 0.98, expiry=later)).with_columns(forward=NULL)
    chain = pl.concat([make_chain(), make_chain(expiry=later), tether(make_chain, 0.98), bare])
    curve = estimate_forwards(chain, settings=ForwardSettings(currencies=TETHER))
    assert curve.venue_factor("deribit") == 1.0
    assert curve.venue_factor("dune") == pytest.approx(1 / 0.98, rel=1e-6)
    quotes = quote_vols(chain, curve)
    mine = np.array(quotes.venue) == "dune"
    np.testing.assert_allclose(quotes.forward[mine], 90_000.0 / 0.98, rtol=1e-5)
    np.testing.assert_allclose(quotes.forward[~mine], 90_000.0, rtol=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_a_tether_venue_without_any_forward_needs_a_price(make_chain, known):
    price = StablePrice(currency="USDT", price=0.98, std_error=0.0, source="given", n_expiries=0)
    bare = without_pairs(tether(make_chain, 0.98)).with_columns(forward=NULL)
    chain = pl.concat([make_chain(), bare])
    how = ForwardSettings(currencies=TETHER, stable_prices=(price,) if known else ())
    quotes = quote_vols(chain, estimate_forwards(chain, settings=how))
    mine = np.array(quotes.venue) == "dune"
    if known:
        np.testing.assert_allclose(quotes.forward[mine], 90_000.0 / 0.98)
    else:
        assert (quotes.status[mine] == QuoteStatus.NO_FORWARD).all()


def test_a_curve_in_tether_is_not_a_dollar_forward(make_chain):
    blind = without_pairs(make_chain()).with_columns(forward=NULL)
    chain = pl.concat([tether(make_chain, 0.98), blind])
    curve = estimate_forwards(chain, settings=ForwardSettings(currencies=TETHER))
    assert curve.currency == "USDT"
    quotes = quote_vols(chain, curve)
    assert (quotes.status[14:] == QuoteStatus.NO_FORWARD).all()


def test_an_unchecked_tether_forward_is_judged_in_dollars(make_chain):
    price = StablePrice(currency="USDT", price=0.98, std_error=1e-5, source="given", n_expiries=0)
    how = ForwardSettings(currencies=TETHER, stable_prices=(price,))
    usd = make_chain(half_spread=0.002)
    for factor, status in ((1.0, "ok"), (0.98, "not_pooled")):
        thin = without_pairs(tether(make_chain, 0.98), factor)
        chain = pl.concat([usd, thin])
        curve = estimate_forwards(chain, settings=how)
        assert status_of(curve, "dune") == [status]
        mine = np.array(chain["venue"]) == "dune"
        np.testing.assert_allclose(quote_vols(chain, curve).forward[mine], 90_000.0 / 0.98, rtol=1e-5)


def test_no_basis_goes_before_other_words(make_chain):
    later = make_chain()["expiry"][0] + timedelta(days=30)
    apart = tether(make_chain, 0.98, expiry=later).with_columns(pl.col("forward") * 1.05)
    curve = estimate_forwards(pl.concat([make_chain(), apart]), settings=ForwardSettings(currencies=TETHER))
    assert status_of(curve, "dune") == ["no_basis"]
    assert "outside the executable parity band" in curve.status.filter(venue="dune")["detail"][0]


@pytest.mark.parametrize(
    "wrong",
    [{"price": p} for p in (0.0, -1.0, np.nan, np.inf)] + [{"std_error": e} for e in (-1e-9, np.nan, np.inf)],
)
def test_a_stable_price_is_checked(wrong):
    how = {"price": 1.0, "std_error": 0.0} | wrong
    with pytest.raises(ConfigError, match="USDT: expected a finite price above 0"):
        StablePrice(currency="USDT", source="given", n_expiries=0, **how)


@settings(deadline=None, max_examples=50)
@given(
    forward=st.lists(st.floats(50.0, 150.0), min_size=4, max_size=4),
    low=st.floats(90.0, 99.0),
    width=st.floats(0.0, 10.0),
    room=st.floats(0.0, 5.0),
)
def test_outside_bands_is_the_distance_to_the_nearest_band(forward, low, width, room):
    values = np.array([*forward, 100.0, 100.0, 100.0])
    bottom = np.array([np.nan] * 4 + [low, low + 20.0, np.nan])
    top = bottom + width
    expiry = np.array([1, 1, 1, 2, 1, 1, 2])
    judged = np.array([True, True, True, True, False, False, False])
    found = outside_bands(expiry, values, np.full(7, room), judged, bottom, top)
    for number in range(3):
        gap = min(
            max(b - forward[number], forward[number] - t, 0.0)
            for b, t in zip(bottom[4:6], top[4:6], strict=True)
        )
        if abs(gap - room) > 1e-9:
            assert (number in found) == (gap > room)
    assert set(found) <= {0, 1, 2}
