from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ivhedge.core import NS_PER_DAY, InstrumentKind
from ivhedge.core.errors import ConfigError, DataError
from ivhedge.hedge import InstrumentRules, hedge_market
from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA
from ivhedge.market.snapshot import MarketSnapshot
from ivhedge.pricing import black76_price

from ._stub import NOW, StubSurface

SURFACE = StubSurface()


def chain(rows):
    """Rows of (days, strike, is_call, half-spread as a share of the price or None for no bid)."""
    table = []
    for days, strike, is_call, width in rows:
        tau = days / 365
        price = float(black76_price(80_000.0, strike, tau, 0.5, is_call)) / 80_000.0
        table.append(
            {
                "venue": "deribit",
                "underlying": "BTC",
                "instrument_name": f"BTC-{days}-{strike:.0f}-{'C' if is_call else 'P'}",
                "expiry": NOW + days * NS_PER_DAY,
                "ts": NOW,
                "strike": float(strike),
                "is_call": is_call,
                "settlement": "coin",
                "bid": None if width is None else price * (1 - width),
                "ask": price * (1 + (width or 0.02)),
                "mark": price,
                "forward": 80_000.0,
                "index": 80_000.0,
            }
        )
    return _frame(table, CHAIN_SCHEMA)


def futures(*rows):
    return _frame(
        [
            {
                "venue": "deribit",
                "underlying": "BTC",
                "instrument_name": name,
                "kind": "perpetual" if days is None else "future",
                "expiry": None if days is None else NOW + days * NS_PER_DAY,
                "ts": NOW,
                "settlement": "coin",
                "mark": mark,
                "index": 80_000.0,
            }
            for name, days, mark in rows
        ],
        FUTURES_SCHEMA,
    )


def _frame(rows, schema):
    columns = {}
    for name, dtype in schema.items():
        values = [row.get(name) for row in rows]
        if isinstance(dtype, pl.Datetime):
            columns[name] = (
                pl.Series(name, values, dtype=pl.Int64).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
            )
        else:
            columns[name] = pl.Series(name, values, dtype=dtype)
    return pl.DataFrame(columns)


def snapshot(options, future_rows=(("BTC-PERPETUAL", None, 80_000.0),)):
    return MarketSnapshot(
        ts_ns=NOW, underlying="BTC", index=80_000.0, chain=chain(options), futures=futures(*future_rows)
    )


def names(market):
    return [item.name for item in market.instruments]


def test_futures_need_a_price_and_a_life():
    rows = (
        ("BTC-60", 60, 80_500.0),
        ("BTC-OLD", -1, 80_000.0),
        ("BTC-PERPETUAL", None, 80_000.0),
        ("BTC-90", 90, None),
        ("BTC-NAN", 91, float("nan")),
    )
    market = hedge_market(snapshot([], rows), SURFACE)
    assert names(market) == ["BTC-PERPETUAL", "BTC-60"]
    assert np.isnan(market.bid).all()
    assert market.quote(1).mark == 80_500.0


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ((30, 85_000.0, True, 0.02), True),
        ((30, 85_000.0, True, None), False),  # one-sided
        ((30, 85_000.0, True, 0.5), False),  # too wide
        ((30, 150_000.0, True, 0.02), False),  # too far out
        ((30, 50_000.0, True, 0.001), False),  # too deep in
        ((1, 80_000.0, True, 0.02), False),  # too short
        ((500, 80_000.0, True, 0.02), False),  # too long
        ((-2, 80_000.0, True, 0.02), False),  # expired
    ],
)
def test_options_have_to_be_liquid(row, kept):
    days, *rest = row
    shown = snapshot([(days, *rest)] if days > 0 else [(30, *rest)])
    if days < 0:
        shown = replace(shown, ts_ns=NOW + 31 * NS_PER_DAY)
    market = hedge_market(shown, SURFACE)
    assert any(item.is_option for item in market.instruments) is kept


def test_the_tightest_options_of_each_expiry_are_taken_and_others_on_request():
    rows = [(30, k, True, w) for k, w in ((80_000.0, 0.03), (84_000.0, 0.005), (88_000.0, 0.01))]
    rules = InstrumentRules(options_per_expiry=2)
    shown = snapshot(rows)
    market = hedge_market(shown, SURFACE, rules=rules)
    assert names(market)[1:] == ["BTC-30-84000-C", "BTC-30-88000-C"]
    more = hedge_market(shown, SURFACE, rules=rules, also=["deribit:BTC-30-80000-C"])
    assert names(more)[1:] == ["BTC-30-80000-C", "BTC-30-84000-C", "BTC-30-88000-C"]


def test_kinds_and_venues_are_obeyed():
    shown = snapshot([(30, 84_000.0, True, 0.01)])
    only = InstrumentRules(kinds=frozenset({InstrumentKind.PERPETUAL}))
    assert names(hedge_market(shown, SURFACE, rules=only)) == ["BTC-PERPETUAL"]
    assert names(hedge_market(shown, SURFACE, rules=InstrumentRules(venues=("elsewhere",)))) == []


def test_an_empty_snapshot_gives_an_empty_market():
    market = hedge_market(snapshot([], ()), SURFACE)
    assert (market.instruments, market.bid.shape) == ((), (0,))


def test_duplicates_wrong_surfaces_and_wrong_rules_are_refused():
    twice = [(30, 84_000.0, True, 0.01)] * 2
    with pytest.raises(DataError, match="each instrument once"):
        hedge_market(snapshot(twice), SURFACE)
    with pytest.raises(DataError, match="surface of BTC"):
        hedge_market(snapshot([]), StubSurface(underlying="ETH"))
    with pytest.raises(DataError, match="positive index"):
        hedge_market(replace(snapshot([]), index=float("nan")), SURFACE)
    for wrong in ({"min_abs_delta": 0.7}, {"min_tenor_days": 500.0}, {"options_per_expiry": -1}):
        with pytest.raises(ConfigError, match="expected"):
            InstrumentRules(**wrong)
