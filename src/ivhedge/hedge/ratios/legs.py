"""Options as arrays, with what a hedge ratio has to know of the smile at their strikes."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.pricing import black76_greeks
from ivhedge.surface.base import VolSurface
from ivhedge.surface.dynamics import StickyMoneyness, fixed_strike_vol_slope

__all__ = ["RatioLegs", "ratio_legs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioLegs:
    """Options of one moment, arrays of shape (n,).

    Parameters
    ----------
    forward : FloatArray
        Of each option's own expiry, USD.
    strike : FloatArray
        USD.
    tau : FloatArray
        Years, positive.
    is_call : BoolArray
    vol : FloatArray
        Of the strike, decimal.
    skew : FloatArray
        ∂σ/∂k at the strike, k = ln(K/F); read by the sticky and factor ratios alone.
    atm_vol : FloatArray
        At the forward; read by the factor ratio alone.

    Raises
    ------
    ConfigError
        If shapes differ.
    DataError
        If a number is missing, or a price, time or vol is not positive.
    """

    forward: FloatArray
    strike: FloatArray
    tau: FloatArray
    is_call: BoolArray
    vol: FloatArray
    skew: FloatArray
    atm_vol: FloatArray

    def __post_init__(self) -> None:
        shape = np.shape(self.forward)
        for name in ("forward", "strike", "tau", "vol", "skew", "atm_vol"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or values.shape != shape:
                raise ConfigError(f"expected {name} of shape {shape} in one dimension, found {values.shape}")
            bad = ~np.isfinite(values) if name == "skew" else ~(np.isfinite(values) & (values > 0.0))
            if bad.any():
                at = int(np.flatnonzero(bad)[0])
                raise DataError(
                    f"expected {'finite' if name == 'skew' else 'finite, positive'} {name}, found "
                    f"{values[at]} at option {at} and {int(bad.sum())} such; leave these options out"
                )
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        call = np.array(self.is_call)
        if call.dtype != np.bool_ or call.shape != shape:
            raise ConfigError(f"expected boolean is_call of shape {shape}, found {call.dtype} {call.shape}")
        call.setflags(write=False)
        object.__setattr__(self, "is_call", call)

    def __len__(self) -> int:
        return int(self.forward.size)

    @property
    def days(self) -> FloatArray:
        """Days to expiry."""
        return self.tau * DAYS_PER_YEAR

    @property
    def log_moneyness(self) -> FloatArray:
        """ln(K/F)."""
        return np.asarray(np.log(self.strike / self.forward))

    @property
    def call_delta(self) -> FloatArray:
        """N(d1), of calls and puts alike: it names the strike."""
        return self.greeks("delta")["delta"] + np.where(self.is_call, 0.0, 1.0)

    def greeks(self, *names: str) -> dict[str, FloatArray]:
        """Black-76 Greeks at the vol of the strike, USD, per unit of vol and year."""
        return black76_greeks(self.forward, self.strike, self.tau, self.vol, self.is_call, names=names)


def ratio_legs(surface: VolSurface, strike: ArrayLike, tau: ArrayLike, is_call: ArrayLike) -> RatioLegs:
    """Read options off a surface.

    Parameters
    ----------
    surface : VolSurface
    strike, tau : array_like, broadcastable to shape (n,)
        USD and years.
    is_call : array_like of bool

    Raises
    ------
    ConfigError
        If a tau is not positive or shapes do not fit.
    DataError
        If the surface has no forward or vol there.
    """
    K, years, call = np.broadcast_arrays(
        np.atleast_1d(np.asarray(strike, np.float64)), np.asarray(tau, np.float64), np.asarray(is_call)
    )
    forward = np.asarray(surface.forward(years), dtype=np.float64)
    k = np.log(K / forward)
    return RatioLegs(
        forward=forward,
        strike=K,
        tau=years,
        is_call=call,
        vol=np.asarray(surface.implied_vol(k, years)),
        # Sticky moneyness has R = 0: the vol of a fixed strike moves by minus the skew.
        skew=-fixed_strike_vol_slope(surface, StickyMoneyness(), k, years),
        atm_vol=np.asarray(surface.implied_vol(np.zeros_like(k), years)),
    )
