"""What `ivhedge mispricings` works out and shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ivhedge.core.errors import EmptyData
from ivhedge.core.units import format_ns
from ivhedge.hedge import CostModel
from ivhedge.hedge.mispricing import (
    ArbitrageScan,
    MispricingScan,
    Reversion,
    StaticArbitrage,
    StaticSettings,
    StatisticalSettings,
    estimate_reversion,
    executable_offers,
    fair_band,
    fused_error,
    mispricings,
    static_arbitrages,
)
from ivhedge.ledger import available_venues, load_fees
from ivhedge.market import MarketSnapshot, quote_vols
from ivhedge.surface import FitSettings, SurfaceModel, fit_surface
from ivhedge.surface.fusion import VenueModel, fuse

if TYPE_CHECKING:
    from rich.table import Table

    from ivhedge.hedge.mispricing import FairBand

__all__ = ["MispricingView", "mispricing_tables", "mispricing_to_dict", "mispricing_view"]

_SHOWN = 20
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MispricingView:
    """Findings of the last of some snapshots.

    Parameters
    ----------
    snapshot : MarketSnapshot
    static : ArbitrageScan
    statistical : MispricingScan
    reversion : Reversion
    venues : tuple of str
    """

    snapshot: MarketSnapshot
    static: ArbitrageScan
    statistical: MispricingScan
    reversion: Reversion
    venues: tuple[str, ...]


def mispricing_view(
    shots: Sequence[MarketSnapshot],
    *,
    half_life_h: float | None,
    static: StaticSettings,
    statistical: StatisticalSettings,
    unknown_size: float | None,
    max_age_s: float,
    rng: np.random.Generator,
) -> MispricingView:
    """Judge the last snapshot; the earlier ones teach biases of venues and, unless given, the half-life.

    Raises
    ------
    EmptyData
        If a venue has no fee schedule, or the half-life cannot be measured.
    """
    last = shots[-1]
    venues = tuple(sorted(set(last.chain["venue"].drop_nulls()) | set(last.futures["venue"].drop_nulls())))
    strangers = [venue for venue in venues if venue not in available_venues()]
    if strangers:
        raise EmptyData(
            f"expected venues with a fee profile ({', '.join(available_venues())}), found {strangers}: what "
            "trading there costs is not known"
        )
    costs = CostModel(fees={venue: load_fees(venue) for venue in venues})
    model: VenueModel | None = None
    history: list[pl.DataFrame] = []
    for shot in shots:
        band, model = _band(shot, model)
        if half_life_h is None:
            history.append(_deviations(band))
    if half_life_h is not None:
        reversion = Reversion.assumed(half_life_h * _HOUR_S)
    else:
        reversion = estimate_reversion(pl.concat(history), rng=rng, max_gap_s=24 * _HOUR_S)
    offers = executable_offers(last, costs, unknown_size=unknown_size, max_age_s=max_age_s)
    return MispricingView(
        snapshot=last,
        static=static_arbitrages(offers, costs, settings=static),
        statistical=mispricings(offers, band, costs, reversion=reversion, settings=statistical),
        reversion=reversion,
        venues=venues,
    )


def _band(shot: MarketSnapshot, model: VenueModel | None) -> "tuple[FairBand, VenueModel | None]":
    if shot.chain["venue"].n_unique() > 1:
        fused = fuse(shot.chain, model)
        quotes = quote_vols(shot.chain, fused.fit.forwards)
        error = fused_error(fused)
        return fair_band(quotes, fused.fit.surface, vol_error=error, venues=fused.model), fused.model
    fit = fit_surface(shot.chain, futures=shot.futures, settings=FitSettings(model=SurfaceModel.ESSVI))
    return fair_band(quote_vols(shot.chain, fit.forwards), fit.surface), None


def _deviations(band: "FairBand") -> pl.DataFrame:
    quotes = band.quotes
    table = pl.DataFrame(
        {
            "ts": [quotes.ts_ns] * len(quotes),
            "venue": list(quotes.venue),
            "instrument_name": list(quotes.instrument_name),
            "deviation": band.deviation,
            "half_spread": quotes.half_spread_iv,
        }
    )
    return table.filter(pl.col("deviation").is_finite()).with_columns(pl.from_epoch("ts", "ns"))


def mispricing_tables(view: MispricingView) -> "list[Table]":
    """Tables for people, none empty: what locks a profit, what pays on average, what was not judged."""
    from rich.table import Table

    locked = Table(title=f"Static arbitrage at the quotes: {len(view.static.findings)}", title_justify="left")
    for name in ("kind", "expiry", "trades", "USD", "bp"):
        locked.add_column(name, justify="right" if name in ("USD", "bp") else "left", overflow="fold")
    for f in view.static.findings[:_SHOWN]:
        locked.add_row(
            f.kind.value, format_ns(f.expiry_ns)[:10], _legs(f), f"{f.profit_usd:,.0f}", f"{f.profit_bps:.1f}"
        )
    found = view.statistical
    beyond = Table(
        title=f"Beyond the fair band, net of costs: {len(found.quotes)} quotes, {len(found.pairs)} pairs",
        title_justify="left",
    )
    for name in ("buy", "sell", "price", "fair vol %", "± %", "z", "USD each", "contracts", "USD"):
        beyond.add_column(name, justify="left" if name in ("buy", "sell") else "right", overflow="fold")
    for row in found.table().head(_SHOWN).iter_rows(named=True):
        beyond.add_row(
            row["buy"] or "", row["sell"] or "", f"{row['price']:g}", _percent(row["fair_vol"]),
            _percent(row["vol_error"]), f"{row['z']:.1f}", f"{row['edge_usd']:,.1f}", f"{row['contracts']:g}",
            f"{row['capacity_usd']:,.0f}",
        )  # fmt: skip
    aside = Table(title=f"Sides judged: {found.judged}; not judged:", title_justify="left")
    for name in ("venue", "reason", "sides"):
        aside.add_column(name, justify="right" if name == "sides" else "left")
    for venue, counts in sorted(found.excluded.items()):
        for reason, count in sorted(counts.items()):
            aside.add_row(venue, reason, str(count))
    return [table for table in (locked, beyond, aside) if table.row_count]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100.0 * value:.2f}"


def _legs(found: StaticArbitrage) -> str:
    return "\n".join(
        f"{'buy' if leg.offer.side > 0 else 'sell'} {leg.contracts} {leg.offer.key} at {leg.offer.price:g}"
        for leg in found.legs
    )


def mispricing_to_dict(view: MispricingView) -> dict[str, object]:
    """The same for machines, nothing left out."""
    return {
        "underlying": view.snapshot.underlying,
        "ts": format_ns(view.snapshot.ts_ns),
        "venues": list(view.venues),
        "half_life_s": view.reversion.half_life_s,
        "half_life_interval_s": [view.reversion.low_s, view.reversion.high_s],
        "half_life_pairs": view.reversion.n,
        "static": [
            {
                "kind": f.kind.value,
                "expiry": format_ns(f.expiry_ns),
                "profit_usd": f.profit_usd,
                "profit_bps": f.profit_bps,
                "worst_price": f.worst_price,
                "legs": [
                    {
                        "key": leg.offer.key,
                        "side": "buy" if leg.offer.side > 0 else "sell",
                        "contracts": leg.contracts,
                        "price": leg.offer.price,
                    }
                    for leg in f.legs
                ],
            }
            for f in view.static.findings
        ],
        "below_lot": view.static.below_lot,
        "programmes": view.static.programmes,
        "unsolved": view.static.unsolved,
        "statistical": view.statistical.table().to_dicts(),
        "judged": view.statistical.judged,
        "excluded": view.statistical.excluded,
        "static_excluded": view.static.excluded,
    }
