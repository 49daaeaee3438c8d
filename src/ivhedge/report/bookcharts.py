"""Heat maps and bars of a book as ECharts options, with the numbers written as everywhere else.

The page's own formatters choose decimals number by number; here one map or one set of bars has one number of
decimals, and what shows as zero is zero.
"""

from dataclasses import replace
from typing import cast

from ivhedge.report import format as fmt
from ivhedge.report.booknumbers import decimals
from ivhedge.report.bookview import Bars, HeatMap
from ivhedge.report.charts.heat import bar_chart, heat_chart
from ivhedge.report.charts.style import Chart, Option, color

__all__ = ["book_bars", "book_heat"]

_ROOM = "16%"
_CUT: Option = {"width": 420, "overflow": "truncate"}


def book_heat(item: HeatMap) -> Chart:
    """Numbers over two axes, each cell with its amount."""
    chart = heat_chart(item)
    (series,) = cast(list[Option], chart.option["series"])
    places, unit = decimals(item.values.ravel(), item.unit), " USD" if item.unit == "usd" else ""
    data = []
    for column, row, value, shade in cast(list[tuple[int, int, float, float]], series["data"]):
        text = fmt.number(value, places, signed=True)
        data.append(
            {
                "value": [column, row, _shown(value, text), shade],
                "label": {"formatter": text},
                "tooltip": {"formatter": f"{{a}}<br>{text}{unit}"},
            }
        )
    return replace(chart, option=chart.option | {"series": [series | {"data": data}]})


def book_bars(item: Bars) -> Chart:
    """Signed amounts, each with its number at the end of its bar."""
    chart = bar_chart(item)
    (series,) = cast(list[Option], chart.option["series"])
    places = decimals(item.values, item.unit)
    texts = [fmt.number(value, places, signed=True) for value in item.values]
    data = [
        datum
        | {
            "value": _shown(value, text),
            "label": {"formatter": text, "position": "left" if text[0] == "−" else "right"},
            "tooltip": {"formatter": f"{{b}}: {text}"},
        }
        for datum, value, text in zip(
            cast(list[Option], series["data"]), reversed(item.values), reversed(texts), strict=True
        )
    ]
    label = {"show": True, "color": color("text"), "fontSize": 10}
    names = cast(Option, chart.option["yAxis"])
    amounts = cast(Option, chart.option["xAxis"])
    axis = cast(Option, amounts.get("axisLabel", {})) | {"hideOverlap": True}
    return replace(
        chart,
        option=chart.option
        | {
            "tooltip": cast(Option, chart.option["tooltip"]) | {"trigger": "item"},
            # Room for the numbers at the ends of the longest bars.
            "xAxis": amounts
            | {"boundaryGap": [_ROOM if "−" in "".join(texts) else 0, _ROOM], "axisLabel": axis},
            "yAxis": names | {"axisLabel": cast(Option, names["axisLabel"]) | _CUT},
            "series": [series | {"data": data, "label": label}],
        },
    )


def _shown(value: float, text: str) -> float:
    return value if text[0] in "+−" else 0.0
