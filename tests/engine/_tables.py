"""A policy's tables written by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl

from ivhedge.engine.result import ATTRIBUTION_SCHEMA, ATTRIBUTION_TERMS, EQUITY_SCHEMA, PolicyResult

START = datetime(2026, 1, 5, tzinfo=UTC)


def at(step):
    return START + timedelta(hours=6 * step)


def equity(values, index, *, underlying="BTC", currency="BTC", delta=0.0):
    rows = [
        dict.fromkeys(EQUITY_SCHEMA, 0.0)
        | {
            "ts": at(step),
            "underlying": underlying,
            "currency": currency,
            "cash": value,
            "equity": value,
            "index": price,
            "equity_usd": value * (1.0 if currency.startswith("USD") else price),
            "delta_coin": delta + step,
        }
        for step, (value, price) in enumerate(zip(values, index, strict=True))
    ]
    return pl.DataFrame(rows, schema_overrides=dict(EQUITY_SCHEMA))


def attribution(rows, *, underlying="BTC", currency="BTC"):
    full = [
        dict.fromkeys(ATTRIBUTION_TERMS, 0.0)
        | terms
        | {
            "ts": at(step),
            "underlying": underlying,
            "currency": currency,
            "total": sum(terms.values()),
        }
        for step, terms in enumerate(rows, start=1)
    ]
    return pl.DataFrame(full, schema_overrides=dict(ATTRIBUTION_SCHEMA))


def policy(equity_table=None, attribution_table=None, *, name="p", **more):
    return PolicyResult(
        name=name,
        description="",
        equity=pl.DataFrame() if equity_table is None else equity_table,
        attribution=pl.DataFrame() if attribution_table is None else attribution_table,
        trades=more.pop("trades", pl.DataFrame()),
        summary=more.pop("summary", {}),
        **more,
    )
