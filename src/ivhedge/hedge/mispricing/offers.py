"""What can be traded now: each side of each quote with its price, fee and size."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import inf

import polars as pl

from ivhedge.core.errors import ConfigError, DataError, MissingPrice
from ivhedge.core.instruments import Instrument
from ivhedge.hedge.costs import CostModel, Quote
from ivhedge.ledger.fees import estimate_trade_fee
from ivhedge.ledger.fill import Liquidity
from ivhedge.market.instruments import instruments_of
from ivhedge.market.snapshot import MarketSnapshot

__all__ = ["Offer", "Offers", "executable_offers"]

_COLUMNS = ("bid", "ask", "bid_size", "ask_size", "mark")
_LOTS = 100  # over which a flat fee per fill is spread, as the cost model does


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One side of one quote.

    Parameters
    ----------
    instrument : Instrument
    side : int
        +1 to buy at the ask, -1 to sell at the bid.
    price : float
        In the instrument's price unit, on the tick ladder.
    fee : float
        Taker fee per contract, settlement currency.
    contracts : float
        That can be had.
    """

    instrument: Instrument
    side: int
    price: float
    fee: float
    contracts: float

    @property
    def key(self) -> str:
        """Key of the instrument."""
        return self.instrument.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """Everything of one underlying that can be traded at one time.

    Parameters
    ----------
    ts_ns : int
    underlying : str
    index : float
        USD.
    offers : tuple of Offer
    excluded : Mapping of venue to (mapping of reason to count)
        Sides that cannot be traded.
    """

    ts_ns: int
    underlying: str
    index: float
    offers: tuple[Offer, ...]
    excluded: Mapping[str, Mapping[str, int]]


def executable_offers(
    snapshot: MarketSnapshot,
    costs: CostModel,
    *,
    unknown_size: float | None = None,
    max_age_s: float | None = None,
) -> Offers:
    """List the sides that can be traded, with their fees.

    Parameters
    ----------
    snapshot : MarketSnapshot
        Of one or several venues.
    costs : CostModel
        Whose fees are charged; its touch is the price.
    unknown_size : float, optional
        Coins taken for available where a quote shows no size; without it the smallest order.
    max_age_s : float, optional
        Oldest change of a quote; a row without `ts_event` counts as of the snapshot's time.

    Raises
    ------
    ConfigError
        If `unknown_size` or `max_age_s` is not above 0.
    DataError
        If an instrument comes twice: its size would be counted twice.
    UnknownInstrument
        If a venue or product has no contract specification.

    Notes
    -----
    Perpetuals never settle and are left out. Sides kept out are counted by venue and reason: ``no_price``,
    ``crossed`` (bid at or above the ask on one venue), ``no_size`` (less than the smallest order shown),
    ``expired``, ``stale``, ``future_dated``, ``no_fees``, ``perpetual``.
    """
    for name, value in (("unknown_size", unknown_size), ("max_age_s", max_age_s)):
        if value is not None and not 0.0 < value < inf:
            raise ConfigError(f"expected {name} above 0 and finite, found {value}")
    excluded: dict[str, Counter[str]] = {}
    found: list[Offer] = []
    for table in (snapshot.chain, snapshot.futures):
        if table.height == 0:
            continue
        table = table.filter(pl.col("underlying") == snapshot.underlying)
        twice = table.filter(table.select("venue", "instrument_name").is_duplicated())
        if twice.height:
            names = sorted({f"{v}:{n}" for v, n in twice.select("venue", "instrument_name").iter_rows()})
            raise DataError(
                f"expected each instrument once, found {names[:5]} again; clean the snapshot first"
            )
        built = instruments_of(table)
        for row in table.iter_rows(named=True):
            instrument = built[f"{row['venue']}:{row['instrument_name']}"]
            counts = excluded.setdefault(instrument.venue, Counter())
            reason = _unfit(instrument, row, snapshot.ts_ns, max_age_s)
            if reason is not None:
                counts[reason] += 2
                continue
            quote = Quote(**{name: row[name] for name in _COLUMNS}, index=snapshot.index)
            for side in (1, -1):
                offer = _offer(instrument, quote, side, costs, unknown_size)
                if isinstance(offer, str):
                    counts[offer] += 1
                else:
                    found.append(offer)
    return Offers(
        ts_ns=snapshot.ts_ns,
        underlying=snapshot.underlying,
        index=snapshot.index,
        offers=tuple(found),
        excluded={venue: dict(counts) for venue, counts in excluded.items() if counts},
    )


def _unfit(
    instrument: Instrument, row: Mapping[str, object], ts_ns: int, max_age_s: float | None
) -> str | None:
    if instrument.expiry_ns is None:
        return "perpetual"
    if instrument.expiry_ns <= ts_ns:
        return "expired"
    bid, ask = row["bid"], row["ask"]
    if isinstance(bid, float) and isinstance(ask, float) and 0.0 < ask <= bid:
        return "crossed"
    changed = row["ts_event"]
    if changed is not None:
        age = (ts_ns - int(changed.timestamp() * 1e9)) / 1e9  # type: ignore[attr-defined]
        if max_age_s is not None and age > max_age_s:
            return "stale"
        if age < -1.0:
            return "future_dated"
    return None


def _offer(
    instrument: Instrument, quote: Quote, side: int, costs: CostModel, unknown_size: float | None
) -> Offer | str:
    # A mark is no price to lock a profit at: only a side that is quoted counts.
    quoted = quote.ask if side > 0 else quote.bid
    if quoted is None:
        return "no_price"
    bid, ask = costs.touch(instrument, quote)
    price = ask if side > 0 else bid
    if price is None:
        return "no_price"
    smallest = float(instrument.min_size)
    size = quote.ask_size if side > 0 else quote.bid_size
    if size is None:
        coins = float(instrument.multiplier)
        if instrument.is_inverse and not instrument.is_option:
            coins /= price
        size = smallest if unknown_size is None else max(unknown_size / coins, smallest)
    if size < smallest * (1.0 - 1e-12):
        return "no_size"
    schedule = costs.fees.get(instrument.venue)
    if schedule is None:
        return "no_fees"
    try:
        # Nobody knows yet how much will be traded: a flat fee is charged to the smallest order in full.
        flat = schedule.rule_for(instrument).taker_flat > 0
        lots = smallest if flat else min(_LOTS * max(float(instrument.lot), smallest), size)
        index = Decimal(repr(quote.index))
        fee = estimate_trade_fee(schedule, instrument, price, lots, index, Liquidity.TAKER) / lots
    except (ConfigError, MissingPrice):
        return "no_fees"
    return Offer(instrument=instrument, side=side, price=price, fee=fee, contracts=size)
