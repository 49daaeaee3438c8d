"""`ivhedge forecast`: expected volatility by tenor, and the view against a surface."""

from pathlib import Path
from typing import Annotated

import typer

from ivhedge.app.cli.drawing import HtmlPath, PngPath, check_drawings, show
from ivhedge.app.cli.sources import AsJson, At, Underlying, load_snapshot

__all__ = ["forecast"]


def forecast(
    bars: Annotated[Path, typer.Argument(help="Bars of one coin, parquet: timestamp (open), prices.")],
    chains: Annotated[
        Path | None, typer.Option("--chains", "-c", help="Recorded chains to hold the forecast against.")
    ] = None,
    underlying: Underlying = None,
    at: At = None,
    html: HtmlPath = None,
    png: PngPath = None,
    as_json: AsJson = False,
) -> None:
    """Forecast volatility by tenor; with chains: the variance risk premium and the vega worth holding."""
    from ivhedge.app.bookviews import forecast_to_dict, forecast_view
    from ivhedge.engine.outlook import read_bars, vol_outlook

    check_drawings(html, png)
    known = read_bars(bars)
    snapshot = None if chains is None else load_snapshot(chains, underlying, at)
    seen = vol_outlook(known, source=bars.name, snapshot=snapshot)
    show(forecast_view(seen), forecast_to_dict(seen), as_json=as_json, html=html, png=png)
