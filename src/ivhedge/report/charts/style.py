"""One look for all charts.

An option tree is JSON. Two kinds of placeholder are filled in by the page's script: ``{"$color": name}``
by a colour of the theme in force, ``{"$fn": name}`` by one of its named formatters or drawers. They are
objects, so no text from data can ever be taken for one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

__all__ = [
    "Chart",
    "Option",
    "bar",
    "base",
    "color",
    "fn",
    "line",
    "milliseconds",
    "palette",
    "policy_line",
    "time_axis",
    "time_points",
    "value_axis",
    "zero_line",
]

Option: TypeAlias = dict[str, object]

_PALETTE_SIZE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with its heading, a note on units, and its height in pixels."""

    title: str
    note: str
    option: Option
    height: int = 280


def color(name: str) -> Option:
    """Refer to a colour of the page's theme."""
    return {"$color": name}


def fn(name: str) -> Option:
    """Refer to a named formatter or drawer of the page's script."""
    return {"$fn": name}


def palette(place: int) -> Option:
    """Colour of the n-th policy, tenor or expiry."""
    return color(f"series{place % _PALETTE_SIZE}")


def value_axis(name: str, formatter: str, **more: object) -> Option:
    """Build a numeric axis with its unit and its formatter."""
    return {
        "type": "value",
        "name": name,
        "scale": True,
        "nameTextStyle": {"color": color("muted"), "fontSize": 11},
        "axisLabel": {"color": color("muted"), "formatter": fn(formatter), "fontSize": 11},
        "splitLine": {"lineStyle": {"color": color("grid")}},
        "axisLine": {"lineStyle": {"color": color("axis")}},
        **more,
    }


def time_axis(**more: object) -> Option:
    """Build a UTC time axis."""
    return {
        "type": "time",
        "axisLabel": {"color": color("muted"), "hideOverlap": True, "fontSize": 11, "formatter": fn("day")},
        "axisLine": {"lineStyle": {"color": color("axis")}, "onZero": False},
        "splitLine": {"show": False},
        **more,
    }


def base(*, legend: bool, tooltip: str, trigger: str = "axis", **more: object) -> Option:
    """Build what every chart has: no animation, UTC, theme colours, a legend on top."""
    return {
        "animation": False,
        "useUTC": True,
        "textStyle": {"fontFamily": "inherit", "color": color("text")},
        "legend": {
            "show": legend,
            "type": "scroll",
            "top": 0,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 11,
            "itemHeight": 7,
            "itemGap": 8,
            "textStyle": {"color": color("text"), "fontSize": 11},
            "pageTextStyle": {"color": color("muted")},
        },
        "grid": {"left": 8, "right": 16, "top": 52 if legend else 30, "bottom": 24},
        "tooltip": {
            "trigger": trigger,
            "confine": True,
            "backgroundColor": color("panel2"),
            "borderColor": color("axis"),
            "textStyle": {"color": color("text"), "fontSize": 12},
            "valueFormatter": fn(tooltip),
        },
        **more,
    }


def line(name: str, data: Sequence[object], ink: Option, **more: object) -> Option:
    """Build a line series without dots."""
    return {
        "type": "line",
        "name": name,
        "data": data,
        "showSymbol": False,
        "lineStyle": {"width": 1.6, "color": ink},
        "itemStyle": {"color": ink},
        **more,
    }


def bar(name: str, data: Sequence[object], ink: Option, **more: object) -> Option:
    """Build a bar series."""
    return {"type": "bar", "name": name, "data": data, "itemStyle": {"color": ink}, **more}


def policy_line(name: str, data: Sequence[object], place: int) -> Option:
    """Build the line of the n-th policy; the first is broad and pale, to be seen beneath the others."""
    ink = palette(place)
    stroke: Option = {
        "width": 3.0 if place == 0 else 1.6,
        "color": ink,
        "opacity": 0.55 if place == 0 else 1.0,
    }
    return line(name, data, ink, lineStyle=stroke)


def zero_line() -> Option:
    """Draw a thin line at zero of the value axis."""
    return {
        "silent": True,
        "symbol": "none",
        "label": {"show": False},
        "lineStyle": {"color": color("axis"), "type": "solid", "width": 1},
        "data": [{"yAxis": 0}],
    }


def milliseconds(times: pl.Series) -> list[int]:
    """Milliseconds since the epoch, as ECharts wants times."""
    return [int(value) for value in times.dt.epoch("ms").to_list()]


def time_points(times: pl.Series, values: Iterable[float | None]) -> list[object]:
    """Pair times with values."""
    return [[at, value] for at, value in zip(milliseconds(times), values, strict=True)]
