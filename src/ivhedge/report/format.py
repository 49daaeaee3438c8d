"""Numbers as people read them: thousands, signs, units, and a dash for what is not known."""

import math
from datetime import UTC, datetime

from ivhedge.core.units import NS_PER_SECOND, VOL_POINT
from ivhedge.engine.series import USD_LIKE

__all__ = [
    "MISSING",
    "amount",
    "count",
    "decimals_of",
    "duration",
    "number",
    "percent",
    "price",
    "vol_percent",
    "vol_points",
    "when",
]

MISSING = "–"

_DECIMALS = {"BTC": 4, "ETH": 3, "SOL": 2}


def number(value: float | None, decimals: int = 0, *, signed: bool = False) -> str:
    """Format with thousands separators and a true minus sign; unknown or not finite is a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{abs(value):,.{decimals}f}"
    is_zero = not any(digit in text for digit in "123456789")
    if is_zero:
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def decimals_of(currency: str, size: float | None = None) -> int:
    """Decimals to show of a currency; more of them for a coin amount that would show as zero."""
    if currency in USD_LIKE:
        return 2 if size is not None and 0 < abs(size) < 10 else 0
    usual = _DECIMALS.get(currency, 4)
    tiny = size is not None and math.isfinite(size) and 0 < abs(size) < 10 ** (1 - usual)
    return usual + 2 if tiny else usual


def amount(value: float | None, currency: str, *, signed: bool = False, code: bool = False) -> str:
    """Format money with the decimals of its currency, on request with its code."""
    text = number(value, decimals_of(currency, value), signed=signed)
    return f"{text} {currency}" if code and text != MISSING else text


def percent(share: float | None, decimals: int = 1, *, signed: bool = False) -> str:
    """Format a decimal share as per cent."""
    text = number(None if share is None else 100 * share, decimals, signed=signed)
    return text if text == MISSING else f"{text} %"


def vol_percent(vol: float | None, decimals: int = 1) -> str:
    """Format a decimal volatility as per cent."""
    return percent(vol, decimals)


def vol_points(vol: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Format a decimal difference of volatilities in vol points."""
    return number(None if vol is None else vol / VOL_POINT, decimals, signed=signed)


def count(value: float | None) -> str:
    """Format a whole number."""
    return number(value, 0)


def price(value: float | None) -> str:
    """Format a price of unknown currency with four to seven significant digits."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    decimals = 4 if size < 10 else 2 if size < 100_000 else 0
    return number(value, decimals)


def when(ns: int | None, *, seconds: bool = False) -> str:
    """Format a UTC time to the minute, or to the second."""
    if ns is None:
        return MISSING
    pattern = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return datetime.fromtimestamp(ns // NS_PER_SECOND, tz=UTC).strftime(pattern)


def duration(seconds: float | None) -> str:
    """Format a span of time with its natural unit, for instance ``6 h`` or ``1.5 d``."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    for limit, size, unit in ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172_800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"
