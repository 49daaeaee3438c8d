"""`ivhedge venues`: one surface of several venues, and how each of them is doing."""

from typing import Annotated

import typer

from ivhedge.app.cli.output import console, emit_json, say
from ivhedge.app.cli.sources import AsJson, At, Chains, Underlying, load_snapshot, load_snapshots
from ivhedge.core.errors import ArbitrageError
from ivhedge.core.units import format_ns

__all__ = ["venues"]


def venues(
    chains: Chains,
    underlying: Underlying = None,
    at: At = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Learn from this time on (ISO 8601); quotes a minute apart or less also tell who stops.",
        ),
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option("--anchor", help="Venue whose biases are zero; default: relative to the consensus."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fuse the venues' quotes into one surface and show each venue's bias, noise, copies and health."""
    from ivhedge.app.venueview import venue_tables, venue_to_dict, venue_view

    if since is None:
        shots = [load_snapshot(chains, underlying, at)]
    else:
        shots = load_snapshots(chains, underlying, since, at)
    view = venue_view(shots, anchor=anchor)
    fused, screen = view.fused, console(as_json=as_json)
    if as_json:
        emit_json(venue_to_dict(view))
    else:
        looks = "one snapshot" if view.n_snapshots == 1 else f"{view.n_snapshots} snapshots"
        say(screen, f"{fused.quotes.underlying} at {format_ns(fused.quotes.ts_ns)} UTC, from {looks}")
        free = "free of arbitrage" if fused.fit.certificate.valid else "NOT free of arbitrage"
        to = f"relative to {anchor}" if anchor else "relative to the consensus"
        say(screen, f"fused surface {free}; {len(fused.quotes)} quotes used; biases {to}")
        for table in venue_tables(view):
            screen.print(table)
    try:
        fused.fit.published()
    except ArbitrageError as exc:
        if not as_json:
            raise
        # Standard output already holds its one JSON value, which says so.
        raise typer.Exit(exc.exit_code) from exc
