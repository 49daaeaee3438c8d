"""How far a published surface may be trusted, expiry by expiry, and why."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.stream.snapshot import StreamSnapshot

__all__ = ["SurfaceTrust", "TrustSettings", "TrustState", "surface_trust"]


class TrustState(StrEnum):
    """What an expiry's vols are good for."""

    GOOD = "good"
    """Hedging, and judging quotes by them."""
    DOUBTFUL = "doubtful"
    """Hedging; they are too uncertain to call a quote cheap or dear."""
    BLIND = "blind"
    """Reducing positions only: what they say of vega is a guess."""


_STATES = tuple(TrustState)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """Where trust ends: each pair is the bound of good and that of doubtful.

    Parameters
    ----------
    error : tuple of two floats
        Standard deviation of the vol, decimal: at the money, and at an option's own strike.
    age_s : tuple of two floats
        For which three quotes around the money have not been renewed.
    quotes : tuple of two ints
        Least quotes in use.
    """

    error: tuple[float, float] = (0.01, 0.04)
    age_s: tuple[float, float] = (30.0, 300.0)
    quotes: tuple[int, int] = (8, 3)

    def __post_init__(self) -> None:
        for name in ("error", "age_s"):
            good, doubtful = getattr(self, name)
            if not (isfinite(good) and isfinite(doubtful) and 0.0 < good <= doubtful):
                raise ConfigError(
                    f"expected two ascending bounds above 0 in {name}, found {good}, {doubtful}"
                )
        if not self.quotes[0] >= self.quotes[1] >= 1:
            raise ConfigError(f"expected two descending counts from 1 on in quotes, found {self.quotes}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceTrust:
    """Verdict on a publication.

    Parameters
    ----------
    snapshot : StreamSnapshot
        The publication.
    settings : TrustSettings
    state : tuple of TrustState, length n
        By expiry.
    reasons : tuple of tuple of str, length n
        Empty where the state is good.
    atm_error : FloatArray, shape (n,)
        Standard deviation of the vol at the money, decimal.
    age_s : FloatArray, shape (n,)
        Time for which three quotes around the money have not been renewed; infinite without.
    surface_ns : int
        Time of the oldest knowledge of an expiry: what the control of a surface's age should be given instead
        of the time of publication. 0 where an expiry never had three quotes.
    """

    snapshot: StreamSnapshot
    settings: TrustSettings
    state: tuple[TrustState, ...]
    reasons: tuple[tuple[str, ...], ...]
    atm_error: FloatArray
    age_s: FloatArray
    surface_ns: int

    @property
    def ts_ns(self) -> int:
        """Time of the publication."""
        return self.snapshot.ts_ns

    @property
    def expiries(self) -> IntArray:
        """Expiries judged, shape (n,)."""
        return np.asarray(self.snapshot.surface.expiries)

    def at(self, expiry_ns: int, strike: float | None = None) -> TrustState:
        """State of an expiry, or of an option: the worse of its expiry's and that by the error at its strike.

        An expiry the surface does not hold is blind.
        """
        found = np.flatnonzero(self.expiries == expiry_ns)
        if not found.size:
            return TrustState.BLIND
        e = int(found[0])
        if strike is None:
            return self.state[e]
        k = np.log(strike / self.snapshot.surface.forwards[e])
        level, _ = _level(float(self.snapshot.vol_error(k, e)), self.settings.error, "")
        return _STATES[max(level, _STATES.index(self.state[e]))]


def surface_trust(snapshot: StreamSnapshot, *, settings: TrustSettings | None = None) -> SurfaceTrust:
    """Judge each expiry by its error bar at the money, the age of its quotes and the number in use.

    Parameters
    ----------
    snapshot : StreamSnapshot
        One that is `held` (an earlier surface, as the newest could not be certified) is doubtful at best.
    settings : TrustSettings, optional
    """
    settings = settings or TrustSettings()
    n = len(snapshot.surface.expiries)
    error = snapshot.vol_error(np.zeros(n), np.arange(n))
    never = snapshot.witnessed_ns <= 0
    age = np.where(never, np.inf, np.maximum(snapshot.ts_ns - snapshot.witnessed_ns, 0) / 1e9)
    states, reasons = [], []
    for e in range(n):
        found = [
            _level(
                float(error[e]), settings.error, f"error of {100.0 * error[e]:.2f} vol points at the money"
            ),
            _level(
                float(age[e]), settings.age_s, "no three quotes" if never[e] else f"quotes {age[e]:.0f} s old"
            ),
            _level(
                -float(snapshot.quotes[e]),
                (-settings.quotes[0], -settings.quotes[1]),
                f"{int(snapshot.quotes[e])} quotes in use",
            ),
        ]
        if snapshot.held:
            found.append((1, "the newest surface could not be certified"))
        worst = max(level for level, _ in found)
        states.append(_STATES[worst])
        reasons.append(tuple(text for level, text in found if level))
    return SurfaceTrust(
        snapshot=snapshot,
        settings=settings,
        state=tuple(states),
        reasons=tuple(reasons),
        atm_error=error,
        age_s=age,
        surface_ns=int(snapshot.witnessed_ns.min()) if n else 0,
    )


def _level(value: float, bounds: tuple[float, float], text: str) -> tuple[int, str]:
    """0 within the first bound, 1 within the second, 2 beyond, and what was found."""
    # What is no number is within no bound.
    return (not value <= bounds[0]) + (not value <= bounds[1]), text
