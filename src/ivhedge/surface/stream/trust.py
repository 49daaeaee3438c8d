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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """Where trust ends: each pair is the bound of good and that of doubtful.

    Parameters
    ----------
    error : tuple of two floats
        Standard deviation of the vol at the money, decimal.
    age_s : tuple of two floats
        Age of the newest quote.
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
    ts_ns : int
    expiries : IntArray, shape (n,)
    state : tuple of TrustState, length n
    reasons : tuple of tuple of str, length n
        Empty where the state is good.
    atm_error : FloatArray, shape (n,)
        Standard deviation of the vol at the money, decimal.
    age_s : FloatArray, shape (n,)
        Of the newest quote; infinite without one.
    surface_ns : int
        Time of the oldest of the expiries' newest quotes: what the control of a surface's age should be given
        instead of the time of publication. 0 where an expiry never had a quote.
    """

    ts_ns: int
    expiries: IntArray
    state: tuple[TrustState, ...]
    reasons: tuple[tuple[str, ...], ...]
    atm_error: FloatArray
    age_s: FloatArray
    surface_ns: int

    def at(self, expiry_ns: int) -> TrustState:
        """State of an expiry; one the surface does not hold is blind."""
        found = np.flatnonzero(self.expiries == expiry_ns)
        return self.state[int(found[0])] if found.size else TrustState.BLIND


def surface_trust(snapshot: StreamSnapshot, *, settings: TrustSettings | None = None) -> SurfaceTrust:
    """Judge each expiry by its error bar at the money, the age of its newest quote and the number in use.

    Parameters
    ----------
    snapshot : StreamSnapshot
        One that is `held` (an earlier surface, as the newest could not be certified) is doubtful at best.
    settings : TrustSettings, optional
    """
    settings = settings or TrustSettings()
    ts_ns, expiries = snapshot.surface.ts_ns, np.asarray(snapshot.surface.expiries)
    n = expiries.size
    error = snapshot.vol_error(np.zeros(n), np.arange(n))
    never = snapshot.newest_ns <= 0
    age = np.where(never, np.inf, np.maximum(ts_ns - snapshot.newest_ns, 0) / 1e9)
    states, reasons = [], []
    for e in range(n):
        found = [
            _level(
                float(error[e]), settings.error, f"error of {100.0 * error[e]:.2f} vol points at the money"
            ),
            _level(
                float(age[e]), settings.age_s, "no quote yet" if never[e] else f"no quote for {age[e]:.0f} s"
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
        states.append((TrustState.GOOD, TrustState.DOUBTFUL, TrustState.BLIND)[worst])
        reasons.append(tuple(text for level, text in found if level))
    return SurfaceTrust(
        ts_ns=ts_ns,
        expiries=expiries,
        state=tuple(states),
        reasons=tuple(reasons),
        atm_error=error,
        age_s=age,
        surface_ns=int(snapshot.newest_ns.min()) if n else 0,
    )


def _level(value: float, bounds: tuple[float, float], text: str) -> tuple[int, str]:
    """0 within the first bound, 1 within the second, 2 beyond, and what was found."""
    return (value > bounds[0]) + (value > bounds[1]), text
