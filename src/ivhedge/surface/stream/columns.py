"""What goes into a stream: the listed instruments, quotes as columns, settings."""

from dataclasses import dataclass, fields

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.stream import _kernel as kernel

__all__ = ["QuoteColumns", "StreamSettings", "Universe"]

_INTEGERS = ("venue", "instrument", "ts_event", "ts_recv", "is_call", "in_coin", "expiry_ns")


def _set(owner: object, name: str, size: int | None) -> int:
    kind = np.int64 if name in _INTEGERS else np.float64
    try:
        raw = np.asarray(getattr(owner, name))
        raw = raw.astype(kind) if raw.size == 0 or kind is np.float64 else raw
    except (TypeError, ValueError) as exc:
        raise DataError(f"expected numbers in {name}, found {exc}; convert the column first") from exc
    if raw.ndim != 1 or (size is not None and raw.size != size):
        raise DataError(f"expected {name} of shape ({size or 'n'},), found {raw.shape}; give equal columns")
    if kind is np.int64 and raw.dtype.kind not in "iub":
        raise DataError(f"expected integers in {name}, found {raw.dtype}; convert ids and times first")
    # Read-only columns, as tables of data give, are copied: to the compiler they are another type, and it
    # would work seconds at the first of them.
    object.__setattr__(owner, name, np.require(raw, dtype=kind, requirements=("C", "W")))
    return int(raw.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteColumns:
    """Quotes in the order of their arrival.

    Parameters
    ----------
    venue, instrument : IntArray, shape (n,)
        Positions in the universe.
    bid, ask : FloatArray, shape (n,)
        In coin or USD as the instrument is quoted; 0 for an absent side.
    bid_size, ask_size : FloatArray, shape (n,)
        Contracts; NaN where unknown.
    ts_event, ts_recv : IntArray, shape (n,)
        Venue's time and time of receipt on the own clock, nanoseconds since the epoch.
    forward : FloatArray, shape (n,)
        The venue's forward at the instant of the quote, USD.

    Raises
    ------
    DataError
        If the columns differ in length or ids and times are not integers. Bad values are no error here:
        the stream judges each quote.
    """

    venue: IntArray
    instrument: IntArray
    bid: FloatArray
    ask: FloatArray
    bid_size: FloatArray
    ask_size: FloatArray
    ts_event: IntArray
    ts_recv: IntArray
    forward: FloatArray

    def __post_init__(self) -> None:
        size = None
        for field in fields(self):
            size = _set(self, field.name, size)

    def __len__(self) -> int:
        return int(self.venue.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """Venues and option contracts of one underlying.

    Parameters
    ----------
    venues : tuple of str
    strike : FloatArray, shape (m,)
    expiry_ns : IntArray, shape (m,)
    is_call, in_coin : array of bool, shape (m,)
        `in_coin`: quoted in the coin, not in USD.

    Raises
    ------
    ConfigError, DataError
        If names repeat, a strike is not positive, or shapes differ.
    """

    venues: tuple[str, ...]
    strike: FloatArray
    expiry_ns: IntArray
    is_call: IntArray
    in_coin: IntArray

    def __post_init__(self) -> None:
        size = None
        for name in ("strike", "expiry_ns", "is_call", "in_coin"):
            size = _set(self, name, size)
        if not self.venues or len(set(self.venues)) != len(self.venues):
            raise ConfigError(f"expected one or more different venues, found {self.venues}")
        if not ((self.strike > 0.0) & np.isfinite(self.strike)).all():
            raise ConfigError("expected positive finite strikes; drop bad instruments first")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """How quotes are weighed, aged and refused.

    Parameters
    ----------
    spread_floor : float
        Smallest half-spread, decimal vol.
    full_depth : float
        Size from which depth adds no more trust, contracts; 0 ignores depth.
    vol_of_vol : float
        What vol may drift, decimal vol per square root of a year: ages quotes.
    spot_beta : float
        What vol at fixed moneyness may move per unit of ln F: ages quotes at a spot move.
    tukey, min_scale : float
        As in `RobustSettings`.
    max_age_s : float
        Older quotes drop out.
    max_lag_s, max_lead_s : float
        Largest delay of a quote, and largest lead of a venue's clock.
    max_forward_step : float
        Largest jump of ln F that one quote may bring about; beyond, a second one has to agree.
    max_forward_move : float
        Largest difference of ln F at which a quote is used though nobody agrees with its forward.
    stale_after_s : float
        Age of a slice's newest quote from which a snapshot is marked stale.

    Raises
    ------
    ConfigError
        If a number is not finite or out of its range.
    """

    spread_floor: float = 1e-3
    full_depth: float = 1.0
    vol_of_vol: float = 0.5
    spot_beta: float = 0.5
    tukey: float = 4.685
    min_scale: float = 0.3
    max_age_s: float = 3600.0
    max_lag_s: float = 2.0
    max_lead_s: float = 0.5
    max_forward_step: float = 0.005
    max_forward_move: float = 0.25
    stale_after_s: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            may_be_zero = field.name in ("full_depth", "vol_of_vol", "spot_beta", "max_lead_s")
            if not (np.isfinite(value) and (value > 0.0 or (may_be_zero and value == 0.0))):
                raise ConfigError(f"expected a positive finite {field.name}, found {value}")

    def packed(self) -> FloatArray:
        """The settings as the kernel takes them."""
        packed = np.zeros(kernel.N_SETTINGS)
        packed[kernel.FLOOR], packed[kernel.FULL_DEPTH] = self.spread_floor, self.full_depth
        packed[kernel.Q_TIME], packed[kernel.BETA] = self.vol_of_vol**2, self.spot_beta
        packed[kernel.TUKEY], packed[kernel.MIN_SCALE] = self.tukey, self.min_scale
        packed[kernel.MAX_AGE], packed[kernel.MAX_LAG] = self.max_age_s * 1e9, self.max_lag_s * 1e9
        packed[kernel.MAX_LEAD], packed[kernel.MAX_MOVE] = self.max_lead_s * 1e9, self.max_forward_move
        packed[kernel.MAX_STEP] = self.max_forward_step
        return packed
