"""Heat maps and bars of amounts, as ECharts options."""

from collections.abc import Sequence

import numpy as np

from ivhedge.report.bookview import Bars, HeatMap
from ivhedge.report.charts.style import Chart, Option, base, color, fn, value_axis, zero_line

__all__ = ["bar_chart", "heat_chart", "heat_option"]

_ROW = 26


def heat_chart(view: HeatMap) -> Chart:
    """Numbers over two axes; unknown ones stay empty."""
    shade = view.shade
    cells: list[list[object]] = [
        [j, len(view.rows) - 1 - i, float(view.values[i, j]), float(shade[i, j])]
        for i in range(len(view.rows))
        for j in range(len(view.columns))
        if np.isfinite(view.values[i, j])
    ]
    option = heat_option(
        cells,
        columns=view.columns,
        rows=tuple(reversed(view.rows)),
        across=view.across,
        down=view.down,
        name=view.title,
        labels=view.unit,
    )
    return Chart(title=view.title, note=view.note, option=option, height=90 + _ROW * len(view.rows))


def heat_option(
    cells: Sequence[Sequence[object]],
    *,
    columns: Sequence[str],
    rows: Sequence[str],
    across: str,
    down: str,
    name: str,
    labels: str,
) -> Option:
    """Options of a heat map of ``[column, row from below, value, shade in [-1, 1]]``."""
    option = base(legend=False, tooltip="usd0" if labels == "usd" else "coin", trigger="item")
    gap = 22 + 6 * max((len(row) for row in rows), default=0)
    option |= {
        "grid": {"left": 16, "right": 12, "top": 12, "bottom": 28},
        "xAxis": _axis(columns, across),
        "yAxis": _axis(rows, down, gap=gap),
        "visualMap": {
            "show": False,
            "dimension": 3,
            "min": -1,
            "max": 1,
            "inRange": {"color": [color("loss"), color("panel2"), color("gain")]},
        },
        "series": [
            {
                "type": "heatmap",
                "name": name,
                "data": list(cells),
                "encode": {"value": 2},
                "tooltip": {"formatter": fn(f"heatTip_{labels}")},
                "label": {
                    "show": True,
                    "color": color("text"),
                    "fontSize": 10,
                    "formatter": fn(f"heat_{labels}"),
                },
                "itemStyle": {"borderColor": color("panel"), "borderWidth": 1},
            }
        ],
    }
    return option


def bar_chart(view: Bars) -> Chart:
    """Signed amounts, gains and losses in their colours."""
    data = [
        {"value": value, "itemStyle": {"color": color("gain" if value >= 0 else "loss")}}
        for value in reversed(view.values)
    ]
    option = base(legend=False, tooltip="usd0" if view.unit == "usd" else "coin")
    option |= {
        "grid": {"left": 8, "right": 24, "top": 6, "bottom": 22, "containLabel": True},
        "xAxis": value_axis("", "usd" if view.unit == "usd" else "plain", scale=False),
        "yAxis": {
            "type": "category",
            "data": list(reversed(view.names)),
            "axisLabel": {"color": color("text"), "fontSize": 11},
            "axisTick": {"show": False},
        },
        "series": [
            {
                "type": "bar",
                "name": view.title,
                "data": data,
                "barMaxWidth": 14,
                "markLine": zero_line() | {"data": [{"xAxis": 0}]},
            }
        ],
    }
    return Chart(title=view.title, note=view.note, option=option, height=60 + _ROW * len(view.names))


def _axis(labels: Sequence[str], name: str, *, gap: int = 24) -> Option:
    return {
        "type": "category",
        "data": list(labels),
        "name": name,
        "nameLocation": "middle",
        "nameGap": gap,
        "nameTextStyle": {"color": color("muted"), "fontSize": 11},
        "axisLabel": {"color": color("muted"), "fontSize": 11, "interval": 0},
        "axisTick": {"show": False},
        "axisLine": {"show": False},
    }
