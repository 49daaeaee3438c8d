"""P&L, its drawdown, its explanation by Greek, and its costs."""

import polars as pl

from ivhedge.engine import series
from ivhedge.engine.figures import policy_figures
from ivhedge.engine.result import ATTRIBUTION_TERMS, BacktestResult, PolicyResult
from ivhedge.report import format as fmt
from ivhedge.report.charts.style import (
    Chart,
    Option,
    bar,
    base,
    color,
    line,
    milliseconds,
    policy_line,
    time_axis,
    time_points,
    value_axis,
    zero_line,
)

__all__ = [
    "attribution_over_time",
    "attribution_totals",
    "cost_breakdown",
    "drawdown_chart",
    "pnl_coin_chart",
    "pnl_usd_chart",
]

_MAX_BUCKETS = 70
_BUCKET_MINUTES = (1, 5, 15, 30, 60, 120, 360, 720, 1440, 2880, 10_080, 43_200)


def pnl_usd_chart(result: BacktestResult) -> Chart | None:
    """Cumulative P&L in USD of each policy."""
    lines = [
        policy_line(policy.name, time_points(path["ts"], path["pnl_usd"]), place)
        for place, policy in enumerate(result.policies)
        if (path := series.pnl_usd(policy, result.numeraire)).height > 1
    ]
    note = "USD, cumulative; steps at the index of their end" if result.numeraire == "coin" else "USD"
    return _over_time("P&L in USD", note, "USD", "usd", "usd0", lines)


def pnl_coin_chart(result: BacktestResult, currency: str) -> Chart | None:
    """Cumulative P&L of each policy in one settlement currency."""
    lines = [
        policy_line(policy.name, time_points(path["ts"], path["pnl"]), place)
        for place, policy in enumerate(result.policies)
        if (path := series.pnl_by_currency(policy).filter(pl.col("currency") == currency)).height > 1
    ]
    return _over_time(f"P&L in {currency}", f"{currency}, cumulative", currency, "plain", "coin", lines)


def drawdown_chart(result: BacktestResult) -> Chart | None:
    """Fall of each policy's P&L below its highest point so far."""
    lines = [
        policy_line(policy.name, time_points(path["ts"], series.drawdown(path)["drawdown"]), place)
        for place, policy in enumerate(result.policies)
        if (path := series.pnl_usd(policy, result.numeraire)).height > 1
    ]
    return _over_time("Drawdown", "USD below the highest P&L so far", "USD", "usd", "usd0", lines)


def attribution_totals(result: BacktestResult) -> Chart | None:
    """Whole-run P&L of every policy, split by term."""
    tables = {policy.name: series.attribution_usd(policy) for policy in result.policies}
    names = [name for name, table in tables.items() if table.height]
    if not names:
        return None
    option = _stacked(
        [
            bar(term, [float(tables[name][term].sum()) for name in names], color(term), stack="all")
            for term in ATTRIBUTION_TERMS
        ]
    )
    option["yAxis"] = {**_category(names), "inverse": True}
    option["xAxis"] = value_axis("", "usd")
    totals = [[float(tables[name]["total"].sum()), name] for name in names]
    series_list = option["series"]
    if isinstance(series_list, list):
        series_list.append(_total_marks(totals))
    note = "USD over the whole run; ◆ = total"
    return Chart(title="P&L explain by Greek", note=note, option=option, height=110 + 46 * len(names))


def attribution_over_time(result: BacktestResult, policy: PolicyResult) -> Chart | None:
    """Stacked terms per bucket of time, and the cumulative total, of one policy."""
    steps = series.attribution_usd(policy)
    if steps.is_empty():
        return None
    buckets, width = _bucketed(steps)
    times = milliseconds(buckets["ts"])
    bars = [
        bar(
            term,
            [[at, value] for at, value in zip(times, buckets[term].to_list(), strict=True)],
            color(term),
            stack="all",
            barMaxWidth=16,
        )
        for term in ATTRIBUTION_TERMS
    ]
    total = line(
        "cumulative",
        [[at, value] for at, value in zip(times, buckets["total"].cum_sum().to_list(), strict=True)],
        color("text"),
        yAxisIndex=1,
    )
    option = _stacked([*bars, total])
    option["xAxis"] = time_axis()
    option["yAxis"] = [
        value_axis(f"USD per {width}", "usd", nameTextStyle={"color": color("muted"), "align": "left"}),
        value_axis(
            "cumulative USD",
            "usd",
            splitLine={"show": False},
            nameTextStyle={"color": color("muted"), "align": "right"},
        ),
    ]
    note = f"USD per {width}, stacked; line = cumulative total, right axis"
    return Chart(title=f"P&L explain: {policy.name}", note=note, option=option, height=310)


def cost_breakdown(result: BacktestResult) -> Chart | None:
    """Fees, slippage and funding of each policy in USD."""
    figures = [policy_figures(policy, result.numeraire) for policy in result.policies]
    names = [item.name for item in figures]
    paid = {
        "fees": [item.fees_usd for item in figures],
        "slippage": [item.slippage_usd for item in figures],
        "funding": [None if item.funding_usd is None else -item.funding_usd for item in figures],
    }
    if not any(value for values in paid.values() for value in values):
        return None
    option = _stacked([bar(term, values, color(term), stack="all") for term, values in paid.items()])
    option["yAxis"] = {**_category(names), "inverse": True}
    option["xAxis"] = value_axis("", "usd", scale=False)
    note = "USD paid; negative = received"
    return Chart(title="Cost of hedging", note=note, option=option, height=110 + 46 * len(names))


def _over_time(
    title: str, note: str, unit: str, labels: str, tooltip: str, lines: list[Option]
) -> Chart | None:
    if not lines:
        return None
    lines[0]["markLine"] = zero_line()
    option = base(
        legend=True,
        tooltip=tooltip,
        xAxis=time_axis(),
        yAxis=value_axis(unit, labels, nameTextStyle={"color": color("muted"), "align": "left"}),
        series=lines,
    )
    return Chart(title=title, note=note, option=option)


def _stacked(bars: list[Option]) -> Option:
    return base(legend=True, tooltip="usd0", series=bars)


def _category(names: list[str]) -> Option:
    return {
        "type": "category",
        "data": names,
        "axisLabel": {"color": color("text"), "fontSize": 12},
        "axisLine": {"lineStyle": {"color": color("axis")}, "onZero": False},
        "axisTick": {"show": False},
    }


def _total_marks(points: list[list[object]]) -> Option:
    return {
        "type": "scatter",
        "name": "total",
        "data": points,
        "symbol": "diamond",
        "symbolSize": 11,
        "itemStyle": {"color": color("text"), "borderColor": color("panel"), "borderWidth": 1},
        "z": 5,
    }


def _bucketed(steps: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Sum steps into at most `_MAX_BUCKETS` buckets; also the bucket's name."""
    if steps.height <= _MAX_BUCKETS:
        return steps, "step"
    span = (steps["ts"].max() - steps["ts"].min()).total_seconds()  # type: ignore[operator, union-attr]
    minutes = next((m for m in _BUCKET_MINUTES if span / 60 / m <= _MAX_BUCKETS), _BUCKET_MINUTES[-1])
    names = steps.columns[1:]
    buckets = steps.sort("ts").group_by_dynamic("ts", every=f"{minutes}m").agg(pl.col(names).sum())
    return buckets, fmt.duration(minutes * 60.0) if minutes != 1440 else "day"
