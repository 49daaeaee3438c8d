"""Bad quotes: each is counted by venue and reason, none enters the state, the rest goes on."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.market import ForwardSettings, StablePrice
from ivhedge.surface import FitSettings
from ivhedge.surface.fusion import (
    FusedSurface,
    FusionSettings,
    VenueQuotes,
    VenueState,
    fuse,
    venue_health,
    venue_quotes,
)
from tests.surface.fusion._market import TS_NS, market, simulated

DUNE, EMBER = pl.col("venue") == "dune", pl.col("venue") == "ember"
SETTINGS = FusionSettings(anchor="aurora")
IN_USDT = FitSettings(forwards=ForwardSettings(currencies=(("dune", "USDT"),)))


def chain() -> pl.DataFrame:
    return simulated()[0]


@lru_cache(maxsize=1)
def plain() -> FusedSurface:
    return fuse(chain(), settings=SETTINGS)


@lru_cache(maxsize=1)
def without_ember() -> FusedSurface:
    return fuse(chain().filter(~EMBER), settings=SETTINGS)


def changed(where: pl.Expr, **columns: pl.Expr) -> pl.DataFrame:
    """The chain with some columns of some rows replaced."""
    return chain().with_columns(
        pl.when(where).then(value).otherwise(pl.col(name)).alias(name) for name, value in columns.items()
    )


def depegged(price: float) -> pl.DataFrame:
    """Dune quotes, strikes included, in a currency of this price in USD."""
    names = ("strike", "bid", "ask", "forward", "index", "mark")
    return changed(DUNE, **{name: pl.col(name) / price for name in names})


def one(**change: Any) -> VenueQuotes:
    """Four good quotes of one venue and one changed row of another."""
    columns: dict[str, Any] = {
        "log_moneyness": 0.0,
        "bid_vol": 0.58,
        "ask_vol": 0.6,
        "age_s": 0.0,
        "depth_factor": 1.0,
        "forward_slope": 0.0,
        "expiry_ns": TS_NS + 10**15,
    }
    bad = columns | change
    rows = [columns | {"log_moneyness": k} for k in (-0.1, 0.0, 0.1, 0.2)] + [bad]
    return VenueQuotes.from_arrays(
        ts_ns=TS_NS,
        underlying="BTC",
        venue=["a"] * 4 + ["b"],
        **{name: [row[name] for row in rows] for name in columns},
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bid_vol": float("nan")}, "not_finite"),
        ({"ask_vol": float("inf")}, "not_finite"),
        ({"log_moneyness": float("nan")}, "not_finite"),
        ({"forward_slope": float("nan")}, "not_finite"),
        ({"bid_vol": 0.61}, "crossed"),
        ({"bid_vol": 0.0}, "not_positive"),
        ({"age_s": -5.0}, "bad_age"),
        ({"age_s": float("nan")}, "bad_age"),
        ({"depth_factor": 0.0}, "bad_depth"),
        ({"expiry_ns": TS_NS}, "expired"),
    ],
)
def test_each_bad_quote_has_its_reason(change: dict[str, float], reason: str) -> None:
    quotes = one(**change)
    assert quotes.excluded == {"b": {reason: 1}}
    assert quotes.venues == ("a",)
    assert np.isfinite(quotes.variance).all()


def test_a_very_old_quote_weighs_next_to_nothing() -> None:
    quotes = one(age_s=3600.0)
    b = quotes.venue == quotes.venues.index("b")
    assert quotes.variance[b][0] > 1e12 * quotes.variance[~b].max()


@pytest.mark.parametrize("shuffle", [0, 1, 2])
def test_of_duplicates_the_youngest_stands_and_of_equals_the_widest(shuffle: int) -> None:
    rows = [(0.50, 0.01, 9.0), (0.60, 0.01, 2.0), (0.70, 0.03, 2.0)]
    rows = rows[shuffle:] + rows[:shuffle]
    quotes = VenueQuotes.from_arrays(
        ts_ns=TS_NS,
        underlying="BTC",
        venue=["a"] * 3,
        expiry_ns=[TS_NS + 10**15] * 3,
        log_moneyness=[0.0] * 3,
        bid_vol=[vol - half for vol, half, _ in rows],
        ask_vol=[vol + half for vol, half, _ in rows],
        age_s=[age for _, _, age in rows],
    )
    assert quotes.vol == pytest.approx([0.70])
    assert quotes.excluded == {"a": {"duplicate": 2}}


def test_repeating_a_venue_does_not_make_it_surer() -> None:
    rows = market(0)
    twice = rows.pick(np.flatnonzero(np.repeat(True, rows.k.size)).repeat(1 + (rows.venue == "cora")))
    single, doubled = fuse(rows.quotes()), fuse(twice.quotes())
    assert doubled.quotes.excluded["cora"] == {"duplicate": int((rows.venue == "cora").sum())}
    np.testing.assert_array_equal(single.model.state.covariance, doubled.model.state.covariance)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"forward_error": {("a", 1): float("nan")}}, "forward_error"),
        ({"forward_error": {("a", 1): -1e-4}}, "forward_error"),
        ({"forwards": {1: 0.0}}, "forwards above 0"),
        ({"instrument": [1, 2]}, "one instrument"),
    ],
)
def test_errors_that_would_pass_for_certainty_are_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        VenueQuotes.from_arrays(
            ts_ns=0,
            underlying="BTC",
            venue=["a"],
            expiry_ns=[1],
            log_moneyness=[0.0],
            bid_vol=[0.5],
            ask_vol=[0.6],
            **change,
        )


def test_half_life_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="half_life_s"):
        VenueQuotes.from_arrays(
            ts_ns=0,
            underlying="BTC",
            venue=["a"],
            expiry_ns=[1],
            log_moneyness=[0.0],
            bid_vol=[0.5],
            ask_vol=[0.6],
            half_life_s=0.0,
        )


def test_clock_five_seconds_ahead_is_counted_kept_out_and_reported() -> None:
    ahead = changed(EMBER, ts_event=pl.col("ts") + pl.duration(seconds=5))
    fused = fuse(ahead, settings=SETTINGS)
    np.testing.assert_allclose(fused.fit.surface.theta, without_ember().fit.surface.theta, rtol=1e-8)
    health = venue_health(fused)["ember"]
    assert health.excluded == {"future_dated": 204}
    assert (health.state, health.share, health.level_bias) == (VenueState.ABSENT, 0.0, None)
    assert health.bias_status == "unidentified"
    # Within the slack it is ordinary.
    assert "ember" in venue_quotes(ahead, clock_slack_s=6.0).venues
    with pytest.raises(ConfigError, match="clock_slack_s"):
        venue_quotes(ahead, clock_slack_s=-1.0)


def test_time_that_goes_back_is_refused() -> None:
    fused = fuse(market(0).quotes())
    with pytest.raises(DataError, match="at or after"):
        fuse(replace(market(0).quotes(), ts_ns=TS_NS - 1), fused.model)


def test_quarantine_takes_names_not_letters() -> None:
    with pytest.raises(ConfigError, match="string 'anna'"):
        fuse(market(0).quotes(), quarantine="anna")


def test_quarantined_venue_stays_in_the_report() -> None:
    fused = fuse(market(0).quotes(), quarantine=("cora", "nobody"))
    report = venue_health(fused)
    assert report["cora"].quarantined
    assert report["cora"].excluded == {"quarantined": 120}
    assert report["nobody"].quarantined
    assert not report["anna"].quarantined


def test_rows_without_a_venue_are_counted() -> None:
    rows = chain().with_columns(
        venue=pl.when(pl.int_range(pl.len()) < 50).then(None).otherwise(pl.col("venue"))
    )
    quotes = venue_quotes(rows)
    assert quotes.excluded["(none)"] == {"no_venue": 50}
    with pytest.raises(EmptyData, match="no_venue"):
        venue_quotes(rows.head(50))


def test_named_stablecoin_off_its_peg_changes_no_bias() -> None:
    off = fuse(depegged(0.97), settings=SETTINGS, fit=IN_USDT)
    assert "dune" in off.quotes.venues
    for part in (0, 1):
        np.testing.assert_allclose(off.model.state.at(part)[0], plain().model.state.at(part)[0], atol=2e-4)
    np.testing.assert_allclose(off.fit.surface.forwards, plain().fit.surface.forwards, rtol=2e-4)


def test_unnamed_stablecoin_off_its_peg_is_kept_out() -> None:
    fused = fuse(depegged(0.97), settings=SETTINGS)
    assert "dune" not in fused.quotes.venues
    assert fused.quotes.excluded["dune"] == {"stale": 8, "not_pooled": 314}
    assert venue_health(fused)["dune"].state == VenueState.ABSENT


def test_stablecoin_without_a_price_is_kept_out_expiry_by_expiry() -> None:
    expiries = sorted(chain()["expiry"].unique())
    far = pl.col("expiry").is_in(expiries[4:])
    apart = depegged(0.97).filter(pl.when(DUNE).then(far).otherwise(~far))
    quotes = venue_quotes(apart, settings=IN_USDT)
    assert quotes.excluded["dune"]["no_basis"] > 100
    assert "dune" not in quotes.venues
    alone = depegged(0.97).filter(DUNE)
    with pytest.raises(ConfigError, match="found USDT"):
        venue_quotes(alone, settings=IN_USDT)
    price = StablePrice(currency="USDT", price=0.97, std_error=1e-4, source="given", n_expiries=0)
    given = replace(IN_USDT, forwards=replace(IN_USDT.forwards, stable_prices=(price,)))
    assert venue_quotes(alone, settings=given).venues == ("dune",)


def test_two_settlements_under_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="one settlement a venue, found coin and usd at"):
        venue_quotes(changed(DUNE, venue=pl.lit("aurora")))


@pytest.mark.parametrize("spoil", [lambda c: c * float("nan"), lambda c: c * 0.0 + 1e9, lambda c: -c])
def test_a_venue_of_rubbish_does_not_touch_the_others(spoil: Callable[[pl.Expr], pl.Expr]) -> None:
    spoilt, without = venue_quotes(changed(EMBER, bid=spoil(pl.col("bid")))), without_ember().quotes
    assert "ember" not in spoilt.venues
    assert sum(spoilt.excluded["ember"].values()) == 204
    np.testing.assert_array_equal(spoilt.half_spread, without.half_spread)
    # Its published forward is no quote and still counts, a little, among the pooled.
    np.testing.assert_allclose(spoilt.vol, without.vol, rtol=1e-3)
    np.testing.assert_allclose(spoilt.forwards, without.forwards, rtol=1e-4)
