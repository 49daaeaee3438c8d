"""`ivhedge forecast`: expected volatility by tenor, and the view against a surface."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivhedge.app.cli.drawing import HtmlPath, PngPath, check_drawings, show
from ivhedge.app.cli.output import console, say
from ivhedge.app.cli.sources import AsJson, At, Underlying, load_snapshot
from ivhedge.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ivhedge.forecast import Bars

__all__ = ["forecast"]


def forecast(
    bars: Annotated[Path, typer.Argument(help="Bars of one coin, parquet: timestamp (open), prices.")],
    chains: Annotated[
        Path | None, typer.Option("--chains", "-c", help="Recorded chains to hold the forecast against.")
    ] = None,
    underlying: Underlying = None,
    at: At = None,
    moneyness: Annotated[
        bool, typer.Option("--moneyness", help="With chains: rich and cheap by delta too, some seconds more.")
    ] = False,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Judge the forecasters on the bars instead, walk-forward.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", help="First day judged, ISO date; the second half of the forecasts without."),
    ] = None,
    html: HtmlPath = None,
    png: PngPath = None,
    as_json: AsJson = False,
) -> None:
    """Forecast volatility by tenor; with chains: the variance risk premium and the vega worth holding.

    With --evaluate every forecaster says day by day what it would have said, and is judged.
    """
    from ivhedge.app.bookviews import forecast_to_dict, forecast_view
    from ivhedge.engine.outlook import read_bars, vol_outlook

    check_drawings(html, png)
    if evaluate and (chains is not None or at is not None):
        raise ConfigError("--evaluate judges the bars alone; leave out --chains and --at")
    if moneyness and chains is None:
        raise ConfigError("--moneyness holds a smile against the forecast; add --chains")
    if since is not None and not evaluate:
        raise ConfigError("--since is the first day judged; add --evaluate")
    known = read_bars(bars)
    if evaluate:
        _evaluate(known, bars.name, since, html=html, png=png, as_json=as_json)
        return
    snapshot = None if chains is None else load_snapshot(chains, underlying, at)
    seen = vol_outlook(known, source=bars.name, snapshot=snapshot, moneyness=moneyness)
    show(forecast_view(seen), forecast_to_dict(seen), as_json=as_json, html=html, png=png)


_SEED = 20260601
_HORIZONS = (1, 7, 30)
_FIRST_FIT = 250
"""Days known at the first fit."""


def _evaluate(
    bars: "Bars", source: str, since: str | None, *, html: Path | None, png: Path | None, as_json: bool
) -> None:
    import numpy as np

    from ivhedge.app.bookviews import evaluation_to_dict, evaluation_view
    from ivhedge.core.units import NS_PER_DAY, format_ns, parse_time
    from ivhedge.forecast import (
        best_forecaster,
        compare_forecasts,
        daily_measures,
        days_to_judge,
        standard_forecasters,
        walk_forward,
    )

    models, history = standard_forecasters(), daily_measures(bars)
    last = int(history.day_ns[-1])
    middle = int(history.day_ns[min((_FIRST_FIT + len(history)) // 2, len(history) - 1)])
    first = middle if since is None else parse_time(since)
    longest = max(_HORIZONS)
    judged = (last - max(first, int(history.day_ns[0]) + _FIRST_FIT * NS_PER_DAY)) // NS_PER_DAY - longest
    if judged < days_to_judge(longest):
        raise DataError(
            f"{source}: expected {_FIRST_FIT} days to begin with and {days_to_judge(longest) + longest} to "
            f"judge from {format_ns(first)[:10]} on, found bars from "
            f"{format_ns(int(history.day_ns[0]))[:10]} to {format_ns(last)[:10]}; give more bars or an "
            "earlier day"
        )
    say(
        console(as_json=as_json),
        f"{len(models)} forecasters on {bars.day_ns.size} days; this takes some minutes",
    )
    run = walk_forward(history, models, _HORIZONS, start=_FIRST_FIT)
    found = compare_forecasts(run, np.random.default_rng(_SEED), since_ns=first)
    view = evaluation_view(found, source=source, judged=best_forecaster().name)
    show(view, evaluation_to_dict(found, source=source), as_json=as_json, html=html, png=png)
