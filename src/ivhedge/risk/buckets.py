"""Legs by strike and tenor: labels to group exposures by, and vega spread over a grid of tenor and delta.

The strike axis is the forward call delta ``N(d1)``, of puts too, or the standardised moneyness
``ln(K/F) / (vol · √tau)``, both with the leg's own vol. Spreading is linear between neighbouring nodes and
flat beyond the outer ones, in each direction, so that the weights of a leg are not negative and sum to one:
the grid's sum is the total vega, whatever the nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.risk.legs import Legs

__all__ = [
    "BUCKET_COLUMNS",
    "DELTA_NODES",
    "TENOR_NODES",
    "VegaGrid",
    "bucket_labels",
    "bucket_weights",
    "call_delta",
    "delta_label",
    "standardised_moneyness",
    "vega_grid",
]

TENOR_NODES: Final = (1.0, 3.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0, 365.0)
"""Days to expiry."""
DELTA_NODES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Forward call deltas, ascending: from out-of-the-money calls to out-of-the-money puts."""
BUCKET_COLUMNS: Final = ("tenor_bucket", "delta_bucket", "moneyness_bucket")
_TENOR_EDGES: tuple[float, ...] = (0.0, 3.0, 14.0, 30.0, 90.0, 180.0, np.inf)
_DELTA_EDGES: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_DELTA_LABELS = ("0-10C", "10-25C", "25-50C", "25-50P", "10-25P", "0-10P")
_MONEYNESS_EDGES: tuple[float, ...] = (-np.inf, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class VegaGrid:
    """Vega of a book per tenor and delta node.

    Parameters
    ----------
    tenors : FloatArray, shape (n,)
        Days.
    deltas : FloatArray, shape (m,)
        Forward call deltas.
    usd, coin : FloatArray, shape (n, m)
        Per vol point; the sums are the legs' totals.
    unpriced : int
        Option legs without a price, which are in no cell.
    """

    tenors: FloatArray
    deltas: FloatArray
    usd: FloatArray
    coin: FloatArray
    unpriced: int

    def table(self) -> pl.DataFrame:
        """One row per node: tenor_days, call_delta, node, vega_usd_per_vol_point, vega_coin_per_vol_point."""
        tenor, delta = np.meshgrid(self.tenors, self.deltas, indexing="ij")
        return pl.DataFrame(
            {
                "tenor_days": tenor.ravel(),
                "call_delta": delta.ravel(),
                "node": [delta_label(value) for value in delta.ravel().tolist()],
                "vega_usd_per_vol_point": self.usd.ravel(),
                "vega_coin_per_vol_point": self.coin.ravel(),
            }
        )


def delta_label(delta: float) -> str:
    """Name a call delta as the market does: ``25C`` for 0.25, ``25P`` for 0.75, ``ATM`` for 0.5."""
    if delta == 0.5:
        return "ATM"
    return f"{100 * delta:g}C" if delta < 0.5 else f"{100 * (1.0 - delta):.6g}P"


def call_delta(legs: Legs) -> FloatArray:
    """Forward call delta N(d1) of each option, puts too, shape (n,); NaN elsewhere."""
    deviation = legs.vol * np.sqrt(np.maximum(legs.tau, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(ndtr(np.log(legs.forward / legs.strike) / deviation + 0.5 * deviation))


def standardised_moneyness(legs: Legs) -> FloatArray:
    """ln(K/F) over vol·√tau of each option, shape (n,); NaN elsewhere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.log(legs.strike / legs.forward) / (legs.vol * np.sqrt(np.maximum(legs.tau, 0.0)))
        )


def bucket_labels(legs: Legs, column: str) -> list[str]:
    """Bucket of each leg on one axis.

    Parameters
    ----------
    legs : Legs
    column : {"tenor_bucket", "delta_bucket", "moneyness_bucket"}

    Returns
    -------
    list of str, length n
        ``perpetual`` (tenor) or ``linear`` (strike) where the axis does not apply, ``unpriced`` where the
        leg has no vol. A value on a boundary belongs to the bucket above it.

    Raises
    ------
    ConfigError
        If the column is unknown.
    """
    if column == "tenor_bucket":
        names = [
            f"{low:g}-{high:g}d" if np.isfinite(high) else f">{low:g}d" for low, high in _pairs(_TENOR_EDGES)
        ]
        found = _labels(legs.tau * DAYS_PER_YEAR, _TENOR_EDGES, names, "perpetual")
        return ["expired" if tau <= 0.0 else name for tau, name in zip(legs.tau, found, strict=True)]
    if column == "delta_bucket":
        values, edges, names = call_delta(legs), _DELTA_EDGES, list(_DELTA_LABELS)
    elif column == "moneyness_bucket":
        values, edges = standardised_moneyness(legs), _MONEYNESS_EDGES
        names = [_interval(low, high) for low, high in _pairs(edges)]
    else:
        raise ConfigError(f"expected a bucket of {BUCKET_COLUMNS}, found {column!r}")
    found = _labels(values, edges, names, "unpriced")
    return [name if option else "linear" for name, option in zip(found, legs.is_option, strict=True)]


def bucket_weights(values: ArrayLike, nodes: ArrayLike) -> FloatArray:
    """Share of each value at each node: linear between neighbours, all at the outer node beyond it.

    Parameters
    ----------
    values : array_like, shape (n,)
        Finite.
    nodes : array_like, shape (m,)
        Strictly ascending.

    Returns
    -------
    FloatArray, shape (n, m)
        At least 0; each row sums to 1.

    Raises
    ------
    ConfigError
        If the nodes are empty, not finite or do not ascend.
    """
    axis = np.asarray(nodes, dtype=np.float64)
    if axis.ndim != 1 or axis.size == 0 or not np.isfinite(axis).all() or (np.diff(axis) <= 0.0).any():
        raise ConfigError(f"expected nodes as finite numbers in ascending order, found {axis.tolist()}")
    at = np.clip(np.asarray(values, dtype=np.float64), axis[0], axis[-1])
    weights = np.zeros((at.size, axis.size))
    if axis.size == 1:
        weights[:, 0] = 1.0
        return weights
    left = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, axis.size - 2)
    share = (at - axis[left]) / (axis[left + 1] - axis[left])
    rows = np.arange(at.size)
    weights[rows, left], weights[rows, left + 1] = 1.0 - share, share
    return weights


def vega_grid(
    legs: Legs,
    vega_usd: FloatArray,
    vega_coin: FloatArray,
    *,
    underlying: str | None = None,
    tenors: Sequence[float] = TENOR_NODES,
    deltas: Sequence[float] = DELTA_NODES,
) -> VegaGrid:
    """Spread the vega of option legs over nodes of tenor and call delta.

    Parameters
    ----------
    legs : Legs
    vega_usd, vega_coin : FloatArray, shape (n,)
        Vega of each leg; read where the leg is a priced option only.
    underlying : str, optional
        Legs of this coin only; all without it.
    tenors : sequence of float
        Nodes in days, ascending.
    deltas : sequence of float
        Nodes as forward call deltas, ascending.

    Raises
    ------
    ConfigError
        If the nodes are empty, not finite or do not ascend.
    """
    mine = legs.is_option & np.array(
        [underlying in (None, name) for name in legs.underlyings], dtype=np.bool_
    )
    rows = np.flatnonzero(mine & legs.priced)
    by_tenor = bucket_weights(legs.tau[rows] * DAYS_PER_YEAR, tenors)
    by_delta = bucket_weights(call_delta(legs)[rows], deltas)
    usd, coin = (np.einsum("l,lt,ld->td", vega[rows], by_tenor, by_delta) for vega in (vega_usd, vega_coin))
    return VegaGrid(
        tenors=np.asarray(tenors, dtype=np.float64),
        deltas=np.asarray(deltas, dtype=np.float64),
        usd=np.asarray(usd),
        coin=np.asarray(coin),
        unpriced=int((mine & ~legs.priced).sum()),
    )


def _pairs(edges: Sequence[float]) -> list[tuple[float, float]]:
    return list(pairwise(edges))


def _interval(low: float, high: float) -> str:
    if not np.isfinite(low):
        return f"z < {high:g}"
    return f"z {low:g}..{high:g}" if np.isfinite(high) else f"z > {low:g}"


def _labels(values: FloatArray, edges: Sequence[float], names: list[str], missing: str) -> list[str]:
    inner = np.searchsorted(np.asarray(edges[1:-1]), values, side="right")
    return [
        names[place] if known else missing
        for place, known in zip(inner.tolist(), np.isfinite(values).tolist(), strict=True)
    ]
