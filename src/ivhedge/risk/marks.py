"""Marks of options as prices and implied vols, with a status per option."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import ArrayLike, FloatArray, StatusArray
from ivhedge.pricing import implied_vol

__all__ = ["MarkStatus", "OptionMarks", "mark_options"]


class MarkStatus(IntEnum):
    """Where the vol of a mark came from."""

    OK = 0
    SURFACE_VOL = 1
    NO_VOL = 2
    EXPIRED = 3

    def describe(self) -> str:
        """What it means."""
        return (
            "vol implied by the mark",
            "the mark has no implied vol; the surface's vol stands in and the residual takes the gap",
            "neither the mark nor the surface has a vol; the value change is all residual",
            "at expiry; the value is the payoff",
        )[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionMarks:
    """Marks of n options at one time.

    Parameters
    ----------
    price : FloatArray, shape (n,)
        In each option's settlement currency, per unit of underlying.
    forward, vol, tau : FloatArray, shape (n,)
        USD, decimal (NaN where the status says there is none), years.
    status : StatusArray, shape (n,)
        `MarkStatus` of each vol.
    """

    price: FloatArray
    forward: FloatArray
    vol: FloatArray
    tau: FloatArray
    status: StatusArray


def mark_options(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    is_call: ArrayLike,
    is_coin: ArrayLike,
    surface_vol: ArrayLike,
) -> OptionMarks:
    """Invert the marks of options, falling back on the surface's vol.

    Parameters
    ----------
    price : array_like, shape (n,)
        Marks per unit of underlying, in coin where `is_coin`, else USD.
    forward, strike, tau : array_like, shape (n,)
    is_call, is_coin : array_like of bool, shape (n,)
    surface_vol : array_like, shape (n,)
        Used where the mark has no implied vol (below intrinsic, say); may be NaN.

    Raises
    ------
    DataError
        If a price or forward is not finite, or a forward is not positive.
    """
    price, forward, strike, tau, fallback = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (price, forward, strike, tau, surface_vol))
    )
    if not (np.isfinite(price).all() and np.isfinite(forward).all() and (forward > 0.0).all()):
        raise DataError("expected finite marks and positive forwards to attribute P&L; mark every leg first")
    coin = np.broadcast_to(np.asarray(is_coin, dtype=np.bool_), price.shape)
    call = np.broadcast_to(np.asarray(is_call, dtype=np.bool_), price.shape)
    alive = tau > 0.0
    vol = np.full(price.shape, np.nan)
    usd = np.where(coin, price * forward, price)
    vol[alive] = implied_vol(usd[alive], forward[alive], strike[alive], tau[alive], call[alive])
    usable = np.isfinite(fallback) & (fallback > 0.0)
    status = np.where(
        np.isfinite(vol), MarkStatus.OK, np.where(usable, MarkStatus.SURFACE_VOL, MarkStatus.NO_VOL)
    )
    status = np.where(alive, status, MarkStatus.EXPIRED)
    vol = np.where(status == MarkStatus.SURFACE_VOL, fallback, vol)
    return OptionMarks(
        price=price.copy(), forward=forward.copy(), vol=vol, tau=tau.copy(), status=status.astype(np.uint8)
    )
