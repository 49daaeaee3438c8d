"""Surfaces for a replay: each snapshot is fitted once, whoever looks at it."""

from dataclasses import dataclass, field

from ivhedge.core.errors import ArbitrageError, CalibrationError, DataError
from ivhedge.core.units import format_ns
from ivhedge.market import MarketSnapshot
from ivhedge.surface import SurfaceFit, fit_surface

__all__ = ["SharedFits"]


@dataclass(slots=True)
class SharedFits:
    """Fits of one time, shared by all runs that pass over it.

    A fit depends on the snapshot alone, so runs that share fits end with the same bits as runs that do not.
    """

    _ts_ns: int = -1
    _found: dict[tuple[str, str], SurfaceFit | str] = field(default_factory=dict)

    def of(self, snapshot: MarketSnapshot, venue: str) -> SurfaceFit | str:
        """Fit a snapshot, or tell in words why there is no certified surface.

        Parameters
        ----------
        snapshot : MarketSnapshot
        venue : str
            Of the book: a perpetual of this venue may have been made up, and forwards may use it.
        """
        if snapshot.ts_ns != self._ts_ns:
            self._ts_ns, self._found = snapshot.ts_ns, {}
        key = (snapshot.underlying, venue)
        if key not in self._found:
            self._found[key] = _fitted(snapshot)
        return self._found[key]


def _fitted(snapshot: MarketSnapshot) -> SurfaceFit | str:
    try:
        fit = fit_surface(snapshot.chain, futures=snapshot.futures)
        fit.published()
    except (CalibrationError, ArbitrageError, DataError) as exc:
        return f"{snapshot.underlying} at {format_ns(snapshot.ts_ns)}: {exc}"
    return fit
