"""Checks shared by the models: parameters, points and bounds."""

from collections.abc import Mapping

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray

__all__ = ["box_of", "checked_points", "limits_hit", "require_params"]


def require_params(model: str, values: Mapping[str, float], conditions: Mapping[str, bool]) -> None:
    """Refuse parameters outside their domain, naming each violated condition.

    Raises
    ------
    ConfigError
        If a value is not finite or a condition does not hold.
    """
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    if bad:
        found = ", ".join(f"{name} = {values[name]}" for name in bad)
        raise ConfigError(f"{model}: expected finite parameters, found {found}")
    broken = [condition for condition, holds in conditions.items() if not holds]
    if broken:
        found = ", ".join(f"{name} = {value:.6g}" for name, value in values.items())
        raise ConfigError(f"{model}: expected {' and '.join(broken)}, found {found}")


def checked_points(log_moneyness: ArrayLike, tau: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Broadcast points as float arrays.

    Raises
    ------
    DataError
        If a log-moneyness is not finite, or a tau is not positive and finite, or shapes do not fit.
    """
    k, years = np.asarray(log_moneyness, dtype=np.float64), np.asarray(tau, dtype=np.float64)
    if not np.isfinite(k).all():
        raise DataError("expected finite log-moneyness ln(K / F), found NaN or infinity; check strikes")
    if not (np.isfinite(years) & (years > 0.0)).all():
        raise DataError("expected finite tau > 0 in years; drop expired instruments first")
    try:
        k, years = np.broadcast_arrays(k, years)
    except ValueError as exc:
        raise DataError(f"expected shapes that broadcast, found {k.shape} and {years.shape}") from exc
    return k, years


def box_of(
    defaults: Mapping[str, tuple[float, float]], given: Mapping[str, tuple[float, float]] | None
) -> dict[str, tuple[float, float]]:
    """Bounds by parameter name: the defaults, replaced by those given.

    Raises
    ------
    ConfigError
        If a name is unknown or a lower bound is not below its upper one.
    """
    box = dict(defaults)
    for name, (low, high) in (given or {}).items():
        if name not in box:
            raise ConfigError(f"expected bounds for {', '.join(box)}, found {name!r}")
        if not low < high or not np.isfinite([low, high]).all():
            raise ConfigError(f"expected finite low < high for the bounds of {name}, found {low}, {high}")
        box[name] = (low, high)
    return box


def limits_hit(
    values: Mapping[str, float], box: Mapping[str, tuple[float, float]], share: float = 1e-6
) -> tuple[str, ...]:
    """Parameters that ended on a bound, in words."""
    found = []
    for name, value in values.items():
        low, high = box[name]
        slack = share * (high - low)
        if value <= low + min(slack, 1e-3 * abs(low) if low else slack):
            found.append(f"{name} is at its lower bound {low:.6g}")
        elif value >= high - slack:
            found.append(f"{name} is at its upper bound {high:.6g}")
    return tuple(found)
