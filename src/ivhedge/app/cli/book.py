"""`ivhedge risk` and `ivhedge plan`: a book on one snapshot's surface."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ivhedge.app.cli.output import console, emit_json, say
from ivhedge.app.cli.sources import AsJson, At, Chains, Underlying, load_snapshot
from ivhedge.core.errors import ConfigError
from ivhedge.core.units import format_ns

__all__ = ["plan", "risk"]

BookPath: TypeAlias = Annotated[Path, typer.Option("--book", "-b", help="Book, TOML.")]
Policies: TypeAlias = Annotated[Path, typer.Option("--policies", "-p", help="Policies, TOML.")]


def risk(
    chains: Chains, book: BookPath, underlying: Underlying = None, at: At = None, as_json: AsJson = False
) -> None:
    """Show a book's exposures and its spot-vol matrix on the fitted surface."""
    from ivhedge.app.config import load_book
    from ivhedge.app.views import risk_to_dict
    from ivhedge.engine.desk import open_desk
    from ivhedge.report import exposure_tables, spot_vol_table

    desk = open_desk(load_snapshot(chains, underlying, at), load_book(book))
    seen = desk.exposures()
    matrix = desk.spot_vol()
    if as_json:
        emit_json(risk_to_dict(desk, seen, matrix))
        return
    screen = console()
    say(
        screen,
        f"{desk.book.name}: {desk.underlying} at {format_ns(desk.ts_ns)} UTC, index {desk.index:,.2f}",
    )
    for table in exposure_tables(seen):
        screen.print(table)
    screen.print(spot_vol_table(matrix))
    for warning in desk.warnings:
        say(screen, f"note: {warning}")


def plan(
    chains: Chains,
    book: BookPath,
    policies: Policies,
    policy: Annotated[str, typer.Option("--policy", help="Name of the policy to plan for.")],
    underlying: Underlying = None,
    at: At = None,
    numeraire: Annotated[str, typer.Option("--numeraire", help="Count risk in coin or usd.")] = "coin",
    as_json: AsJson = False,
) -> None:
    """Plan the hedge of a book: what to trade now, why, and at what cost."""
    from ivhedge.app.config import load_book, load_policies
    from ivhedge.engine import ReplayConfig
    from ivhedge.engine.desk import open_desk
    from ivhedge.report import plan_tables

    known = {item.name: item for item in load_policies(policies)}
    if policy not in known:
        raise ConfigError(f"{policies}: expected a policy of {sorted(known)}, found {policy!r}")
    desk = open_desk(load_snapshot(chains, underlying, at), load_book(book))
    planned = desk.plan(known[policy], ReplayConfig(name="plan", numeraire=numeraire))
    if as_json:
        emit_json(planned.to_dict())
        return
    screen = console()
    say(screen, f"{desk.book.name}: {desk.underlying} at {format_ns(desk.ts_ns)} UTC, policy {policy!r}")
    for table in plan_tables(planned):
        screen.print(table)
    for warning in desk.warnings:
        say(screen, f"note: {warning}")
