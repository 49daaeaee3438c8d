"""What `ivhedge venues` works out and shows: one surface of several venues, and how each of them is doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, EmptyData
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_SECOND, format_ns
from ivhedge.market import MarketSnapshot
from ivhedge.surface.fusion import (
    FusedSurface,
    FusionSettings,
    StaleDetector,
    VenueHealth,
    VenueWatch,
    fuse,
    venue_health,
    venue_quotes,
)

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["VenueView", "remarks", "venue_tables", "venue_to_dict", "venue_view"]

_BP = 1e4
_NORMAL = 1.96
_WATCHED_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueView:
    """Venues at the last of some snapshots.

    Parameters
    ----------
    fused : FusedSurface
    health : dict of str to VenueHealth
    n_snapshots : int
        From which the biases are known.
    watched : bool
        Whether they follow each other closely enough to tell venues that stop.
    """

    fused: FusedSurface
    health: dict[str, VenueHealth]
    n_snapshots: int
    watched: bool


def venue_view(shots: Sequence[MarketSnapshot], *, anchor: str | None) -> VenueView:
    """Fuse snapshots in order, each with what the earlier ones taught.

    Raises
    ------
    EmptyData
        If the last snapshot holds quotes of fewer than two venues.
    ConfigError
        If the anchor quotes in no snapshot.
    """
    _check(shots, anchor)
    settings = FusionSettings(anchor=anchor)
    gaps_s = np.diff([shot.ts_ns for shot in shots]) / NS_PER_SECOND
    watched = bool(gaps_s.size and np.median(gaps_s) <= _WATCHED_S)
    detector, model = StaleDetector(), None
    fused: FusedSurface | None = None
    watch: dict[str, VenueWatch] | None = None
    for shot in shots:
        quotes = venue_quotes(shot.chain)
        if watched:
            watch = detector.update(quotes.ts_ns, quotes.mid_vols())
        fused = fuse(quotes, model, settings=settings, quarantine=detector.flagged())
        model = fused.model
    assert fused is not None
    return VenueView(fused=fused, health=venue_health(fused, watch), n_snapshots=len(shots), watched=watched)


def _check(shots: Sequence[MarketSnapshot], anchor: str | None) -> None:
    last = shots[-1]
    names = sorted(last.chain["venue"].drop_nulls().unique())
    if len(names) < 2:
        raise EmptyData(
            f"{last.underlying} at {format_ns(last.ts_ns)} UTC: expected quotes of two venues or more, found "
            f"{names}; record several, or look at one with `ivhedge fit`"
        )
    known = sorted({str(name) for shot in shots for name in shot.chain["venue"].drop_nulls()})
    if anchor is not None and anchor not in known:
        raise ConfigError(f"expected an --anchor that quotes ({', '.join(known)}), found {anchor!r}")


def venue_tables(view: VenueView) -> "list[Table]":
    """Tables for people: the venues, and their level biases by expiry beside the fused surface."""
    return [_venues(view), _expiries(view)]


def _venues(view: VenueView) -> "Table":
    from rich.table import Table

    table = Table(title="venues (vols in basis points)", title_justify="left")
    for name in ("venue", "quotes", "± spread", "level", "slope", "forward", "noise", "share %", "remarks"):
        left = name in ("venue", "remarks")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "remarks")
    for one in view.health.values():
        known = one.bias_status != "unidentified"
        table.add_row(
            one.venue,
            f"{one.n_quotes}",
            _bp(one.typical_half_spread, sign=False),
            _with_error(one.level_bias, one.level_interval) if known else "–",
            _with_error(one.slope_bias, one.slope_interval) if known else "–",
            _bp(one.forward_bias, digits=1),
            "–" if one.noise_scale is None else f"{one.noise_scale:.2f}",
            f"{100.0 * one.share:.0f}",
            "; ".join(remarks(one)),
            style=None if one.state == "live" else "yellow",
        )
    return table


def remarks(one: VenueHealth) -> list[str]:
    """What is to be said of a venue beside its numbers, worst first."""
    said = [] if one.state == "live" else [one.state]
    if one.quarantined:
        said.append("left out")
    if one.jumped:
        said.append("bias jumped")
    if one.bias_status == "unidentified" and one.n_quotes:
        said.append("bias cannot be told")
    said += [f"moves with {other} ({likeness:.2f})" for other, likeness in sorted(one.copies.items())]
    if one.n_bad:
        said.append(f"{one.n_bad} bad")
    said += [
        f"{count} {reason.replace('_', ' ')}"
        for reason, count in sorted(one.excluded.items(), key=lambda item: (-item[1], item[0]))
    ]
    return said


def _expiries(view: VenueView) -> "Table":
    from rich.table import Table

    quotes, model = view.fused.quotes, view.fused.model
    biases = model.biases().drop_nulls("expiry").with_columns(pl.col("expiry").dt.epoch("ns"))
    rows = {(r["venue"], r["expiry"]): r for r in biases.iter_rows(named=True)}
    table = Table(title="level bias by expiry, basis points of vol, ± 95 %", title_justify="left")
    for name in ("expiry", "days", "ATM vol %", "± %", *model.venues):
        table.add_column(name, justify="left" if name == "expiry" else "right", no_wrap=True)
    for e, expiry in enumerate(quotes.expiry_ns.tolist()):
        table.add_row(
            format_ns(expiry)[:10],
            f"{quotes.taus[e] * DAYS_PER_YEAR:.1f}",
            f"{100.0 * _atm(view, e):.2f}",
            f"{100.0 * _NORMAL * view.fused.atm_error[e]:.2f}",
            *(_bias(rows.get((venue, expiry))) for venue in model.venues),
        )
    return table


def _atm(view: VenueView, e: int) -> float:
    return float(view.fused.fit.surface.implied_vol(0.0, view.fused.quotes.taus[e]))


def _bias(row: dict[str, Any] | None) -> str:
    if row is None or row["status"] == "unidentified":
        return "–"
    half = _NORMAL * row["level_error"]
    return _with_error(row["level_bias"], (row["level_bias"] - half, row["level_bias"] + half))


def _bp(value: float | None, *, sign: bool = True, digits: int = 0) -> str:
    if value is None:
        return "–"
    number = _BP * value
    return f"{number:+.{digits}f}" if sign else f"{number:.{digits}f}"


def _with_error(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "–"
    half = 0.5 * (interval[1] - interval[0])
    # An anchor's bias is zero by definition, not by measurement.
    return "0" if half < 1e-9 else f"{_BP * value:+.0f} ± {_BP * half:.0f}"


def venue_to_dict(view: VenueView) -> dict[str, object]:
    """The same for machines, nothing left out; vols are decimals."""
    fused = view.fused
    return {
        "underlying": fused.quotes.underlying,
        "ts": format_ns(fused.quotes.ts_ns),
        "anchor": fused.model.anchor,
        "snapshots": view.n_snapshots,
        "watched": view.watched,
        "arbitrage_free": fused.fit.certificate.valid,
        "held_quotes": fused.n_held,
        "venues": [one.to_dict() for one in view.health.values()],
        "biases": fused.model.biases().with_columns(pl.col("expiry").dt.to_string("iso:strict")).to_dicts(),
        "expiries": [
            {
                "expiry": format_ns(expiry),
                "forward": float(fused.quotes.forwards[e]),
                "atm_vol": _atm(view, e),
                "atm_error": float(fused.atm_error[e]),
            }
            for e, expiry in enumerate(fused.quotes.expiry_ns.tolist())
        ],
    }
