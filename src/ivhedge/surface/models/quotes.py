"""Quotes as the models of this package take them: bid and ask vols by expiry."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ivhedge.core.errors import CalibrationError, CrossedQuote, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.market import QuoteVols
from ivhedge.surface.selection import QuoteSelection

__all__ = ["HALF_SPREAD_FLOOR", "VolQuotes"]

HALF_SPREAD_FLOOR = 0.001
"""Smallest half-spread used for a weight, decimal vol: a locked quote is not infinitely certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolQuotes:
    """Two-sided quotes of one or more expiries, expiry s in rows ``offsets[s]:offsets[s + 1]``.

    Parameters
    ----------
    log_moneyness, bid_vol, ask_vol : FloatArray, shape (q,)
        ln(K / F) and decimal vols, bid <= ask.
    mid_vol : FloatArray, shape (q,)
        Vol of the mid price, between bid and ask.
    offsets : IntArray, shape (n + 1,)
    taus : FloatArray, shape (n,)
        Years, strictly ascending, positive.

    Raises
    ------
    DataError
        If shapes do not fit, a number is NaN or infinite, a vol is not positive, a mid lies outside its
        bid and ask, or the taus are not positive and ascending.
    CrossedQuote
        If a bid lies above its ask.
    """

    log_moneyness: FloatArray
    bid_vol: FloatArray
    ask_vol: FloatArray
    mid_vol: FloatArray
    offsets: IntArray
    taus: FloatArray

    def __post_init__(self) -> None:
        columns = ("log_moneyness", "bid_vol", "ask_vol", "mid_vol")
        arrays = {name: np.asarray(getattr(self, name), dtype=np.float64) for name in columns}
        shapes = {name: values.shape for name, values in arrays.items()}
        count = arrays["log_moneyness"].size
        if set(shapes.values()) != {(count,)}:
            raise DataError(f"expected log_moneyness, bid_vol, ask_vol, mid_vol of one shape, found {shapes}")
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                bad = int(np.flatnonzero(~np.isfinite(values))[0])
                raise DataError(f"expected finite {name}, found {values[bad]} at row {bad}; drop such quotes")
        self._check_order(arrays)
        for name, values in arrays.items():
            object.__setattr__(self, name, _frozen(values))
        self._set_expiries(count)

    @staticmethod
    def _check_order(arrays: dict[str, FloatArray]) -> None:
        bid, ask, mid = arrays["bid_vol"], arrays["ask_vol"], arrays["mid_vol"]
        if not (bid > 0.0).all():
            raise DataError(f"expected vols above 0, found {bid.min()}; drop one-sided quotes first")
        if (ask < bid).any():
            row = int(np.argmin(ask - bid))
            raise CrossedQuote(
                f"expected bid_vol <= ask_vol, found bid {bid[row]} above ask {ask[row]} at row {row}"
            )
        slack = 1e-9 * ask
        if ((mid < bid - slack) | (mid > ask + slack)).any():
            raise DataError("expected mid_vol between bid_vol and ask_vol; check the columns")

    def _set_expiries(self, count: int) -> None:
        taus = np.asarray(self.taus, dtype=np.float64)
        offsets = np.asarray(self.offsets, dtype=np.int64)
        if taus.ndim != 1 or taus.size == 0 or count == 0:
            raise DataError("expected at least one expiry with quotes, found none")
        if not (np.isfinite(taus) & (taus > 0.0)).all():
            raise DataError(f"expected finite tau > 0, found {taus.tolist()}; drop expired instruments first")
        if (np.diff(taus) <= 0.0).any():
            raise DataError(
                f"expected strictly ascending taus, found {taus.tolist()}; sort and merge expiries"
            )
        if offsets.shape != (taus.size + 1,) or (np.diff(offsets) < 1).any():
            raise DataError("expected n + 1 ascending offsets and no empty expiry")
        if offsets[0] != 0 or offsets[-1] != count:
            raise DataError(f"expected offsets from 0 to {count}, found {offsets.tolist()}")
        object.__setattr__(self, "taus", _frozen(taus))
        offsets = offsets.copy()
        offsets.setflags(write=False)
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def one_expiry(
        cls,
        log_moneyness: ArrayLike,
        tau: float,
        bid_vol: ArrayLike,
        ask_vol: ArrayLike,
        mid_vol: ArrayLike | None = None,
    ) -> Self:
        """Quotes of a single expiry; without `mid_vol` it is the mean of bid and ask vol."""
        k = np.asarray(log_moneyness, dtype=np.float64)
        bid, ask = np.asarray(bid_vol, dtype=np.float64), np.asarray(ask_vol, dtype=np.float64)
        mid = 0.5 * (bid + ask) if mid_vol is None else np.asarray(mid_vol, dtype=np.float64)
        offsets, taus = np.array([0, k.size]), np.array([tau], dtype=np.float64)
        return cls(log_moneyness=k, bid_vol=bid, ask_vol=ask, mid_vol=mid, offsets=offsets, taus=taus)

    @classmethod
    def from_selection(cls, quotes: QuoteVols, selection: QuoteSelection) -> Self:
        """Take the quotes that `select_quotes` chose, with their own bid, ask and mid vols."""
        rows = selection.rows
        return cls(
            log_moneyness=quotes.log_moneyness[rows],
            bid_vol=quotes.bid_iv[rows],
            ask_vol=quotes.ask_iv[rows],
            mid_vol=quotes.centre_iv[rows],
            offsets=selection.packed.offsets,
            taus=selection.packed.taus,
        )

    def __len__(self) -> int:
        return int(self.log_moneyness.size)

    @property
    def half_spread(self) -> FloatArray:
        """Half of ask less bid, not below `HALF_SPREAD_FLOOR`; decimal vol, shape (q,)."""
        return np.asarray(np.maximum(0.5 * (self.ask_vol - self.bid_vol), HALF_SPREAD_FLOOR))

    @property
    def owner(self) -> IntArray:
        """Expiry number of each quote, shape (q,)."""
        return np.repeat(np.arange(self.taus.size), np.diff(self.offsets))

    def expiry(self, number: int) -> "VolQuotes":
        """Quotes of one expiry alone."""
        rows = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return VolQuotes.one_expiry(
            self.log_moneyness[rows],
            float(self.taus[number]),
            self.bid_vol[rows],
            self.ask_vol[rows],
            self.mid_vol[rows],
        )

    def require(self, *, parameters: int, single: bool = False) -> None:
        """Refuse quotes that cannot determine a model.

        Raises
        ------
        CalibrationError
            If there are fewer quotes at distinct points than parameters, or several expiries where `single`
            asks for one.
        """
        if single and self.taus.size != 1:
            raise CalibrationError(f"expected one expiry, found {self.taus.size}; fit each `expiry(i)`")
        points = np.unique(np.column_stack((self.log_moneyness, self.owner)), axis=0).shape[0]
        if points < parameters:
            raise CalibrationError(
                f"expected at least {parameters} quotes at distinct strikes, as many as parameters, found "
                f"{points}; use a model with fewer parameters or add quotes"
            )


def _frozen(values: FloatArray) -> FloatArray:
    copy = np.array(values, dtype=np.float64)
    copy.setflags(write=False)
    return copy
