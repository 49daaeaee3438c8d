"""Positions as arrays, the account that carries them, and what to do about missing marks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, StaleQuote, UnknownInstrument
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.pricing import black76_price, implied_vol
from ivhedge.risk.legs import Legs, LegStatus

__all__ = [
    "CONSERVATIVE_VOL",
    "Account",
    "Collateral",
    "MarginPositions",
    "PositionKind",
    "positions_from_legs",
]

CONSERVATIVE_VOL = 5.0
"""Vol at which a short option without a vol is carried; a long one is worth nothing then."""


class PositionKind(IntEnum):
    """Kind of a position."""

    OPTION = 0
    FUTURE = 1
    PERPETUAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """A balance other than cash.

    Parameters
    ----------
    name : str
    amount, price : float
        Price in the margin currency.
    maintenance_haircut, initial_haircut : float
        Shares of the value charged; the initial one comes on top.
    risk_cancelling : bool
        Whether it moves with the underlying and offsets short deltas in the scenarios.
    confidence : float
        Of its price.
    """

    name: str
    amount: float
    price: float
    maintenance_haircut: float = 0.0
    initial_haircut: float = 0.0
    risk_cancelling: bool = False
    confidence: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.amount, self.price, self.maintenance_haircut, self.initial_haircut, self.confidence)
        if not np.isfinite(numbers).all() or self.amount < 0.0 or self.price < 0.0:
            raise DataError(f"collateral {self.name}: expected finite numbers of at least 0, found {numbers}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Balances beside the positions.

    Parameters
    ----------
    cash : float
        In the margin currency; negative when borrowed.
    unrealised : float
        P&L of futures and funding not yet in `cash`.
    collateral : tuple of Collateral
    stable_price : float
        USD price of the stablecoin that the account counts in.
    spot_confidence : float
    extra_initial : float
        Margin of open orders, market maker protection and spot, as the venue reports them.
    """

    cash: float = 0.0
    unrealised: float = 0.0
    collateral: tuple[Collateral, ...] = ()
    stable_price: float = 1.0
    spot_confidence: float = 1.0
    extra_initial: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.cash, self.unrealised, self.stable_price, self.spot_confidence, self.extra_initial)
        if not np.isfinite(numbers).all() or self.stable_price <= 0.0 or self.extra_initial < 0.0:
            raise DataError(
                "account: expected finite balances, a positive stable_price and extra_initial of at least 0, "
                f"found {numbers}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginPositions:
    """Positions of one underlying as parallel arrays of length n; size 0 for what may be traded.

    Parameters
    ----------
    underlying : str
    index : float
        Index (spot) price, USD.
    names : tuple of str
        A name that comes twice is one instrument, its sizes add up.
    kind : IntArray, shape (n,)
        `PositionKind`.
    size : FloatArray, shape (n,)
        Units of underlying, negative when short; an inverse future of N USD has N / price.
    mark : FloatArray, shape (n,)
        Option: per unit, in coin where inverse, else USD. Future: its price.
    forward, strike, tau, vol, rate : FloatArray, shape (n,)
        USD, USD, years (0 for a perpetual), decimal, decimal. A future's forward is its price.
    is_call, is_inverse : BoolArray, shape (n,)
    confidence : FloatArray, shape (n,)
        Lowest of the feeds behind the position (forward, rate, vol; or the perpetual's).
    age_s : FloatArray, shape (n,)
        Age of mark and vol.
    """

    underlying: str
    index: float
    names: tuple[str, ...]
    kind: IntArray
    size: FloatArray
    mark: FloatArray
    forward: FloatArray
    strike: FloatArray
    tau: FloatArray
    vol: FloatArray
    rate: FloatArray
    is_call: BoolArray
    is_inverse: BoolArray
    confidence: FloatArray
    age_s: FloatArray
    notes: tuple[str, ...] = ()
    short_only: BoolArray | None = None

    @classmethod
    def of(
        cls,
        *,
        underlying: str,
        index: float,
        names: Sequence[str],
        kind: ArrayLike,
        size: ArrayLike,
        forward: ArrayLike,
        mark: ArrayLike = np.nan,
        strike: ArrayLike = np.nan,
        tau: ArrayLike = 0.0,
        vol: ArrayLike = np.nan,
        rate: ArrayLike = 0.0,
        is_call: ArrayLike = False,
        is_inverse: ArrayLike = False,
        confidence: ArrayLike = 1.0,
        age_s: ArrayLike = 0.0,
    ) -> "MarginPositions":
        """Build from anything array-like; scalars hold for all.

        Raises
        ------
        DataError
            If shapes do not fit the number of names.
        """
        n = len(names)

        def row(value: ArrayLike, what: str) -> FloatArray:
            try:
                return np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)).copy()
            except (TypeError, ValueError) as exc:
                raise DataError(f"expected {what} as numbers of shape ({n},), found {value!r}") from exc

        return cls(
            underlying=underlying,
            index=float(index),
            names=tuple(names),
            kind=row(kind, "kind").astype(np.int64),
            size=row(size, "size"),
            mark=row(mark, "mark"),
            forward=row(forward, "forward"),
            strike=row(strike, "strike"),
            tau=row(tau, "tau"),
            vol=row(vol, "vol"),
            rate=row(rate, "rate"),
            is_call=row(is_call, "is_call").astype(np.bool_),
            is_inverse=row(is_inverse, "is_inverse").astype(np.bool_),
            confidence=row(confidence, "confidence"),
            age_s=row(age_s, "age_s"),
        )

    @property
    def is_option(self) -> BoolArray:
        """Where the position is an option."""
        return np.asarray(self.kind == PositionKind.OPTION)

    def sizes_of(self, trades: dict[str, float]) -> FloatArray:
        """Spread named sizes over the positions.

        Raises
        ------
        UnknownInstrument
            If a name is not among the positions.
        DataError
            If a size is not finite.
        """
        where = {name: i for i, name in reversed(list(enumerate(self.names)))}
        unknown = sorted(set(trades) - set(where))
        if unknown:
            raise UnknownInstrument(
                f"expected instruments among the positions of {self.underlying}, found {unknown[:3]}; "
                "add them with size 0"
            )
        out = np.zeros(len(self.names))
        for name, size in trades.items():
            if not np.isfinite(size):
                raise DataError(f"{name}: expected a finite size, found {size}")
            out[where[name]] += size
        return out

    def checked(self, *, max_age_s: float = np.inf, conservative: bool = False) -> "MarginPositions":
        """Positions fit for the kernels: errors for bad input, or conservative marks with a note.

        Parameters
        ----------
        max_age_s : float
            Older marks and vols count as missing.
        conservative : bool
            For an option without vol or mark: take the missing one from the other; without both, or where
            they are too old, carry a short at `CONSERVATIVE_VOL` and give a long no value. Otherwise raise.

        Raises
        ------
        StaleQuote
            If a mark is too old and not `conservative`.
        DataError
            If sizes, index, forwards, strikes or times are unusable (always), or vols or marks are missing
            and not `conservative`.
        """
        if not (np.isfinite(self.index) and self.index > 0.0):
            raise DataError(f"{self.underlying}: expected a positive index, found {self.index}; fetch it")
        if np.isnan(max_age_s) or max_age_s < 0.0:
            raise ConfigError(f"expected max_age_s of at least 0, found {max_age_s}")
        option = self.is_option
        self._refuse("a finite size", np.isfinite(self.size), self.size)
        self._refuse("a known kind", (self.kind >= 0) & (self.kind <= 2), self.kind)
        self._refuse("a positive forward", (self.forward > 0.0) & (self.forward < np.inf), self.forward)
        live = (self.tau >= 0.0) & (self.tau < 100.0) & ((self.tau > 0.0) | ~option)
        self._refuse("a live expiry (tau in years above 0); settle expired ones first", live, self.tau)
        self._refuse(
            "a positive strike", ~option | ((self.strike > 0.0) & (self.strike < np.inf)), self.strike
        )
        self._refuse("a finite rate", np.isfinite(self.rate), self.rate)
        confident = (self.confidence >= 0.0) & (self.confidence <= 1.0)
        self._refuse("a confidence from 0 to 1", confident, self.confidence)
        fresh = self.age_s <= max_age_s
        vol_there = np.isfinite(self.vol) & (self.vol > 0.0)
        mark_there = np.isfinite(self.mark) & (self.mark >= 0.0)
        good = ~option | (vol_there & mark_there & fresh)
        if good.all() and fresh.all():
            return self
        if not fresh.all() and (not conservative or (~fresh & ~option).any()):
            i = int(np.flatnonzero(~fresh)[0])
            raise StaleQuote(
                f"{self.names[i]}: expected a mark at most {max_age_s} s old, found {self.age_s[i]} s; "
                "refresh it, or pass conservative=True for options"
            )
        if not conservative:
            bad = int(np.flatnonzero(~good)[0])
            raise DataError(
                f"{self.names[bad]}: expected a vol above 0 and a mark of at least 0, "
                f"found {self.vol[bad]} and {self.mark[bad]}; refresh the surface, or pass conservative=True"
            )
        return self._conservative(vol_there & fresh, mark_there & fresh)

    def _conservative(self, vol_there: BoolArray, mark_there: BoolArray) -> "MarginPositions":
        option, vol, mark = self.is_option, self.vol.copy(), self.mark.copy()
        per_unit = np.where(self.is_inverse, self.forward, 1.0)
        rows = np.flatnonzero(option & ~vol_there & mark_there)
        if rows.size:
            vol[rows] = implied_vol(
                (mark * per_unit)[rows],
                self.forward[rows],
                self.strike[rows],
                self.tau[rows],
                self.is_call[rows],
            )
        lost = option & ~((vol > 0.0) & np.isfinite(vol) & (vol_there | mark_there))
        vol[lost] = CONSERVATIVE_VOL
        rows = np.flatnonzero(option & (lost | ~mark_there))
        price = black76_price(
            self.forward[rows], self.strike[rows], self.tau[rows], vol[rows], self.is_call[rows]
        )
        mark[rows] = price / per_unit[rows]
        notes = [
            f"{self.names[i]}: no usable vol or mark; short at vol {CONSERVATIVE_VOL}, long worth nothing"
            if lost[i]
            else f"{self.names[i]}: the missing one of vol and mark is taken from the other"
            for i in np.flatnonzero(option & ~(vol_there & mark_there))
        ]
        return replace(
            self, vol=vol, mark=mark, notes=self.notes + tuple(notes), short_only=lost, age_s=0.0 * self.age_s
        )

    def _refuse(self, expected: str, good: BoolArray, values: FloatArray | IntArray) -> None:
        if good.all():
            return
        i = int(np.flatnonzero(~good)[0])
        raise DataError(f"{self.names[i]}: expected {expected}, found {values[i]}")


