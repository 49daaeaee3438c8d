"""`ivhedge fit`: one snapshot's certified surface."""

from pathlib import Path
from typing import Annotated

import typer

from ivhedge.app.cli.drawing import check_drawings
from ivhedge.app.cli.output import console, emit_json, report_error, say
from ivhedge.app.cli.sources import AsJson, At, Chains, Underlying, load_snapshot
from ivhedge.core.errors import ArbitrageError, ConfigError
from ivhedge.core.units import format_ns

__all__ = ["fit"]


def fit(
    chains: Chains,
    underlying: Underlying = None,
    at: At = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write smiles, residuals and certificate here.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", help="Draw all of it here; needs matplotlib: ivhedge[plot].")
    ] = None,
    draw: Annotated[
        bool | None,
        typer.Option("--draw/--no-draw", help="Draw in the terminal; default: where there is one."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="flexible: inside bid and ask; essvi: the backbone alone.")
    ] = "flexible",
    as_json: AsJson = False,
) -> None:
    """Fit an arbitrage-free surface to one snapshot and show how good it is."""
    from ivhedge.app.views import fit_to_dict, fit_view
    from ivhedge.report import FitDrawing, fit_tables, write_fit_png, write_fit_report
    from ivhedge.surface import FitSettings, SurfaceModel, fit_surface

    names = [known.value for known in SurfaceModel]
    if model not in names:
        raise ConfigError(f"expected --model to be one of {', '.join(names)}, found {model!r}")
    check_drawings(html, png)
    snapshot = load_snapshot(chains, underlying, at)
    settings = FitSettings(model=SurfaceModel(model))
    fitted = fit_surface(snapshot.chain, futures=snapshot.futures, settings=settings)
    view = fit_view(snapshot, fitted)
    screen = console(as_json=as_json)
    if as_json:
        emit_json(fit_to_dict(snapshot, fitted))
    else:
        say(screen, f"{snapshot.underlying} at {format_ns(snapshot.ts_ns)} UTC")
        for table in fit_tables(view):
            screen.print(table)
    if draw or (draw is None and not as_json and screen.is_terminal):
        screen.print(FitDrawing(view=view))
    if html is not None:
        write_fit_report(view, html)
        say(screen, f"wrote {html}")
    if png is not None:
        write_fit_png(view, png)
        say(screen, f"wrote {png}")
    try:
        fitted.certificate.require()
    except ArbitrageError as exc:
        # Standard output already holds its one JSON value, which says that the certificate is not valid.
        report_error(exc, as_json=False)
        raise typer.Exit(exc.exit_code) from exc
