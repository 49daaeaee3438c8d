"""Exposures of a book: by expiry and venue, vega by tenor and delta, spot x vol."""

from datetime import datetime

import numpy as np
import polars as pl

from ivhedge.core.units import format_ns
from ivhedge.engine.desk import Desk
from ivhedge.report import BookView, HeatMap, TableView
from ivhedge.report import format as fmt
from ivhedge.report.booknumbers import said_once
from ivhedge.risk import Exposures, SpotVolMatrix
from ivhedge.risk.buckets import VegaGrid, delta_label

__all__ = ["risk_to_dict", "risk_view"]

_COLUMNS = (
    ("delta_coin", "delta coin", 3),
    ("delta_usd", "delta USD", 3),
    ("gamma_1pct_usd", "gamma 1 %", 4),
    ("vega_usd_per_vol_point", "vega USD/pt", 0),
    ("vanna", "vanna", 2),
    ("volga", "volga", 0),
    ("theta_usd_per_day", "theta USD/day", 0),
)


def risk_view(desk: Desk, seen: Exposures, matrix: SpotVolMatrix) -> BookView:
    """Collect what there is to see of a book's exposures."""
    coin, total = desk.underlying, seen.total(desk.underlying)
    account = seen.account(coin)
    unpriced = _unpriced(seen)
    vega = fmt.number(total["vega_usd_per_vol_point"], signed=True)
    theta = fmt.number(total["theta_usd_per_day"], signed=True)
    verdict = (
        f"delta {fmt.number(total['delta_coin'], 3, signed=True)} {coin} premium-adjusted, "
        f"vega {vega} USD a vol point, theta {theta} USD a day"
    )
    return BookView(
        title=f"{desk.book.name} · exposures, {coin}",
        ts_ns=desk.ts_ns,
        verdict=verdict + (f"; {len(unpriced)} legs unpriced" if unpriced else "") + desk.shortfall,
        good=not unpriced and not desk.warnings,
        facts=(
            ("index", f"{fmt.price(desk.index)} USD"),
            ("legs", fmt.count(len(seen.priced.instruments))),
            (f"collateral, {coin}", fmt.number(account["collateral_coin"], 3)),
            ("collateral, dollars", fmt.number(account["collateral_usd"])),
            ("delta of the account in USD, coins", fmt.number(account["delta_usd"], 3, signed=True)),
            ("delta of the account in coin, coins", fmt.number(account["delta_coin"], 3, signed=True)),
        ),
        tables=(_by_expiry(seen, coin),),
        heats=(spot_vol_heat(matrix), _vega_heat(seen.vega_grid(coin))),
        notes=said_once(
            (
                *(f"{name} has no price: {status}" for name, status in unpriced),
                *(f"{name} is left out of spot × vol: {why}" for name, why in matrix.skipped),
                *desk.warnings,
            )
        ),
    )


def spot_vol_heat(matrix: SpotVolMatrix) -> HeatMap:
    """Profit over spot (across) and vol (down), the largest rise of vol on top."""
    order = matrix.vol_shocks.argsort()[::-1]
    return HeatMap(
        title="spot × vol",
        note="P&L in USD, full revaluation",
        across="spot",
        down="vol, points",
        columns=tuple(fmt.percent(float(shock), 0, signed=True) for shock in matrix.spot_shocks),
        rows=tuple(fmt.number(float(matrix.vol_shocks[i]), 0, signed=True) for i in order),
        values=matrix.pnl_usd.T[order],
    )


def _vega_heat(grid: VegaGrid) -> HeatMap:
    # Puts on the left, as on a smile.
    order = grid.deltas.argsort()[::-1]
    held = np.flatnonzero(np.abs(grid.usd).sum(axis=1))
    return HeatMap(
        title="vega by tenor and delta",
        note="USD per vol point",
        across="delta",
        down="days",
        columns=tuple(delta_label(float(grid.deltas[i])) for i in order),
        rows=tuple(fmt.number(float(grid.tenors[i]), 0) for i in held),
        values=grid.usd[np.ix_(held, order)],
    )


def _by_expiry(seen: Exposures, coin: str) -> TableView:
    by_expiry = seen.by("underlying", "expiry", "venue").filter(pl.col("underlying") == coin)
    rows = [(_label(row), str(row["venue"]), *_numbers(row)) for row in by_expiry.iter_rows(named=True)]
    rows.append(("total", "", *_numbers(dict(seen.total(coin)))))
    return TableView(
        title="exposures by expiry",
        note="delta and gamma in coins, gamma per 1 % of spot",
        headings=("expiry", "venue", *(heading for _, heading, _ in _COLUMNS)),
        rows=tuple(rows),
        text=(0, 1),
    )


def _label(row: dict[str, object]) -> str:
    expiry, unpriced = row["expiry"], row["unpriced"]
    name = f"{expiry:%d %b %Y}" if isinstance(expiry, datetime) else "perpetual"
    return f"{name} ({unpriced} unpriced)" if unpriced else name


def _numbers(row: dict[str, object]) -> tuple[str, ...]:
    values = ((row[name], places) for name, _, places in _COLUMNS)
    return tuple(
        fmt.number(value if isinstance(value, float) else None, places, signed=True)
        for value, places in values
    )


def _unpriced(seen: Exposures) -> list[tuple[str, str]]:
    legs = zip(seen.priced.instruments, seen.priced.status, strict=True)
    return [(item.key, status.describe()) for item, status in legs if not status.has_numbers]


def risk_to_dict(desk: Desk, seen: Exposures, matrix: SpotVolMatrix) -> dict[str, object]:
    """Describe a book's risk as JSON: legs, totals, account, vega grid, spot-vol matrix."""
    legs = seen.legs.with_columns(pl.col("expiry").dt.to_string("iso:strict"))
    return {
        "book": desk.book.name,
        "underlying": desk.underlying,
        "time": format_ns(desk.ts_ns),
        "ts_ns": desk.ts_ns,
        "index": desk.index,
        "total": seen.total(desk.underlying),
        "account": seen.account(desk.underlying),
        "legs": legs.to_dicts(),
        "vega_grid": seen.vega_grid(desk.underlying).table().to_dicts(),
        "spot_vol": {
            "spot_shocks": matrix.spot_shocks.tolist(),
            "vol_shocks_points": matrix.vol_shocks.tolist(),
            "pnl_usd": matrix.pnl_usd.tolist(),
            "pnl_coin": matrix.pnl_coin.tolist(),
            "skipped": [list(pair) for pair in matrix.skipped],
        },
        "warnings": list(desk.warnings),
    }
