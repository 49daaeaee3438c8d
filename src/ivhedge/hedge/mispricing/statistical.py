"""Quotes and pairs of venues that pay for being traded, in expectation, with a standard error."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.mispricing.bands import FairBand
from ivhedge.hedge.mispricing.offers import Offer, Offers
from ivhedge.hedge.mispricing.pairs import PairMispricing, pairs
from ivhedge.hedge.mispricing.reversion import Reversion
from ivhedge.hedge.mispricing.worth import QuoteMispricing, StatisticalSettings, worth

__all__ = ["MispricingScan", "mispricings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MispricingScan:
    """Findings of one moment, largest capacity first, and what was not judged.

    Parameters
    ----------
    ts_ns : int
    quotes : tuple of QuoteMispricing
    pairs : tuple of PairMispricing
    judged : int
        Sides of options held against a fair value.
    excluded : Mapping of venue to (mapping of reason to count)
        Reasons beside those of `Offers`: ``no_band`` (no fair value), ``error`` (fair value not known well
        enough).
    """

    ts_ns: int
    quotes: tuple[QuoteMispricing, ...]
    pairs: tuple[PairMispricing, ...]
    judged: int
    excluded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def table(self) -> pl.DataFrame:
        """All findings as rows.

        Returns
        -------
        pl.DataFrame
            ``kind, buy, sell, price, fair_vol, vol_error, gross_usd, edge_usd, error_usd, z, half_life_s,
            settles_in_s, contracts, capacity_usd``; a pair is per coin and has the price of its bought leg.
        """
        rows: list[tuple[object, ...]] = []
        for q in self.quotes:
            buy, sell = (q.offer.key, None) if q.offer.side > 0 else (None, q.offer.key)
            rows.append(
                ("quote", buy, sell, q.offer.price, q.fair_vol, q.vol_error, q.gross_usd, q.edge_usd,
                 q.error_usd, q.z, q.reversion.half_life_s, None, q.offer.contracts, q.capacity_usd)
            )  # fmt: skip
        for p in self.pairs:
            rows.append(
                ("pair", p.buy.key, p.sell.key, p.buy.price, None, None, p.gross_usd, p.edge_usd, p.error_usd,
                 p.z, None, p.settles_in_s, p.coins, p.capacity_usd)
            )  # fmt: skip
        text = ["kind", "buy", "sell"]
        numbers = ["price", "fair_vol", "vol_error", "gross_usd", "edge_usd", "error_usd", "z", "half_life_s"]
        numbers += ["settles_in_s", "contracts", "capacity_usd"]
        schema: dict[str, pl.DataType] = {name: pl.String() for name in text}
        schema |= {name: pl.Float64() for name in numbers}
        return pl.DataFrame(rows, schema=schema, orient="row")


def mispricings(
    offers: Offers,
    band: FairBand,
    costs: CostModel,
    *,
    reversion: Reversion | Mapping[str, Reversion],
    settings: StatisticalSettings | None = None,
) -> MispricingScan:
    """Find quotes outside their fair band, and pairs of venues, net of everything trading them costs.

    Parameters
    ----------
    offers : Offers
        As from `executable_offers`.
    band : FairBand
        Of the same moment.
    costs : CostModel
        Its fee schedules charge the delivery of pairs.
    reversion : Reversion, or mapping of venue to Reversion
        How quotes come back; `Reversion.assumed` where nothing was measured.
    settings : StatisticalSettings, optional

    Raises
    ------
    DataError
        If offers and band are of different moments or underlyings.
    ConfigError
        If a venue has no reversion.
    """
    settings = settings or StatisticalSettings()
    if (offers.ts_ns, offers.underlying) != (band.quotes.ts_ns, band.quotes.underlying):
        raise DataError(
            f"expected offers and band of one moment, found {offers.underlying} at {offers.ts_ns} and "
            f"{band.quotes.underlying} at {band.quotes.ts_ns}; make both of the same snapshot"
        )
    excluded = {venue: Counter(counts) for venue, counts in offers.excluded.items()}
    place = {key: row for row, key in enumerate(band.keys())}
    options = [o for o in offers.offers if o.instrument.is_option]
    rows = np.array([place.get(o.key, -1) for o in options], dtype=np.int64)
    good = (rows >= 0) & band.judged[rows]
    for offer, seen in zip(options, good.tolist(), strict=True):
        if not seen:
            excluded.setdefault(offer.instrument.venue, Counter())["no_band"] += 1
    chosen = [o for o, seen in zip(options, good.tolist(), strict=True) if seen]
    known = _by_venue(reversion, chosen)
    values = worth(chosen, rows[good], band, offers.index, known, settings)
    sure = values.vol_error <= settings.max_error_share * values.fair_vol
    for offer, seen in zip(chosen, sure.tolist(), strict=True):
        if not seen:
            excluded.setdefault(offer.instrument.venue, Counter())["error"] += 1
    taken = sure & (values.edge >= settings.min_edge_usd) & (values.edge >= settings.min_z * values.error)
    quotes = [values.finding(int(i), chosen, known) for i in np.flatnonzero(taken)]
    twice = pairs(chosen, values.delta, band.forward[rows[good]], offers, costs, settings)
    return MispricingScan(
        ts_ns=offers.ts_ns,
        quotes=tuple(sorted(quotes, key=lambda q: -q.capacity_usd)),
        pairs=tuple(sorted(twice, key=lambda p: -p.capacity_usd)),
        judged=len(chosen),
        excluded={venue: dict(counts) for venue, counts in excluded.items() if counts},
    )


def _by_venue(
    reversion: Reversion | Mapping[str, Reversion], offers: Sequence[Offer]
) -> dict[str, Reversion]:
    venues = sorted({o.instrument.venue for o in offers})
    if isinstance(reversion, Reversion):
        return dict.fromkeys(venues, reversion)
    missing = [venue for venue in venues if venue not in reversion]
    if missing:
        raise ConfigError(
            f"expected a reversion of every venue, found none of {missing}; estimate it or use "
            "Reversion.assumed"
        )
    return {venue: reversion[venue] for venue in venues}
