"""What a delta policy sees, and the zone in which it leaves a hedge alone."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ivhedge.core.errors import DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray

__all__ = ["HedgeMoment", "Zone", "moment_of_option", "normal_density"]

_ROOT_TWO_PI = 2.5066282746310002
_FIELDS = ("target", "gamma", "log_moneyness", "tau", "vol", "spot", "hedge", "elapsed", "move")


def normal_density(x: FloatArray) -> FloatArray:
    """Density of the standard normal."""
    return np.asarray(np.exp(-0.5 * x * x) / _ROOT_TWO_PI)


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeMoment:
    """The state of positions at one time, each of one option; every array broadcasts against the others.

    Parameters
    ----------
    target : FloatArray
        Hedge that makes the position delta neutral at its own vol, coins: minus the position's delta.
    gamma : FloatArray
        Of the position per USD, signed: negative for a short option. Zero switches every correction off.
    log_moneyness : FloatArray
        ln(F/K), F the forward of the option's expiry.
    tau : FloatArray
        Time to expiry, years, >= 0.
    vol : FloatArray
        Decimal, > 0.
    spot : FloatArray
        Of the hedge instrument, USD, > 0.
    hedge : FloatArray
        Held now, coins.
    elapsed : FloatArray
        Years since the last trade; infinite before the first.
    move : FloatArray
        |ln(spot / spot of the last trade)|; infinite before the first.
    rate : float
        Continuously compounded, per year.

    Raises
    ------
    DataError
        If a value is NaN or outside its range.
    """

    target: FloatArray
    gamma: FloatArray
    log_moneyness: FloatArray
    tau: FloatArray
    vol: FloatArray
    spot: FloatArray
    hedge: FloatArray
    elapsed: FloatArray
    move: FloatArray
    rate: float = 0.0

    def __post_init__(self) -> None:
        for name in _FIELDS:
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        for name in ("target", "gamma", "log_moneyness", "hedge"):
            _demand(name, getattr(self, name), "finite numbers", np.isfinite(getattr(self, name)))
        for name in ("vol", "spot"):
            value = getattr(self, name)
            _demand(name, value, "finite numbers above 0", np.isfinite(value) & (value > 0.0))
        for name in ("elapsed", "move"):
            _demand(name, getattr(self, name), "numbers at or above 0", getattr(self, name) >= 0.0)
        _demand("tau", self.tau, "finite years at or above 0", np.isfinite(self.tau) & (self.tau >= 0.0))
        if not np.isfinite(self.rate):
            raise DataError(f"expected a finite rate of a hedge moment, found {self.rate}")

    @property
    def total_vol(self) -> FloatArray:
        """Vol times the square root of time to expiry."""
        return np.asarray(self.vol * np.sqrt(self.tau))

    @property
    def cash_gamma(self) -> FloatArray:
        """Absolute gamma times spot: change of delta for a relative move of one."""
        return np.asarray(np.abs(self.gamma) * self.spot)

    @property
    def discount(self) -> FloatArray:
        """Factor from expiry to now."""
        return np.asarray(np.exp(-self.rate * self.tau))

    def target_at(self, total_vol: FloatArray) -> FloatArray:
        """Hedge target when the option is seen at another total vol, e.g. a modified one.

        Parameters
        ----------
        total_vol : FloatArray
            >= 0.
        """
        change = _call_delta(self.log_moneyness, total_vol) - _call_delta(self.log_moneyness, self.total_vol)
        return np.asarray(self.target - np.sign(self.gamma) * change)


@dataclass(frozen=True, slots=True)
class Zone:
    """Hedges that are left alone, and where those outside go.

    Parameters
    ----------
    lower, upper : FloatArray
        The range, coins.
    to_lower, to_upper : FloatArray
        What a hedge below `lower` and one above `upper` becomes: the edge where costs are proportional.
    """

    lower: FloatArray
    upper: FloatArray
    to_lower: FloatArray
    to_upper: FloatArray

    @classmethod
    def point(cls, target: FloatArray) -> "Zone":
        """No hedge but the target is left alone."""
        return cls(target, target, target, target)

    @classmethod
    def to_edge(cls, lower: FloatArray, upper: FloatArray) -> "Zone":
        """Trade to the nearest edge."""
        return cls(lower, upper, lower, upper)

    def apply(self, hedge: FloatArray) -> FloatArray:
        """New hedge."""
        new = np.where(hedge < self.lower, self.to_lower, np.where(hedge > self.upper, self.to_upper, hedge))
        return np.asarray(new, dtype=np.float64)


def moment_of_option(
    *,
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    hedge: ArrayLike = 0.0,
    elapsed: ArrayLike = np.inf,
    move: ArrayLike = np.inf,
    position: int = -1,
    is_call: bool = True,
    rate: float = 0.0,
) -> HedgeMoment:
    """Build the state of one option held long or short, hedged at Black-Scholes delta.

    Parameters
    ----------
    spot, strike : array_like
        USD, > 0.
    tau, vol : array_like
        Years and decimal.
    hedge, elapsed, move : array_like
        As in `HedgeMoment`.
    position : int
        +1 long, -1 short.
    is_call : bool
    rate : float

    Raises
    ------
    DataError
        If an input is outside its range.
    """
    if position not in (-1, 1):
        raise DataError(f"expected position +1 or -1, found {position}")
    spot_, strike_, tau_, vol_ = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (spot, strike, tau, vol))
    )
    for name, value in (("spot", spot_), ("strike", strike_), ("vol", vol_)):
        _demand(name, value, "finite numbers above 0", np.isfinite(value) & (value > 0.0))
    _demand("tau", tau_, "finite years at or above 0", np.isfinite(tau_) & (tau_ >= 0.0))
    log_moneyness = np.log(spot_ / strike_) + rate * tau_
    total_vol = vol_ * np.sqrt(tau_)
    safe = np.where(total_vol > 0.0, total_vol, 1.0)
    d1 = log_moneyness / safe + 0.5 * safe
    gamma = np.where(total_vol > 0.0, normal_density(d1) / (spot_ * safe), 0.0)
    delta = _call_delta(log_moneyness, total_vol) - (0.0 if is_call else 1.0)
    return HedgeMoment(
        target=-position * delta,
        gamma=position * gamma,
        log_moneyness=log_moneyness,
        tau=tau_,
        vol=vol_,
        spot=spot_,
        hedge=np.asarray(hedge, dtype=np.float64),
        elapsed=np.asarray(elapsed, dtype=np.float64),
        move=np.asarray(move, dtype=np.float64),
        rate=rate,
    )


def _call_delta(log_moneyness: FloatArray, total_vol: FloatArray) -> FloatArray:
    # At no variance the option is worth its intrinsic value; at the strike itself half of it counts.
    safe = np.where(total_vol > 0.0, total_vol, 1.0)
    settled = 0.5 * (1.0 + np.sign(log_moneyness))
    return np.asarray(np.where(total_vol > 0.0, ndtr(log_moneyness / safe + 0.5 * safe), settled))


def _demand(name: str, value: FloatArray, wanted: str, good: BoolArray) -> None:
    if not np.all(good):
        found = np.ravel(value[~good])[0]
        raise DataError(f"expected {name} to be {wanted}, found {found}; correct or leave out such positions")
