"""How a tape or feed is played."""

from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.surface.fit import FitSettings
from ivhedge.surface.stream import StreamSettings

__all__ = ["PlaySettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaySettings:
    """When to publish, when to fit.

    Parameters
    ----------
    every_s : float
        Time between publications, on the tape's clock, at whole multiples since the epoch.
    quiet_s : float
        So long after the last message publications go on, to show quotes growing old; then they rest until
        the next one. At least `every_s`.
    settle_s : float
        A fit is made once hardly any new contract (2 % or less) was heard of for so long ...
    patience_s : float
        ... or this long after a contract without a surface was first heard of.
    min_quotes : int
        Two-sided quotes that an expiry needs to ask for a fit.
    retry_s : float
        Wait after a fit that failed; doubles each time, up to 64 times.
    dense_check : bool
        Certify each publication on a dense grid too, a few milliseconds each; without it the sufficient
        conditions of no arbitrage are checked, as every publication is.
    joint : bool
        As in `SurfaceStream.snapshot`.
    fuse_every_s : float
        Time between estimates of the venues' biases, which the stream takes off their quotes; 0 for none.
        Each costs a fit.
    anchor : str, optional
        Venue whose biases are zero by definition; without it they are relative to the consensus.
    stream : StreamSettings
    fit : FitSettings

    Raises
    ------
    ConfigError
        If a number is not finite or out of its range.
    """

    every_s: float = 1.0
    quiet_s: float = 15.0
    settle_s: float = 5.0
    patience_s: float = 60.0
    min_quotes: int = 6
    retry_s: float = 10.0
    dense_check: bool = False
    joint: bool = False
    fuse_every_s: float = 0.0
    anchor: str | None = None
    stream: StreamSettings = field(default_factory=StreamSettings)
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        for name in ("every_s", "quiet_s", "settle_s", "patience_s", "retry_s"):
            value = getattr(self, name)
            if not (np.isfinite(value) and 1e-3 <= value <= 1e8):
                raise ConfigError(f"expected {name} of a millisecond or more, found {value}")
        if not (np.isfinite(self.fuse_every_s) and self.fuse_every_s >= 0.0):
            raise ConfigError(f"expected fuse_every_s of 0 or more, found {self.fuse_every_s}")
        if self.min_quotes < 3:
            raise ConfigError(f"expected min_quotes of 3 or more, found {self.min_quotes}")
