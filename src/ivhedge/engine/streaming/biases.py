"""What the player learns of its venues: their biases and health, every few seconds."""

from collections.abc import Mapping

import polars as pl

from ivhedge.core.errors import CalibrationError, ConfigError, DataError
from ivhedge.engine.streaming.settings import PlaySettings
from ivhedge.surface.fusion import (
    FusionSettings,
    StaleDetector,
    VenueHealth,
    VenueModel,
    fuse,
    venue_health,
    venue_quotes,
)

__all__ = ["BiasWatch"]


class BiasWatch:
    """Fuses the quotes that stand, on a grid of its own, and remembers the venues.

    Parameters
    ----------
    settings : PlaySettings
    """

    def __init__(self, settings: PlaySettings) -> None:
        self._settings = settings
        self._every = round(settings.fuse_every_s * 1e9)
        self._next = 0
        self._detector = StaleDetector()
        self._fusion = FusionSettings(anchor=settings.anchor)
        self.model: VenueModel | None = None
        self.health: Mapping[str, VenueHealth] = {}
        self.failed = 0
        self.note = ""

    def due(self, ts_ns: int) -> bool:
        """Whether it is time; never where `fuse_every_s` is 0."""
        return self._every > 0 and ts_ns >= self._next

    def learn(self, chain: pl.DataFrame, ts_ns: int) -> bool:
        """Take the quotes of a time, in `CHAIN_SCHEMA`; whether the model is a new one."""
        self._next = ts_ns + self._every
        try:
            quotes = venue_quotes(chain, settings=self._settings.fit)
            watch = self._detector.update(quotes.ts_ns, quotes.mid_vols())
            flagged = [v for v in self._detector.flagged() if v in quotes.venues]
            fused = fuse(
                quotes, self.model, settings=self._fusion, fit=self._settings.fit, quarantine=flagged
            )
        except (CalibrationError, ConfigError, DataError) as exc:
            # The biases that are known stand; what is wrong shows in the frame.
            self.failed += 1
            self.note = str(exc)
            return False
        self.model, self.health, self.note = fused.model, venue_health(fused, watch), ""
        return True
