"""The latest sound quote of each venue and contract: what a fit starts from."""

from dataclasses import fields
from typing import Any

import numpy as np
import polars as pl

from ivhedge.core.types import BoolArray, IntArray
from ivhedge.engine.streaming.listing import Listing
from ivhedge.market.schemas import CHAIN_SCHEMA
from ivhedge.surface.stream import REASONS, QuoteColumns, StreamSettings, Universe

__all__ = ["QuoteBook", "judged"]

_COLUMNS = tuple(f.name for f in fields(QuoteColumns))
_NUMBER = {name: i for i, name in enumerate(REASONS)}
ACCEPTED = _NUMBER["accepted"]
TAKEN = np.isin(REASONS, ("accepted", "unchanged", "one_sided", "no_vol", "in_the_money"))
"""By outcome: whether the message is its slot's latest."""


def judged(quotes: QuoteColumns, universe: Universe, settings: StreamSettings) -> IntArray:
    """What is wrong with each quote by itself, as the stream would say; `accepted` if nothing is."""
    m = universe.strike.size
    listed = (quotes.instrument >= 0) & (quotes.instrument < m)
    expiry = universe.expiry_ns[np.where(listed, quotes.instrument, 0)]
    lag = quotes.ts_recv - quotes.ts_event
    sides = (quotes.bid >= 0.0) & (quotes.ask >= 0.0) & (quotes.bid < np.inf) & (quotes.ask < np.inf)
    # In the order of the stream: the first that applies counts.
    tests = (
        ("unknown_venue", (quotes.venue < 0) | (quotes.venue >= len(universe.venues))),
        ("unknown_instrument", ~listed),
        ("not_finite", ~(sides & (np.minimum(quotes.ts_event, quotes.ts_recv) > 0))),
        ("bad_forward", ~((quotes.forward > 0.0) & (quotes.forward < np.inf))),
        ("future", -lag > settings.max_lead_s * 1e9),
        ("late", lag > settings.max_lag_s * 1e9),
        ("expired", expiry <= np.maximum(quotes.ts_event, quotes.ts_recv)),
        ("crossed", (quotes.bid > quotes.ask) & (quotes.ask > 0.0)),
    )
    found = np.select([bad for _, bad in tests], [_NUMBER[name] for name, _ in tests], ACCEPTED)
    return np.asarray(found, dtype=np.int64)


