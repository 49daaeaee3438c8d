"""A book on one snapshot's surface: `ivhedge risk`, `stress`, `margin`, `explain`, `plan`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ivhedge.app.cli.drawing import HtmlPath, PngPath, check_drawings, show
from ivhedge.app.cli.output import console, emit_json, say
from ivhedge.app.cli.sources import (
    AsJson,
    At,
    Chains,
    Underlying,
    load_snapshot,
    load_snapshots,
    read_text,
    require_file,
)
from ivhedge.core.errors import ConfigError
from ivhedge.core.units import format_ns

if TYPE_CHECKING:
    from ivhedge.risk.stress import StressCatalogue

__all__ = ["explain", "margin", "plan", "risk", "stress"]

BookPath: TypeAlias = Annotated[Path, typer.Option("--book", "-b", help="Book, TOML.")]
Policies: TypeAlias = Annotated[Path, typer.Option("--policies", "-p", help="Policies, TOML.")]


def risk(
    chains: Chains,
    book: BookPath,
    underlying: Underlying = None,
    at: At = None,
    html: HtmlPath = None,
    png: PngPath = None,
    as_json: AsJson = False,
) -> None:
    """Show a book's exposures, its vega by tenor and delta, and its spot-vol matrix on the fitted surface."""
    from ivhedge.app.bookviews import risk_to_dict, risk_view
    from ivhedge.app.config import load_book
    from ivhedge.engine.desk import open_desk

    check_drawings(html, png)
    spec = load_book(book)
    desk = open_desk(load_snapshot(chains, underlying, at), spec)
    parts = (desk, desk.exposures(), desk.spot_vol())
    show(risk_view(*parts), risk_to_dict(*parts), as_json=as_json, html=html, png=png)


def stress(
    chains: Chains,
    book: BookPath,
    underlying: Underlying = None,
    at: At = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Name of a stress; several times for several.")
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", help="Your own stresses, TOML, instead of the shipped ones.")
    ] = None,
    html: HtmlPath = None,
    png: PngPath = None,
    as_json: AsJson = False,
) -> None:
    """Revalue a book under days that happened and days made up: crash, vol doubling, stablecoin, venue."""
    from ivhedge.app.bookviews import stress_to_dict, stress_view
    from ivhedge.app.config import load_book
    from ivhedge.engine.desk import open_desk
    from ivhedge.risk.stress import run_stress

    check_drawings(html, png)
    stresses, spec = _catalogue(catalogue, only), load_book(book)
    desk = open_desk(load_snapshot(chains, underlying, at), spec)
    report = run_stress(desk.book, {desk.underlying: desk.surface}, stresses, desk.ts_ns, strict=False)
    show(stress_view(desk, report), stress_to_dict(desk, report), as_json=as_json, html=html, png=png)


def margin(
    chains: Chains,
    book: BookPath,
    profile: Annotated[
        str, typer.Option("--profile", help="Rules: a shipped profile by name, or a TOML file of your own.")
    ],
    underlying: Underlying = None,
    at: At = None,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="Day the rules are those of; the snapshot's."),
    ] = None,
    conservative: Annotated[
        bool, typer.Option("--conservative", help="Carry legs without a vol at a conservative mark.")
    ] = False,
    html: HtmlPath = None,
    png: PngPath = None,
    as_json: AsJson = False,
) -> None:
    """Show a book's initial and maintenance margin, after stresses too, and how far liquidation is."""
    from ivhedge.app.bookviews import margin_to_dict, margin_view, require_settlement
    from ivhedge.app.config import load_book
    from ivhedge.engine.desk import open_desk
    from ivhedge.engine.desk_margin import desk_margin
    from ivhedge.risk.margin import load_margin_profile, parse_margin_profile
    from ivhedge.risk.stress import load_catalogue

    check_drawings(html, png)
    own = Path(profile)
    rules = (
        parse_margin_profile(read_text(own), source=profile)
        if own.suffix == ".toml"
        else load_margin_profile(profile)
    )
    spec = load_book(book)
    desk = open_desk(load_snapshot(chains, underlying, at), spec)
    require_settlement(desk, rules)
    day = None if on is None else on.date()
    seen = desk_margin(desk, rules, load_catalogue(), on=day, conservative=conservative)
    show(margin_view(desk, seen), margin_to_dict(desk, seen), as_json=as_json, html=html, png=png)


def explain(
    chains: Chains,
    book: BookPath,
    underlying: Underlying = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Open the book at the last snapshot at or before this time.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Hold it until the last snapshot at or before this time.")
    ] = None,
    bars: Annotated[
        Path | None, typer.Option("--bars", help="Hourly bars, parquet: the path of spot, settlement prices.")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="taylor: terms and residual; revaluation: ordered and exact.")
    ] = "taylor",
    html: HtmlPath = None,
    png: PngPath = None,
    as_json: AsJson = False,
) -> None:
    """Explain where the profit of a book that is held came from: Greeks, factors, carry, residual."""
    from ivhedge.app.bookviews import explain_to_dict, explain_view
    from ivhedge.app.config import load_book
    from ivhedge.engine.desk import open_desk
    from ivhedge.engine.desk_explain import explain_desk
    from ivhedge.risk.attribution import ExplainSettings

    check_drawings(html, png)
    if method not in ("taylor", "revaluation"):
        raise ConfigError(f"expected --method taylor or revaluation, found {method!r}")
    settings = ExplainSettings(method="taylor" if method == "taylor" else "revaluation")
    if bars is not None:
        require_file(bars, "--bars", "a parquet file of hourly bars")
    spec = load_book(book)
    first, *later = load_snapshots(chains, underlying, start, end)
    desk = open_desk(first, spec)
    seen = explain_desk(desk, later, bars=bars, settings=settings)
    show(explain_view(desk, seen), explain_to_dict(desk, seen), as_json=as_json, html=html, png=png)


def _catalogue(path: Path | None, only: list[str] | None) -> "StressCatalogue":
    from ivhedge.risk.stress import load_catalogue, parse_catalogue

    known = load_catalogue() if path is None else parse_catalogue(read_text(path), source=str(path))
    return known.only(*only) if only else known


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
    spec = load_book(book)
    desk = open_desk(load_snapshot(chains, underlying, at), spec)
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
