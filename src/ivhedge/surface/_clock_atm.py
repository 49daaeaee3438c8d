"""At-the-money vols of a chain, expiry by expiry, without fitting a surface."""

from itertools import pairwise

import numpy as np
import polars as pl

from ivhedge.core.errors import SchemaError
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.pricing import implied_vol

__all__ = ["atm_vols"]

_NEEDED = ("ts", "expiry", "strike", "is_call", "settlement", "bid", "ask", "forward")
_LEAST_QUOTES = 4
_WIDE = 1.0
_NEAR = 0.75
_TICK_VOL = 1e-3


def atm_vols(chain: pl.DataFrame) -> pl.DataFrame:
    """Read the at-the-money vol of every expiry of every snapshot from its nearest out-of-the-money quotes.

    Parameters
    ----------
    chain : pl.DataFrame
        In `ivhedge.market.CHAIN_SCHEMA`; any number of snapshots.

    Returns
    -------
    pl.DataFrame
        Columns `ts_ns`, `expiry_ns` (Int64), `tau` (years), `vol`, `half_spread` (decimals) and `n_quotes`,
        sorted. Expiries with fewer than four two-sided quotes near the money are left out.

    Raises
    ------
    SchemaError
        If a column is missing.

    Notes
    -----
    A parabola in moneyness over deviation through the mid vols within three quarters of a deviation (at least
    the six nearest quotes), weighted by the inverse spread with three robust rounds; its value at the
    forward.
    """
    missing = [name for name in _NEEDED if name not in chain.columns]
    if missing:
        raise SchemaError(f"expected a chain with {', '.join(_NEEDED)}; missing: {', '.join(missing)}")
    near = (
        chain.filter(pl.col("bid").is_not_null() & pl.col("ask").is_not_null() & (pl.col("forward") > 0.0))
        .with_columns(
            ts_ns=pl.col("ts").dt.epoch("ns"),
            expiry_ns=pl.col("expiry").dt.epoch("ns"),
            k=(pl.col("strike") / pl.col("forward")).log(),
            unit=pl.when(pl.col("settlement") == "coin").then(pl.col("forward")).otherwise(1.0),
        )
        .with_columns(tau=(pl.col("expiry_ns") - pl.col("ts_ns")) / (DAYS_PER_YEAR * 86_400e9))
        .filter(
            (pl.col("tau") > 0.0)
            & ((pl.col("k") >= 0.0) == pl.col("is_call"))
            & (pl.col("k").abs() < 0.02 + _WIDE * pl.col("tau").sqrt())
        )
        .sort("ts_ns", "expiry_ns", "strike")
    )
    sides = [
        implied_vol(
            (near[side] * near["unit"]).to_numpy(),
            near["forward"].to_numpy(),
            near["strike"].to_numpy(),
            near["tau"].to_numpy(),
            near["is_call"].to_numpy(),
        )
        for side in ("bid", "ask")
    ]
    mid, half = 0.5 * (sides[0] + sides[1]), 0.5 * (sides[1] - sides[0])
    use = np.isfinite(mid) & np.isfinite(half) & (half >= 0.0)
    keys = near.select("ts_ns", "expiry_ns").to_numpy()[use]
    k, tau = near["k"].to_numpy()[use], near["tau"].to_numpy()[use]
    mid, half = mid[use], np.maximum(half[use], _TICK_VOL)
    edges = np.flatnonzero(np.any(np.diff(keys, axis=0, prepend=keys[:1] - 1) != 0, axis=1)).tolist()
    rows = []
    for begin, end in pairwise([*edges, k.size]):
        part = slice(begin, end)
        found = _at_the_money(k[part], mid[part], half[part], float(tau[begin]))
        if found is not None:
            rows.append((int(keys[begin, 0]), int(keys[begin, 1]), float(tau[begin]), *found))
    schema = {
        "ts_ns": pl.Int64,
        "expiry_ns": pl.Int64,
        "tau": pl.Float64,
        "vol": pl.Float64,
        "half_spread": pl.Float64,
        "n_quotes": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _at_the_money(
    k: FloatArray, mid: FloatArray, half: FloatArray, tau: float
) -> tuple[float, float, int] | None:
    """Vol at the forward, median half-spread and number of quotes; None if there are too few."""
    if k.size < _LEAST_QUOTES:
        return None
    distance = np.abs(k)
    nearest = np.sort(distance)[:6]
    deviation = float(np.median(mid[distance <= nearest[-1]])) * np.sqrt(tau)
    use = distance <= max(_NEAR * deviation, float(nearest[-1]))
    z, v, h = k[use] / deviation, mid[use], half[use]
    design = np.stack((np.ones_like(z), z, z * z), axis=1)
    weight = 1.0 / h
    for _ in range(3):
        params = np.linalg.lstsq(design * weight[:, None], v * weight, rcond=None)[0]
        weight = 1.0 / (h * np.maximum(1.0, np.abs(v - design @ params) / h))
    vol = float(params[0])
    if not (np.isfinite(vol) and vol > 0.0):
        return None
    return vol, float(np.median(h)), int(z.size)
