"""What a stress is made of: moves of spot, vol, skew and time, and what breaks besides prices."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT

__all__ = ["LiquidityShock", "SkewShock", "Stress", "StressCatalogue", "StressKind", "VenueShock", "VolShift"]


class StressKind(StrEnum):
    """Whether a stress is a day that happened or one made up."""

    HISTORICAL = "historical"
    HYPOTHETICAL = "hypothetical"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolShift:
    """Shock of the vols: that of 30 days times ``(30 / max(days, min_days))**power``.

    Parameters
    ----------
    points_30d, relative_30d : float or None
        Vol points, or a share of the vol; exactly one of them.
    power : float
        Decay with the tenor; 0 moves all tenors alike.
    min_days : float
        Shorter tenors move like this one.
    """

    points_30d: float | None = None
    relative_30d: float | None = None
    power: float
    min_days: float

    def __post_init__(self) -> None:
        if (self.points_30d is None) == (self.relative_30d is None):
            raise ConfigError("expected either points_30d or relative_30d")
        if self.min_days <= 0.0 or self.power < 0.0:
            raise ConfigError(
                f"expected min_days above 0 and power at least 0, found {self.min_days} and {self.power}"
            )

    def applied(self, vol: FloatArray, tau: FloatArray) -> FloatArray:
        """Vols after the shock, at least 0, shape (n,); `vol` decimal, `tau` in years, shape (n,) each."""
        scale = (30.0 / np.maximum(tau * DAYS_PER_YEAR, self.min_days)) ** self.power
        if self.points_30d is not None:
            return np.asarray(np.maximum(vol + VOL_POINT * self.points_30d * scale, 0.0))
        return np.asarray(vol * np.maximum(1.0 + (self.relative_30d or 0.0) * scale, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewShock:
    """Vol points that the 25-delta risk reversal (call less put) gains at every tenor."""

    points: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueShock:
    """A venue out of reach.

    Parameters
    ----------
    venue : str
        Its name, or ``each``: the one whose loss would hurt most.
    lost_share : float
        Share of what the venue owes after the move that is lost, 0 to 1.
    """

    venue: str
    lost_share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.lost_share <= 1.0:
            raise ConfigError(f"expected lost_share from 0 to 1, found {self.lost_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityShock:
    """Cost of closing every position after the move.

    Parameters
    ----------
    spread_multiple : float
        Times the usual half-spread, at least 1.
    option_half_spread_vol_points, option_half_spread_share : float
        Usual half-spread of an option: the larger of so many vol points of its vega and this share of its
        time value, where the caller gives none.
    future_half_spread_bps : float
        Usual half-spread of a future.
    depth_left : float
        Share of the usual depth that is left, above 0 to 1.
    option_depth_usd, future_depth_usd : float
        Usual depth in notional; beyond what is left of it the cost per unit grows with the square root.
    """

    spread_multiple: float
    option_half_spread_vol_points: float
    option_half_spread_share: float
    future_half_spread_bps: float
    depth_left: float
    option_depth_usd: float
    future_depth_usd: float

    def __post_init__(self) -> None:
        if self.spread_multiple < 1.0 or not 0.0 < self.depth_left <= 1.0:
            raise ConfigError(
                f"expected spread_multiple at least 1 and depth_left above 0 to 1, found "
                f"{self.spread_multiple} and {self.depth_left}"
            )
        for item in fields(self):
            if getattr(self, item.name) < 0.0:
                raise ConfigError(f"expected {item.name} at least 0, found {getattr(self, item.name)}")
        if self.option_depth_usd == 0.0 or self.future_depth_usd == 0.0:
            raise ConfigError("expected option_depth_usd and future_depth_usd above 0, found 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stress:
    """One named stress.

    Parameters
    ----------
    name, title : str
    kind : StressKind
    date : date or None
        Of a historical one.
    sources, assumed : tuple of str
        Where figures come from, and which are a judgement.
    days : float
        Days that pass.
    spot : mapping of underlying to float
        Relative moves of all forwards; ``other`` for the underlyings that are not named. Empty: none moves.
    vol : VolShift, optional
    skew : SkewShock, optional
    currency : mapping of currency code to float
        Dollars that one unit is worth, above 0 to 1.
    venue : VenueShock, optional
    liquidity : LiquidityShock, optional
    """

    name: str
    title: str
    kind: StressKind
    date: dt.date | None = None
    sources: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    days: float = 0.0
    spot: Mapping[str, float] = field(default_factory=dict)
    vol: VolShift | None = None
    skew: SkewShock | None = None
    currency: Mapping[str, float] = field(default_factory=dict)
    venue: VenueShock | None = None
    liquidity: LiquidityShock | None = None

    def __post_init__(self) -> None:
        if (self.date is None) == (self.kind is StressKind.HISTORICAL):
            raise ConfigError("expected a date for a historical stress and for no other")
        if self.days < 0.0:
            raise ConfigError(f"expected days at least 0, found {self.days}")
        if self.spot and "other" not in self.spot:
            raise ConfigError(
                f"expected spot also for 'other', found {sorted(self.spot)}; no coin stands still"
            )
        low = sorted(name for name, move in self.spot.items() if move <= -1.0)
        if low:
            raise ConfigError(f"expected spot above -1, found {[self.spot[name] for name in low]} for {low}")
        wrong = sorted(code for code, rate in self.currency.items() if not 0.0 < rate <= 1.0)
        if wrong:
            raise ConfigError(f"expected currency above 0 to 1, found another rate for {wrong}")

    def spot_of(self, underlying: str) -> float:
        """Relative move of one underlying."""
        return self.spot.get(underlying, self.spot.get("other", 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class StressCatalogue:
    """Stresses by name, in order.

    Parameters
    ----------
    as_of : date
        When the figures were last looked at; the oldest of the files.
    stresses : tuple of Stress
    """

    as_of: dt.date
    stresses: tuple[Stress, ...]

    def __getitem__(self, name: str) -> Stress:
        for stress in self.stresses:
            if stress.name == name:
                return stress
        raise ConfigError(f"expected a stress of {[s.name for s in self.stresses]}, found {name!r}")

    def only(self, *names: str) -> "StressCatalogue":
        """The named stresses, in this order.

        Raises
        ------
        ConfigError
            If there is none of a name.
        """
        return StressCatalogue(as_of=self.as_of, stresses=tuple(self[name] for name in names))
