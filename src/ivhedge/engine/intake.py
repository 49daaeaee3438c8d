"""What a snapshot has to be before anything is marked or traded on it.

The surface cleans its own quotes and counts what it drops. A board needs less: each instrument once, and
null where a price cannot be one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from ivhedge.core.errors import DataError
from ivhedge.core.units import format_ns
from ivhedge.engine.board import with_perpetual
from ivhedge.market.snapshot import MarketSnapshot

__all__ = ["Intake", "usable_quotes"]

_KEY = ("venue", "instrument_name")
_SIZES = ("bid_size", "ask_size")


def usable_quotes(snapshot: MarketSnapshot) -> tuple[MarketSnapshot, int]:
    """Null what cannot be a price and keep each instrument once, the last row standing.

    Parameters
    ----------
    snapshot : MarketSnapshot

    Returns
    -------
    MarketSnapshot
        Prices are positive and finite or null; sizes are null (unknown) or at least 0, where a negative
        size counts as nothing displayed.
    int
        Rows that were dropped or changed.
    """
    chain, bad_options = _usable(snapshot.chain, ("bid", "ask", "mark", "forward"))
    futures, bad_futures = _usable(snapshot.futures, ("bid", "ask", "mark"))
    return replace(snapshot, chain=chain, futures=futures), bad_options + bad_futures


def _usable(table: pl.DataFrame, prices: tuple[str, ...]) -> tuple[pl.DataFrame, int]:
    once = table.unique(subset=_KEY, keep="last", maintain_order=True)
    # Records write 0 for a side that is not there and for the mark of a worthless option: mended, not told.
    wrong = [pl.col(name).is_infinite() | pl.col(name).is_nan() | (pl.col(name) < 0.0) for name in prices]
    wrong += [pl.col(name) < 0.0 for name in _SIZES]
    n_wrong = int(once.select(pl.any_horizontal(wrong).fill_null(False).sum()).item() or 0)
    mended = once.with_columns(
        *(
            pl.when(pl.col(name).is_finite() & (pl.col(name) > 0.0)).then(pl.col(name)).alias(name)
            for name in prices
        ),
        *(pl.col(name).fill_nan(None).clip(lower_bound=0.0) for name in _SIZES),
    )
    return mended, table.height - once.height + n_wrong


@dataclass(slots=True)
class Intake:
    """Takes snapshots in and remembers what was missing, silent or wrong about them.

    Parameters
    ----------
    venue : str
        The book's venue.
    """

    venue: str
    underlyings: frozenset[str] = frozenset()
    incomplete: list[str] = field(default_factory=list)
    bad_quotes: int = 0
    made_up_perpetuals: int = 0
    quoted_venues: set[str] = field(default_factory=set)
    _real_perpetuals: set[str] = field(default_factory=set)
    _looks: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))

    def take(self, members: Sequence[MarketSnapshot]) -> list[MarketSnapshot]:
        """Snapshots of one time with their perpetuals; none if an underlying of the first time is missing."""
        for snapshot in members:
            self._looks[snapshot.underlying].append((snapshot.ts_ns, snapshot.index))
        names = {snapshot.underlying for snapshot in members}
        self.underlyings = self.underlyings or frozenset(names)
        strange, missing = sorted(names - self.underlyings), sorted(self.underlyings - names)
        at = format_ns(members[0].ts_ns)
        self.incomplete += [f"{name} at {at} was not there at the first time" for name in strange]
        if missing:
            others = sorted(names & self.underlyings)
            self.incomplete += [f"{name} at {at} came without {', '.join(missing)}" for name in others]
            return []
        return [self._with_perpetual(s) for s in members if s.underlying in self.underlyings]

    def mend(self, snapshot: MarketSnapshot) -> MarketSnapshot:
        """Make a snapshot fit for a board and count what was wrong."""
        mended, count = usable_quotes(snapshot)
        self.bad_quotes += count
        for table in (mended.chain, mended.futures):
            self.quoted_venues |= set(table["venue"].unique().to_list())
        return mended

    def looks_around(self, underlying: str, ts_ns: int) -> tuple[tuple[int, float], tuple[int, float]]:
        """Times and indices next to a time; times that were passed over tell theirs all the same."""
        seen = self._looks[underlying]
        before = max((look for look in seen if look[0] <= ts_ns), default=seen[0])
        return before, min((look for look in seen if look[0] >= ts_ns), default=seen[-1])

    def forget(self) -> None:
        """Drop what lies before the last time: everything that expired before it has been settled."""
        for seen in self._looks.values():
            del seen[:-1]

    def require_complete(self, most: float) -> None:
        """Refuse underlyings that do not come together.

        Raises
        ------
        DataError
            If more than `most` snapshots do not fit the underlyings of the first time.
        """
        if len(self.incomplete) > most:
            raise DataError(
                f"expected {', '.join(sorted(self.underlyings))} at every time, as at the first; "
                f"{len(self.incomplete)} snapshots do not fit, the first: {self.incomplete[0]}; "
                "choose one underlying, or a window in which all are recorded"
            )

    def _with_perpetual(self, snapshot: MarketSnapshot) -> MarketSnapshot:
        completed, made_up = with_perpetual(snapshot, self.venue)
        if not made_up:
            self._real_perpetuals.add(snapshot.underlying)
        elif snapshot.underlying in self._real_perpetuals:
            return snapshot  # the venue has one and is silent: nobody could trade it now
        self.made_up_perpetuals += made_up
        return completed
