"""Options to measure on: a crypto chain, a book full of wings, and the rows of the 50-digit reference."""

from dataclasses import dataclass, fields
from os import environ
from pathlib import Path

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing import black76_price

SEED = 7
FORWARDS = (95_000.0, 3300.0, 180.0, 2.3, 0.21)
TENORS_DAYS = (1 / 24, 1 / 8, 1 / 4, 1 / 2, 1, 2, 3, 7, 14, 30, 60, 90, 180, 365)
REFERENCE = Path("oracles/implied_vol/reference_iv.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Columns of equal length; `price` is the undiscounted Black-76 price at `vol`."""

    price: FloatArray
    forward: FloatArray
    strike: FloatArray
    tau: FloatArray
    vol: FloatArray
    is_call: BoolArray

    def __len__(self) -> int:
        return self.price.size

    def take(self, rows: slice | BoolArray) -> "Options":
        """Return some of the rows, contiguous in memory."""
        return Options(**{f.name: np.ascontiguousarray(getattr(self, f.name)[rows]) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Options with the exact inverse of their float64 price."""

    options: Options
    exact_vol: FloatArray
    floor: FloatArray
    invertible: BoolArray


def sample_chain(n: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Draw forwards, strikes, taus, vols and signs like those of crypto chains, 80 % out of the money."""
    rng = np.random.default_rng(SEED)
    forward = rng.choice(FORWARDS, n) * np.exp(rng.normal(0.0, 0.02, n))
    tau = rng.choice(TENORS_DAYS, n) / 365
    vol = np.clip(np.exp(rng.normal(np.log(0.6), 0.4, n)), 0.1, 5.0)
    z = np.clip(rng.normal(0.0, 1.7, n), -6.0, 6.0)
    strike = _four_digits(forward * np.exp(z * vol * np.sqrt(tau)))
    out_of_the_money = rng.random(n) < 0.8
    sign = np.where((strike >= forward) == out_of_the_money, 1.0, -1.0)
    return forward, strike, tau, vol, sign


def chain(n: int) -> Options:
    """Return n options of `sample_chain` whose time value is more than 1e-7 of the forward."""
    forward, strike, tau, vol, sign = sample_chain(n + n // 2 + 100)
    keep = black76_price(forward, strike, tau, vol, strike >= forward) > 1e-7 * forward
    return _priced(forward, strike, tau, vol, sign > 0).take(keep).take(slice(n))


def wings(n: int) -> Options:
    """Return n options spread evenly over ±8 deviations, vols of 15 to 500 %, tenors of 1 h to 2 y.

    A fifth of them is in the money where the time value is more than 1e-7 of the forward.
    """
    rng = np.random.default_rng(SEED + 1)
    drawn = n + n // 10 + 100
    forward = rng.choice(FORWARDS, drawn) * np.exp(rng.normal(0.0, 0.02, drawn))
    tau = np.exp(rng.uniform(np.log(1 / (24 * 365)), np.log(2.0), drawn))
    vol = np.exp(rng.uniform(np.log(0.15), np.log(5.0), drawn))
    strike = forward * np.exp(rng.uniform(-8.0, 8.0, drawn) * vol * np.sqrt(tau))
    otm = black76_price(forward, strike, tau, vol, strike >= forward)
    inside = (rng.random(drawn) < 0.2) & (otm > 1e-7 * forward)
    options = _priced(forward, strike, tau, vol, (strike >= forward) != inside)
    maximum = np.where(options.is_call, forward, strike)
    return options.take((otm > 1e-290 * forward) & (options.price < maximum)).take(slice(n))


def reference() -> Reference | None:
    """Load the exact inverses, or None where the data set is absent."""
    path = Path(environ.get("IVHEDGE_DATA", "../shared/data")) / REFERENCE
    if not path.is_file():
        return None
    import polars as pl

    table = pl.read_parquet(path)
    column = {name: np.ascontiguousarray(table[name].to_numpy()) for name in table.columns if name != "kind"}
    exact_vol = column["sigma_inv"].astype(np.float64)
    options = Options(
        price=column["price"],
        forward=column["F"],
        strike=column["K"],
        tau=column["T"],
        vol=column["total_vol"] / np.sqrt(column["T"]),
        is_call=column["is_call"],
    )
    return Reference(options=options, exact_vol=exact_vol, floor=column["floor"], invertible=column["ok"])


def _priced(
    forward: FloatArray, strike: FloatArray, tau: FloatArray, vol: FloatArray, is_call: BoolArray
) -> Options:
    return Options(
        price=black76_price(forward, strike, tau, vol, is_call),
        forward=forward,
        strike=strike,
        tau=tau,
        vol=vol,
        is_call=is_call,
    )


def _four_digits(values: FloatArray) -> FloatArray:
    unit = 10.0 ** (np.floor(np.log10(values)) - 3)
    return np.round(values / unit) * unit