def positions_from_legs(
    legs: Legs,
    underlying: str,
    index: float,
    *,
    venue: str | None = None,
    age_s: float = 0.0,
    conservative: bool = False,
) -> MarginPositions:
    """Positions of one underlying at one venue from legs priced on its surface; marks are the surface's.

    Parameters
    ----------
    legs : Legs
    underlying : str
    index : float
        USD.
    venue : str, optional
        Whose legs; may be left out where all are at one venue, since positions at two do not net.
    age_s : float
        Seconds by which the surface is older than the time of the margin.
    conservative : bool
        Take options without a vol; `prepare_margin` then marks them.

    Raises
    ------
    ConfigError
        If the legs are at several venues and none is named.
    UnknownInstrument
        If a leg has no surface.
    DataError
        If a leg has no forward or has expired; or no vol and not `conservative`.
    """
    rows = [
        i
        for i, item in enumerate(legs.instruments)
        if item.underlying == underlying and venue in (None, item.venue)
    ]
    venues = sorted({legs.instruments[i].venue for i in rows})
    if len(venues) > 1:
        raise ConfigError(f"expected positions at one venue, found {venues}; name one, margin each apart")
    for i in rows:
        status = legs.status[i]
        if status is LegStatus.OK or (status is LegStatus.NO_VOL and conservative):
            continue
        error = UnknownInstrument if status is LegStatus.NO_SURFACE else DataError
        raise error(f"{legs.instruments[i].key}: expected a price, found {status}: {status.describe()}")
    items = [legs.instruments[i] for i in rows]
    forward, option = legs.forward[rows], legs.is_option[rows]
    inverse = legs.is_inverse[rows]
    vol = np.where(option, legs.vol[rows], np.nan)
    tau = np.where(np.isfinite(legs.tau[rows]), legs.tau[rows], 0.0)
    mark = forward.copy()
    known = np.flatnonzero(option & np.isfinite(vol))
    price = black76_price(
        forward[known], legs.strike[rows][known], tau[known], vol[known], legs.is_call[rows][known]
    )
    mark[option] = np.nan
    mark[known] = price / np.where(inverse[known], forward[known], 1.0)
    kinds = {
        "option": PositionKind.OPTION,
        "future": PositionKind.FUTURE,
        "perpetual": PositionKind.PERPETUAL,
    }
    return MarginPositions.of(
        underlying=underlying,
        index=index,
        names=[item.key for item in items],
        kind=[int(kinds[item.kind.value]) for item in items],
        size=np.where(inverse & ~option, legs.size[rows] / forward, legs.size[rows]),
        mark=mark,
        forward=forward,
        strike=legs.strike[rows],
        tau=tau,
        vol=vol,
        is_call=legs.is_call[rows],
        is_inverse=inverse,
        age_s=np.full(len(rows), age_s),
    )
