"""What delta hedging left of options over one step: the sample that hedge ratios are fitted to and judged on.

An option is held from one look to the next against its Black-Scholes delta in the forward of its own expiry:

    residual = (V' − V − θ·Δt − delta·(F' − F)) / F,      exposure = vega/F · (F' − F)/F,

V in USD at the marks, θ that of Black-76 at the start, which is known then and hedges nothing. Both are in
coins at the start. Hedging β more leaves ``residual − β·exposure``. An account kept in coin sees the same:
with c = V/F, the coin delta δ_c = delta − c in an inverse future, which pays (F' − F)/F' a coin,

    c' − c − δ_c·(F' − F)/F' = (V' − V − delta·(F' − F))/F'   exactly,

so a hedge that is best in USD is best in coin, to the order of F/F'.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.hedge.ratios.legs import RatioLegs

__all__ = ["HedgeSteps", "hedge_steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeSteps:
    """Options over one step, arrays of shape (n,).

    Parameters
    ----------
    days, call_delta : FloatArray
        Time to expiry and N(d1) at the start: they name the bucket.
    residual : FloatArray
        Profit beside theta that Black-Scholes hedging left, coins per option.
    exposure : FloatArray
        The same per unit of β.

    Raises
    ------
    DataError
        If shapes differ or a number is not finite.
    """

    days: FloatArray
    call_delta: FloatArray
    residual: FloatArray
    exposure: FloatArray

    def __post_init__(self) -> None:
        shape = np.shape(self.days)
        for name in ("days", "call_delta", "residual", "exposure"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or values.shape != shape or not np.isfinite(values).all():
                raise DataError(
                    f"expected finite {name} of shape {shape}, found {values.shape} with "
                    f"{int((~np.isfinite(values)).sum())} not finite; leave options without a mark out"
                )
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return int(self.days.size)


def hedge_steps(
    legs: RatioLegs, forward_after: ArrayLike, value_after: ArrayLike, elapsed_days: float
) -> HedgeSteps:
    """Residuals and exposures of options from one look to the next.

    Parameters
    ----------
    legs : RatioLegs
        At the start.
    forward_after, value_after : array_like, shape (n,)
        Forward of the same expiry and value of the same option at the end, USD.
    elapsed_days : float

    Raises
    ------
    ConfigError
        If no time has passed or an option expires within the step.
    DataError
        If a number at the end is missing.
    """
    if not 0.0 < elapsed_days < np.inf:
        raise ConfigError(f"expected elapsed_days above 0, found {elapsed_days}")
    if len(legs) and elapsed_days >= legs.days.min():
        raise ConfigError(
            f"expected options that outlive a step of {elapsed_days:g} days, found {legs.days.min():g}"
        )
    after, value = np.asarray(forward_after, np.float64), np.asarray(value_after, np.float64)
    if after.shape != (len(legs),) or value.shape != after.shape:
        raise DataError(f"expected {len(legs)} forwards and values, found {after.shape} and {value.shape}")
    if not (np.isfinite(after).all() and np.isfinite(value).all() and (after > 0.0).all()):
        raise DataError(
            "expected positive forwards and finite values at the end; leave options without them out"
        )
    greeks = legs.greeks("price", "delta", "vega", "theta")
    move = after - legs.forward
    profit = (
        value - greeks["price"] - greeks["theta"] * (elapsed_days / DAYS_PER_YEAR) - greeks["delta"] * move
    )
    return HedgeSteps(
        days=legs.days,
        call_delta=greeks["delta"] + np.where(legs.is_call, 0.0, 1.0),
        residual=profit / legs.forward,
        exposure=greeks["vega"] * move / legs.forward**2,
    )
