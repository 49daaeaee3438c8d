"""Facts read out of instrument names in the Deribit form, as polars expressions.

``BTC-25DEC26-40000-P`` is a coin-settled option, ``SOL_USDC-25DEC26-90-C`` a dollar-settled one,
``BTC-25DEC26`` a future, ``BTC-PERPETUAL`` a perpetual.
"""

from typing import Final

import polars as pl

__all__ = [
    "EXPIRY_HOUR_UTC",
    "expiry_from_name",
    "is_call_from_name",
    "settlement_from_name",
    "strike_from_name",
    "underlying_from_name",
]

EXPIRY_HOUR_UTC: Final = 8
"""Hour at which Deribit's contracts expire."""


def underlying_from_name(name: pl.Expr) -> pl.Expr:
    """Coin of an instrument; null where the name has no such form."""
    return name.str.extract(r"^([A-Z0-9]+)[-_]", 1)


def settlement_from_name(name: pl.Expr) -> pl.Expr:
    """Give ``usd`` for names such as ``SOL_USDC-...``, ``coin`` for all others."""
    is_dollar = name.str.contains(r"^[A-Z0-9]+_USD[A-Z]?-")
    return pl.when(is_dollar).then(pl.lit("usd")).otherwise(pl.lit("coin"))


def expiry_from_name(name: pl.Expr) -> pl.Expr:
    """Expiry at 08:00 UTC of the date in the name; null for a perpetual."""
    date = name.str.extract(r"-(\d{1,2}[A-Z]{3}\d{2})(?:-|$)", 1)
    day = date.str.zfill(7).str.to_titlecase().str.strptime(pl.Datetime("ns"), "%d%b%y", strict=False)
    return (day + pl.duration(hours=EXPIRY_HOUR_UTC)).dt.replace_time_zone("UTC")


def strike_from_name(name: pl.Expr) -> pl.Expr:
    """Strike; ``0d5`` in a name stands for 0.5."""
    return name.str.extract(r"-(\d+(?:d\d+)?)-[CP]$", 1).str.replace("d", ".").cast(pl.Float64, strict=False)


def is_call_from_name(name: pl.Expr) -> pl.Expr:
    """Whether an option is a call; null where the name does not end in C or P."""
    side = name.str.extract(r"-([CP])$", 1)
    return side == "C"
