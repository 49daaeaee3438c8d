"""`ivhedge mispricings`: what quotes give away, after all costs."""

from typing import Annotated

import typer

from ivhedge.app.cli.output import console, emit_json, say
from ivhedge.app.cli.sources import AsJson, At, Chains, Underlying, load_snapshot, load_snapshots
from ivhedge.core.errors import ConfigError
from ivhedge.core.units import format_ns

__all__ = ["mispricings"]

_HOUR_S = 3600.0


def mispricings(
    chains: Chains,
    underlying: Underlying = None,
    at: At = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="Learn venues' biases, and the half-life, from this time on (ISO 8601)."
        ),
    ] = None,
    half_life: Annotated[
        float | None,
        typer.Option(
            "--half-life", help="Hours a quote takes halfway back; default: 6, measured with --since."
        ),
    ] = None,
    horizon: Annotated[float, typer.Option("--horizon", help="Hours given to a quote to come back.")] = 6.0,
    min_z: Annotated[float, typer.Option("--min-z", help="Least net edge in its standard errors.")] = 3.0,
    hurdle: Annotated[
        float, typer.Option("--hurdle", help="Yearly return that bound capital must earn, decimal.")
    ] = 0.05,
    index_distance: Annotated[
        float,
        typer.Option("--index-distance", help="Most that two venues' settlements differ, basis points."),
    ] = 5.0,
    size: Annotated[
        float | None,
        typer.Option("--size", help="Coins taken for available where no size is shown; default: one order."),
    ] = None,
    max_age: Annotated[
        float,
        typer.Option("--max-age", help="Seconds after which a quote is no longer taken for executable."),
    ] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Look for static arbitrage at quoted prices, and for quotes off their fair value by more than costs."""
    import numpy as np

    from ivhedge.app.mispricingview import mispricing_tables, mispricing_to_dict, mispricing_view
    from ivhedge.hedge.mispricing import OutcomeSettings, StaticSettings, StatisticalSettings

    if half_life is not None and not half_life > 0.0:
        raise ConfigError(f"expected --half-life above 0 hours, found {half_life}")
    static = StaticSettings(outcome=OutcomeSettings(hurdle=hurdle, index_distance=1e-4 * index_distance))
    statistical = StatisticalSettings(min_z=min_z, horizon_s=horizon * _HOUR_S)
    if since is None:
        shots, half_life = [load_snapshot(chains, underlying, at)], 6.0 if half_life is None else half_life
    else:
        shots = load_snapshots(chains, underlying, since, at)
    view = mispricing_view(
        shots, half_life_h=half_life, static=static, statistical=statistical, unknown_size=size,
        max_age_s=max_age, rng=np.random.default_rng(0),
    )  # fmt: skip
    if as_json:
        emit_json(mispricing_to_dict(view))
        return
    screen = console()
    say(
        screen,
        f"{view.snapshot.underlying} at {format_ns(view.snapshot.ts_ns)} UTC, {', '.join(view.venues)}",
    )
    back = view.reversion
    hours = [f"{x / _HOUR_S:.1f}" for x in (back.half_life_s, back.low_s, back.high_s)]
    measured = f"measured on {back.n} pairs, 95 % {hours[1]} to {hours[2]}" if back.n else "assumed"
    say(screen, f"quotes come halfway back in {hours[0]} hours ({measured})")
    found = view.statistical
    say(
        screen,
        f"{len(view.static.findings)} static arbitrages, {len(found.quotes)} quotes and {len(found.pairs)} "
        f"pairs beyond costs, of {found.judged} sides judged",
    )
    if view.static.unsolved:
        say(screen, f"{view.static.unsolved} linear programs were not solved: arbitrages may be missing")
    for table in mispricing_tables(view):
        screen.print(table)
