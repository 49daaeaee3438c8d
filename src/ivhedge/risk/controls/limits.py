"""Limits that come in sets: Greeks of a scope, fills of a window, a two-step budget."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Final, Self

from ivhedge.core.errors import ConfigError

__all__ = ["GREEKS", "GREEK_UNITS", "Budget", "ExposureLimits", "FillLimits", "number"]

GREEKS: Final = ("delta", "gamma_1pct", "vega_usd_per_vol_point", "theta_usd_per_day")
GREEK_UNITS: Final = ("coin", "coin per 1 %", "USD per vol point", "USD per day")


def number(name: str, value: object) -> float:
    """A limit as float: 0 or above, infinite = off.

    Raises
    ------
    ConfigError
        If it is no number, NaN or negative.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0.0:
        raise ConfigError(f"expected {name} as a number at or above 0 (inf = off), found {value!r}")
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, number(f.name, getattr(self, f.name)))

    @classmethod
    def from_mapping(cls, name: str, values: object) -> Self:
        """Build from a table.

        Raises
        ------
        ConfigError
            If it is no table, or a key is unknown or missing.
        """
        allowed = [f.name for f in fields(cls)]
        if not isinstance(values, Mapping):
            raise ConfigError(f"expected a table of {allowed} for {name}, found {values!r}")
        unknown = sorted(str(key) for key in values if key not in allowed)
        if unknown:
            raise ConfigError(f"unknown keys {unknown} in {name}; allowed are {allowed}")
        try:
            return cls(**values)
        except TypeError:
            missing = [key for key in allowed if key not in values]
            raise ConfigError(f"{name} lacks {missing}; give inf for no limit") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureLimits(_Limits):
    """Largest absolute exposures of one scope; all four have to be given, infinite = no limit.

    Parameters
    ----------
    delta, gamma_1pct : float
        In coin, in the numeraire in which the caller counts.
    vega_usd_per_vol_point, theta_usd_per_day : float
    """

    delta: float
    gamma_1pct: float
    vega_usd_per_vol_point: float
    theta_usd_per_day: float

    @property
    def values(self) -> tuple[float, float, float, float]:
        """The limits in the order of `GREEKS`."""
        return (self.delta, self.gamma_1pct, self.vega_usd_per_vol_point, self.theta_usd_per_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillLimits(_Limits):
    """Most that may be filled in one underlying within the protection window.

    Parameters
    ----------
    quantity_coin : float
        Sum of absolute sizes, in coin.
    delta : float
        Absolute net, in coin.
    vega_usd_per_vol_point : float
        Absolute net.
    """

    quantity_coin: float = inf
    delta: float = inf
    vega_usd_per_vol_point: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(_Limits):
    """Shares of equity at which trading turns to REDUCING and to HALTED."""

    reduce: float = 0.02
    halt: float = 0.05

    def __post_init__(self) -> None:
        _Limits.__post_init__(self)
        if self.halt < self.reduce:
            raise ConfigError(f"expected halt at or above reduce, found {self.halt} and {self.reduce}")
