"""Charts of a sweep: equity of the variants, scores over a parameter grid, in against out of sample."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray
from ivhedge.engine.sweep import Cell, CellResult, Comparison, SweepSpec, Variant
from ivhedge.report.bookview import HeatMap
from ivhedge.report.charts.heat import heat_chart
from ivhedge.report.charts.style import (
    Chart,
    base,
    line,
    palette,
    policy_line,
    time_axis,
    time_points,
    value_axis,
    zero_line,
)

__all__ = ["equity_chart", "grid_charts", "sample_chart"]

_MOST_LINES = 8


def equity_chart(cell: Cell, shown: Sequence[str], title: str) -> Chart | None:
    """Cumulative P&L of some variants over the periods of a cell, one after the other."""
    if cell.ts_ns.size < 2:
        return None
    names = list(dict.fromkeys(shown))[:_MOST_LINES]
    order, borders = _in_time(cell)
    times = pl.Series(cell.ts_ns[order]).cast(pl.Datetime("ns", "UTC")) if order is not None else None
    paths = np.cumsum(cell.pnl, axis=1)
    lines = []
    for place, name in enumerate(names):
        path = paths[cell.variants.index(name)]
        data = (
            [[step, float(value)] for step, value in enumerate(path)]
            if times is None
            else time_points(times, path.tolist())
        )
        lines.append(policy_line(name, data, place))
    lines[0]["markLine"] = zero_line()
    option = base(legend=True, tooltip="usd0")
    axis = time_axis() if times is not None else value_axis("step", "plain")
    option |= {"xAxis": axis, "yAxis": value_axis("USD", "usd"), "series": lines}
    return Chart(title=title, note=f"USD, cumulative, {borders} periods", option=option, height=320)


def _in_time(cell: Cell) -> tuple[slice | None, int]:
    """Whether the periods follow each other in time; simulated paths all start at the same moment."""
    ascending = bool(np.all(np.diff(cell.ts_ns) > 0))
    return (slice(None) if ascending else None), len(cell.periods)


def grid_charts(spec: SweepSpec, cell: Cell, found: Comparison | None, sample: str) -> list[Chart]:
    """Score less the baseline's over the parameter grid of each policy; green is better than the baseline.

    The first parameter runs across, the second down; of further ones the best setting is shown.
    """
    if found is None:
        return []
    gain = dict(zip(cell.variants, found.differences["score"].value.tolist(), strict=True))
    charts = []
    for policy in dict.fromkeys(variant.policy for variant in spec.variants):
        mine = [v for v in spec.variants if v.policy == policy and v.parameters and v.name in gain]
        if len(mine) > 1:
            charts.append(_grid(spec, f"{policy} · {cell.label}, {sample}", mine, gain))
    return charts


def _grid(spec: SweepSpec, title: str, variants: Sequence[Variant], gain: dict[str, float]) -> Chart:
    names = [name for name, _ in variants[0].parameters]
    across = list(dict.fromkeys(v.parameters[0][1] for v in variants))
    down: list[object] = list(dict.fromkeys(v.parameters[1][1] for v in variants)) if len(names) > 1 else [""]
    values: FloatArray = np.full((len(down), len(across)), np.nan)
    for variant in variants:
        row = down.index(variant.parameters[1][1]) if len(names) > 1 else 0
        place = (row, across.index(variant.parameters[0][1]))
        values[place] = np.fmax(values[place], gain[variant.name])
    more = f"; best over {', '.join(names[2:])}" if len(names) > 2 else ""
    return heat_chart(
        HeatMap(
            title=title,
            across=names[0],
            down=names[1] if len(names) > 1 else spec.criterion,
            columns=tuple(str(value) for value in across),
            rows=tuple(str(value) for value in down),
            values=values,
            unit="coin" if spec.criterion == "sharpe" else "usd",
            note=f"{spec.criterion} less that of the baseline{more}",
        )
    )


def sample_chart(spec: SweepSpec, item: CellResult) -> Chart | None:
    """Score of every variant in sample against out of sample, one point per fold; the diagonal is no loss."""
    found = item.walk_forward
    if found is None:
        return None
    points = [
        (float(inside), float(outside))
        for fold in found.folds
        for inside, outside in zip(fold.all_in, fold.all_out, strict=True)
        if np.isfinite(inside) and np.isfinite(outside)
    ]
    chosen = [(fold.score_in, fold.score_out) for fold in found.folds]
    low = min(min(pair) for pair in points)
    high = max(max(pair) for pair in points)
    option = base(legend=True, tooltip="usd0", trigger="item")
    option |= {
        "xAxis": value_axis("in sample", "plain", nameLocation="middle", nameGap=22),
        "yAxis": value_axis("out of sample", "plain"),
        "grid": {"left": 8, "right": 24, "top": 52, "bottom": 34, "containLabel": True},
        "series": [
            _dots("variants", points, 0),
            _dots("chosen", chosen, 3),
            line("no loss", [[low, low], [high, high]], palette(6), tooltip={"show": False}),
        ],
    }
    return Chart(
        title=f"In and out of sample · {item.cell.label}",
        note=f"{spec.criterion}, a point per variant and fold",
        option=option,
        height=300,
    )


def _dots(name: str, points: Sequence[tuple[float, float]], place: int) -> dict[str, object]:
    return {
        "type": "scatter",
        "name": name,
        "data": [list(pair) for pair in points],
        "symbolSize": 7,
        "itemStyle": {"color": palette(place)},
    }
