"""Explained profit: by term, factor, leg and expiry, hedges apart from carry."""

from typing import Literal

import polars as pl

from ivhedge.core.units import format_ns
from ivhedge.engine.desk import Desk
from ivhedge.engine.desk_explain import DeskExplanation
from ivhedge.report import Bars, BookView, HeatMap, TableView
from ivhedge.report import format as fmt
from ivhedge.report.booknumbers import decimals, money_column, said_once, unit_of, without_zeros

__all__ = ["explain_to_dict", "explain_view"]

_GOOD_RESIDUAL = 0.02
_HOURS = 3.6e12
_ALWAYS = ("residual", "unexplained")
_LEG_TERMS = ("theta", "delta", "gamma", "vega")
_PARTS = (
    "book",
    "hedge",
    "carry",
    "theta",
    "basis_roll",
    "funding",
    "fees",
    "trading",
    "residual",
    "unexplained",
)


def explain_view(desk: Desk, seen: DeskExplanation) -> BookView:
    """Collect what there is to see of an explained profit."""
    totals = seen.explanation.totals()
    doubtful = _doubtful(seen)
    parts = [
        f"{money_column([row['total']], row['currency'], signed=True)[0]} {row['currency']}"
        for row in totals.iter_rows(named=True)
    ]
    shares = [row["residual_share"] for row in totals.iter_rows(named=True)]
    worst = max((share for share in shares if share is not None), default=0.0)
    low, high = seen.indices
    return BookView(
        title=f"{desk.book.name} · explained, {desk.underlying}",
        ts_ns=seen.end_ns,
        verdict=(
            f"profit {' and '.join(parts)} in {(seen.end_ns - seen.start_ns) / _HOURS:.1f} h, index "
            f"{fmt.percent(high / low - 1.0, 2, signed=True)}; residual {fmt.percent(worst, 2)} of gross"
            f"{desk.shortfall}"
        ),
        good=worst <= _GOOD_RESIDUAL and not doubtful and not desk.warnings,
        facts=(
            ("from", f"{format_ns(seen.start_ns)} UTC, index {fmt.price(low)}"),
            ("to", f"{format_ns(seen.end_ns)} UTC, index {fmt.price(high)}"),
            ("sub-steps", fmt.count(len(seen.explanation.start_ns))),
            ("legs", fmt.count(len(seen.explanation.legs))),
        ),
        bars=(*_bars(seen, "term"), *_bars(seen, "factor")),
        heats=_heats(seen),
        tables=(_totals(totals), _legs(seen)),
        notes=said_once((*doubtful, *seen.notes, *desk.warnings)),
    )


def _doubtful(seen: DeskExplanation) -> list[str]:
    """What was not explained from a leg's own marks: each reason once, with the legs it is true of."""
    legs: dict[str, list[str]] = {}
    for name, status in zip(seen.explanation.legs, seen.explanation.status, strict=True):
        if status.value not in ("ok", "settled"):
            known = legs.setdefault(status.describe(), [])
            if name not in known:
                known.append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in legs.items()]


def _bars(seen: DeskExplanation, key: Literal["term", "factor"]) -> list[Bars]:
    table = seen.explanation.by(key)
    shown = []
    for currency in table["currency"].unique().sort():
        rows = table.filter(pl.col("currency") == currency)
        unit, profits = unit_of(currency), dict(rows.select(key, "profit").iter_rows())
        kept, left_out = without_zeros(profits, unit, always=_ALWAYS)
        bars = Bars(
            title=f"profit by {key}",
            note="; ".join(filter(None, (currency, left_out))),
            names=tuple(kept),
            values=tuple(kept.values()),
            unit=unit,
        )
        shown.append(bars)
    return shown


def _heats(seen: DeskExplanation) -> tuple[HeatMap, ...]:
    """Profit by factor (down) and expiry (across)."""
    table = seen.explanation.by("expiry", detail="factor")
    names = [name for name in seen.explanation.factor_names if table[name].abs().sum() > 0.0]
    maps = []
    for currency in table["currency"].unique().sort():
        rows = table.filter(pl.col("currency") == currency)
        labels = ["perpetual" if at is None else f"{at:%d %b %Y}" for at in rows["expiry"]]
        maps.append(
            HeatMap(
                title="profit by expiry and factor",
                note=currency,
                across="expiry",
                down="factor",
                columns=tuple(labels),
                rows=tuple(names),
                values=rows.select(names).to_numpy().T,
                unit=unit_of(currency),
            )
        )
    return tuple(maps)


def _totals(totals: pl.DataFrame) -> TableView:
    rows = []
    for row in totals.iter_rows(named=True):
        names, code = ("total", *_PARTS), row["currency"]
        profits = money_column([row[name] for name in names], code, signed=True)
        rows += [(name.replace("_", " "), profit, code) for name, profit in zip(names, profits, strict=True)]
    return TableView(
        title="book and hedge moves apart from carry",
        note="carry = theta + basis roll + funding + fees",
        headings=("part", "profit", "currency"),
        rows=tuple(rows),
        text=(0, 2),
    )


def _legs(seen: DeskExplanation) -> TableView:
    table = seen.explanation.by("leg").sort("total")
    shown = [name for name in _LEG_TERMS if name in table.columns]
    last = ("residual", "unexplained", "total")
    # What is left is the sum of the terms without a column of their own.
    table = table.with_columns(
        other=pl.col("total") - pl.sum_horizontal(*shown, "residual", "unexplained"),
        leg=pl.col("leg").str.split(":").list.last(),
    )
    columns = [*shown, "other", *last]
    # As many decimals in all rows of a currency.
    places = {
        code: decimals(rows.select(columns).to_numpy().ravel(), unit_of(str(code)))
        for (code,), rows in table.group_by("currency")
    }
    rows = [
        (
            row["leg"],
            *(fmt.number(row[name], places[row["currency"]], signed=True) for name in columns),
            row["currency"],
        )
        for row in table.iter_rows(named=True)
    ]
    return TableView(
        title="profit by leg",
        note="settlement currency of each leg",
        headings=("leg", *columns, "currency"),
        rows=tuple(rows),
        text=(0, len(columns) + 1),
    )


def explain_to_dict(desk: Desk, seen: DeskExplanation) -> dict[str, object]:
    """Describe an explained profit as JSON."""
    found = seen.explanation
    statuses = zip(found.legs, found.status, strict=True)
    return {
        "book": desk.book.name,
        "underlying": desk.underlying,
        "start": format_ns(seen.start_ns),
        "end": format_ns(seen.end_ns),
        "start_ns": seen.start_ns,
        "end_ns": seen.end_ns,
        "index": list(seen.indices),
        "totals": found.totals().to_dicts(),
        "by_term": found.by("term").to_dicts(),
        "by_factor": found.by("factor").to_dicts(),
        "by_leg": found.by("leg").to_dicts(),
        "by_expiry": found.by("expiry", detail="factor").to_dicts(),
        "by_step": found.by("step").to_dicts(),
        "status": {name: status.value for name, status in statuses},
        "notes": list(seen.notes),
        "warnings": list(desk.warnings),
    }