class QuoteBook:
    """One place for each venue and contract.

    Parameters
    ----------
    listing : Listing
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._contracts = listing.universe.strike.size
        size = len(listing.universe.venues) * self._contracts
        self._held: dict[str, Any] = {name: np.empty(size) for name in _COLUMNS}
        for name in ("venue", "instrument", "ts_event", "ts_recv"):
            self._held[name] = np.full(size, -1, dtype=np.int64)
        self._seen_ns = np.zeros(self._contracts, dtype=np.int64)
        self._fresh_ns = np.zeros(self._contracts, dtype=np.int64)

    def take(self, quotes: QuoteColumns, rows: IntArray, max_age_ns: float) -> BoolArray:
        """Keep rows that are not older than what their places hold; which were kept, shape of `rows`.

        Each row is judged by those before it, so that how messages are cut into batches is of no consequence.
        """
        if rows.size == 0:
            return np.zeros(0, dtype=bool)
        all_places = quotes.venue[rows] * self._contracts + quotes.instrument[rows]
        order = np.argsort(all_places, kind="stable")
        place, event = all_places[order], quotes.ts_event[rows[order]]
        before = _newest_before(place, event, self._held["ts_event"][place])
        kept = event >= before
        place, chosen = place[kept], rows[order[kept]]
        self._hear(np.sort(chosen), quotes, max_age_ns)
        # Of several for one place the last stands.
        last = np.append(place[1:] != place[:-1], True) if place.size else np.zeros(0, dtype=bool)
        place, chosen = place[last], chosen[last]
        for name, column in self._held.items():
            column[place] = getattr(quotes, name)[chosen]
        answer = np.empty(rows.size, dtype=bool)
        answer[order] = kept
        return answer

    def _hear(self, rows: IntArray, quotes: QuoteColumns, max_age_ns: float) -> None:
        """Note when contracts were heard of, and when first so after a silence."""
        rows = rows[np.argsort(quotes.instrument[rows], kind="stable")]
        contract, times = quotes.instrument[rows], quotes.ts_recv[rows]
        first = np.append(True, contract[1:] != contract[:-1])[: contract.size]
        before = np.where(first, self._seen_ns[contract], np.append(0, times[:-1])[: times.size])
        fresh = times - before > max_age_ns
        self._fresh_ns[contract[fresh]] = times[fresh]
        self._seen_ns[contract] = times

    def growth(self, places: IntArray, since_ns: int) -> float:
        """Share of the places' contracts that were silent until `since_ns` and are no longer."""
        contracts = np.unique(places % self._contracts)
        return float((self._fresh_ns[contracts] > since_ns).mean()) if contracts.size else 0.0

    def quotes(self, places: IntArray) -> QuoteColumns:
        """What places hold, in the order of receipt."""
        order = places[np.argsort(self._held["ts_recv"][places], kind="stable")]
        return QuoteColumns(**{name: column[order] for name, column in self._held.items()})

    def in_force(self, now_ns: int, max_age_ns: float) -> IntArray:
        """Places with a quote young enough of a contract that has not expired."""
        held = self._held["ts_event"]
        contract = np.arange(held.size) % self._contracts
        alive = self._listing.universe.expiry_ns[contract] > now_ns
        return np.flatnonzero((held >= 0) & (now_ns - held <= max_age_ns) & alive)

    def two_sided(self, places: IntArray) -> BoolArray:
        """Which of the places have both prices."""
        return np.asarray((self._held["bid"][places] > 0.0) & (self._held["ask"][places] > 0.0))

    def expiries(self, places: IntArray) -> IntArray:
        """Expiry of each place."""
        return np.asarray(self._listing.universe.expiry_ns[places % self._contracts])

    def chain(self, places: IntArray, now_ns: int) -> pl.DataFrame:
        """What places hold as a chain of one time, in `CHAIN_SCHEMA`."""
        u, q = self._listing.universe, {name: column[places] for name, column in self._held.items()}
        contract = places % self._contracts
        frame = pl.DataFrame(
            {
                "venue": np.asarray(u.venues)[q["venue"]],
                "expiry": u.expiry_ns[contract],
                "strike": u.strike[contract],
                "is_call": u.is_call[contract] == 1,
                "settlement": np.where(u.in_coin[contract] == 1, "coin", "usd"),
                "forward": q["forward"],
                "ts_event": q["ts_event"],
                "ts_recv": q["ts_recv"],
                **{name: q[name] for name in ("bid", "ask", "bid_size", "ask_size")},
                "contract": contract,
            }
        )
        missing = {"mark", "mark_iv", "index", "open_interest"}
        return frame.with_columns(
            pl.lit(now_ns).alias("ts"),
            pl.lit(self._listing.underlying).alias("underlying"),
            pl.concat_str(pl.lit(self._listing.underlying), "contract", separator="-").alias(
                "instrument_name"
            ),
            *(pl.when(pl.col(name) > 0.0).then(pl.col(name)).alias(name) for name in ("bid", "ask")),
            *(pl.col(name).fill_nan(None) for name in ("bid_size", "ask_size")),
            *(pl.lit(None, dtype=pl.Float64()).alias(name) for name in missing),
        ).select(pl.col(name).cast(dtype) for name, dtype in CHAIN_SCHEMA.items())


def _newest_before(place: IntArray, event: IntArray, held: IntArray) -> IntArray:
    """Newest time of each row's place before it; rows sorted by place, those of one place as they came."""
    first = np.append(True, place[1:] != place[:-1])
    if first.all():
        return held
    if ((np.diff(event) >= 0) | first[1:]).all() and (event >= held).all():
        return np.where(first, held, np.append(held[:1], event[:-1]))
    values, ranks = np.unique(np.concatenate((event, held)), return_inverse=True)
    own, start = ranks[: event.size], ranks[event.size :]
    group = np.cumsum(first) * values.size
    running = np.maximum.accumulate(group + np.maximum(own, start))
    return np.asarray(values[np.where(first, start, np.append(0, running[:-1] - group[1:]))])
