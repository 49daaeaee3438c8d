"""Exposures over time, the spot x vol matrix, and where the run's time went."""

import math

import polars as pl

from ivhedge.core.units import VOL_POINT
from ivhedge.engine import series
from ivhedge.engine.result import BacktestResult
from ivhedge.report import format as fmt
from ivhedge.report.charts.heat import heat_option
from ivhedge.report.charts.style import (
    Chart,
    bar,
    base,
    color,
    fn,
    policy_line,
    time_axis,
    time_points,
    value_axis,
    zero_line,
)

__all__ = ["exposure_chart", "spot_vol_heatmap", "stage_times"]

_EXPOSURES = {
    "delta_coin": ("Delta (coin)", "{coin}, premium-adjusted", "{coin}", "plain", "coin"),
    "delta_usd": ("Delta (USD)", "{coin}, dV_usd/dS", "{coin}", "plain", "coin"),
    "gamma_1pct_usd": ("Gamma", "{coin} of delta per +1 % spot", "{coin} per 1 %", "plain", "coin"),
    "vega_usd_per_vol_point": ("Vega", "USD per vol point", "USD / vol pt", "usd", "usd0"),
    "theta_usd_per_day": ("Theta", "USD per calendar day", "USD / day", "usd", "usd0"),
}


def exposure_chart(result: BacktestResult, underlying: str, column: str) -> Chart | None:
    """One exposure of one underlying over time under every policy.

    Parameters
    ----------
    result : BacktestResult
    underlying : str
    column : str
        A column of `ivhedge.engine.result.EQUITY_SCHEMA` that is an exposure.
    """
    title, note, unit, labels, tooltip = _EXPOSURES[column]
    lines = [
        policy_line(policy.name, time_points(path["ts"], path["value"]), place)
        for place, policy in enumerate(result.policies)
        if (path := series.exposure_series(policy, underlying, column)).height > 1
    ]
    if not lines:
        return None
    lines[0]["markLine"] = zero_line()
    axis = value_axis(
        unit.format(coin=underlying), labels, nameTextStyle={"color": color("muted"), "align": "left"}
    )
    option = base(legend=True, tooltip=tooltip, xAxis=time_axis(), yAxis=axis, series=lines)
    return Chart(title=f"{title} · {underlying}", note=note.format(coin=underlying), option=option)


def spot_vol_heatmap(table: pl.DataFrame, title: str, *, unit: str = "usd") -> Chart | None:
    """P&L of one book over shocks of spot and vol.

    Parameters
    ----------
    table : pl.DataFrame
        Rows of `SPOT_VOL_SCHEMA` of one policy and one underlying.
    title : str
    unit : str
        ``"usd"`` or ``"coin"``: which P&L to show.
    """
    column = f"pnl_{unit}"
    rows = table.drop_nulls(column)
    if rows.is_empty():
        return None
    spots = rows["spot_shock"].unique().sort().to_list()
    vols = rows["vol_shock"].unique().sort().to_list()
    cells = [
        [spots.index(row["spot_shock"]), vols.index(row["vol_shock"]), row[column]]
        for row in rows.iter_rows(named=True)
    ]
    reach = max((abs(cell[2]) for cell in cells), default=0.0) or 1.0
    # Colour by the signed root, so that small gains are told from small losses beside a large tail.
    cells = [[*cell, math.copysign(math.sqrt(abs(cell[2]) / reach), cell[2])] for cell in cells]
    option = heat_option(
        cells,
        columns=[fmt.percent(shock, 0, signed=True) for shock in spots],
        rows=[fmt.number(shock / VOL_POINT, 0, signed=True) for shock in vols],
        across="spot shock",
        down="vol shock, points",
        name="P&L",
        labels=unit,
    )
    note = "P&L in USD, full revaluation" if unit == "usd" else "P&L in coin, full revaluation"
    return Chart(title=title, note=note, option=option, height=90 + 26 * len(vols))


def stage_times(stages: pl.DataFrame) -> Chart | None:
    """Seconds per stage of the run."""
    rows = stages.sort("seconds")
    if rows.is_empty():
        return None
    names = [
        f"{name}  {fmt.percent(share, 0)}"
        for name, share in zip(rows["stage"].to_list(), rows["share"].to_list(), strict=True)
    ]
    option = base(legend=False, tooltip="seconds")
    option |= {
        "grid": {"left": 8, "right": 48, "top": 6, "bottom": 22},
        "xAxis": value_axis("", "plain", scale=False),
        "yAxis": {
            "type": "category",
            "data": names,
            "axisLabel": {"color": color("text"), "fontSize": 11},
            "axisTick": {"show": False},
        },
        "series": [
            bar(
                "seconds",
                rows["seconds"].to_list(),
                color("series1"),
                barMaxWidth=14,
                label={
                    "show": True,
                    "position": "right",
                    "color": color("muted"),
                    "formatter": fn("secondsLabel"),
                },
            )
        ],
    }
    return Chart(
        title="Where the time went", note="seconds per stage", option=option, height=60 + 26 * len(names)
    )
