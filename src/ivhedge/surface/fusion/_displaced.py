"""Venues whose quotes as a whole no longer stand where their remembered bias says."""

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.surface.fusion.estimate import Estimate
from ivhedge.surface.fusion.quotes import VenueQuotes

__all__ = ["displaced"]

_LEAST_QUOTES = 8
_NORMAL = 1.4826
_SCATTERS = 2.0  # distance of the middle quote from its place, in the scatter of the venue's quotes
_HALF_SPREADS = 0.5  # and in the venue's half-spread: less is no matter


def displaced(quotes: VenueQuotes, found: Estimate, anchor: str | None) -> frozenset[str]:
    """Venues whose errors lie on one side of zero.

    A bias that walks (`FusionSettings.drift_per_day`) leaves errors around zero; one that jumps leaves nearly
    all on one side of it, which the noise would otherwise be blamed for. Of two camps of venues the smaller
    one has jumped; with an anchor, the one that left it.
    """
    middle: dict[str, float] = {}
    for v, name in enumerate(quotes.venues):
        error = found.error[quotes.venue == v]
        error = error[np.isfinite(error)]
        if error.size >= _LEAST_QUOTES:
            middle[name] = _displacement(error, float(found.state.half_spread[v]))
    away = {name for name, value in middle.items() if value != 0.0}
    if anchor is None and 2 * len(away) > len(middle) > 2:
        away = set(middle) - away
    return frozenset(away - {anchor})


def _displacement(error: FloatArray, half_spread: float) -> float:
    """Median error where it is neither chance nor trifle, otherwise 0."""
    middle = float(np.median(error))
    scatter = _NORMAL * float(np.median(np.abs(error - middle)))
    return middle if abs(middle) > max(_SCATTERS * scatter, _HALF_SPREADS * half_spread) else 0.0
