"""Revaluation of options over a grid of spot and vol shocks, on vols read from a surface."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.pricing._inputs import broadcast_floats, broadcast_options
from ivhedge.pricing._numpy_kernels import PRICE_MAX, PRICE_MIN
from ivhedge.pricing._parallel import in_chunks
from ivhedge.pricing._scenario_numpy import grid_numpy, legs_numpy
from ivhedge.pricing.jit import jit_available

__all__ = ["ScenarioGrid", "scenario_grid"]

MAX_BYTES = 2 << 30
"""Largest result; a matrix per leg of a large book would exhaust the memory unnoticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioGrid:
    """Values of a book, of its groups or of its legs for each pair of shocks.

    Parameters
    ----------
    usd, coin : FloatArray, shape (spots, vols), (groups, spots, vols) or (legs, spots, vols)
        Sum of ``quantity · V`` and of ``quantity · V / F``, F being each leg's shocked forward; with
        `base_vol` their change against the unshocked book.
    """

    usd: FloatArray
    coin: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    """Checked and contiguous inputs of the kernels."""

    forward: FloatArray
    strike: FloatArray
    tau: FloatArray
    is_call: BoolArray
    quantity: FloatArray
    relative: bool
    order: IntArray
    bounds: IntArray


def scenario_grid(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    is_call: ArrayLike,
    quantity: ArrayLike,
    *,
    spot_shocks: ArrayLike,
    vols: ArrayLike,
    vol_shocks: ArrayLike = (0.0,),
    vol_shock: Literal["relative", "points"] = "relative",
    base_vol: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    per_leg: bool = False,
) -> ScenarioGrid:
    """Revalue European options on forwards in full for every pair of a spot and a vol shock.

    Parameters
    ----------
    forward, strike, tau, is_call, quantity : array_like, shape (legs,) or scalar
        As for `black76_price`; quantities in units of the underlying, negative when short.
    spot_shocks : array_like, shape (spots,) or (spots, legs)
        Relative moves of the forwards, above -1; per leg where underlyings or expiries move differently.
    vols : array_like, shape (legs,) or (spots, legs)
        Vol of each leg before the vol shock, decimal, at least 0; per spot as read off a moved smile.
    vol_shocks : array_like, shape (vols,) or (vols, legs)
        Relative or in vol points; per leg where they depend on the expiry. A vol never goes below 0.
    vol_shock : {"relative", "points"}
        ``vol · (1 + shock)`` or ``vol + shock / 100``.
    base_vol : array_like, shape (legs,), optional
        Vols of the unshocked book; then changes against it are returned instead of values.
    groups : array_like of int, shape (legs,), optional
        Group of each leg, 0 … n - 1: one matrix per group.
    per_leg : bool
        One matrix per leg.

    Raises
    ------
    ConfigError
        If an option is unknown, shocks are empty or out of range, or the result exceeds 2 GiB.
    DataError
        If shapes do not fit or a leg is invalid; its message names the first ones. A book with an
        invalid leg has no value: leave such legs out.

    Notes
    -----
    Prices are as exact as those of `black76_price`. Summing adds at most ``2⁻⁴³ · Σ|quantity · V|``, and
    rarely more than 2⁻⁵²: legs are summed in blocks of 512, the blocks with compensation (Neumaier 1974).
    Results do not depend on the number of threads, to the last bit.

    Examples
    --------
    >>> grid = scenario_grid(100.0, 100.0, 1.0, True, 2.0, spot_shocks=[0.0], vols=0.2, vol_shocks=[0.0])
    >>> grid.usd.round(4).tolist()
    [[15.9311]]
    """
    book = _book(forward, strike, tau, is_call, quantity, vol_shock, groups, per_leg)
    n = book.forward.size
    spots = _shock_rows(spot_shocks, "spot_shocks", n)
    shocks = _shock_rows(vol_shocks, "vol_shocks", n)
    _check_forwards(book.forward, spots)
    rows = _vol_rows(vols, "vols", n, spots.shape[0])
    usd, coin = _revalue(book, spots, rows, shocks, per_leg)
    if base_vol is not None:
        unshocked = _vol_rows(base_vol, "base_vol", n, 1)
        # The same kernel in the same order: where nothing is shocked the change is exactly 0.
        base_usd, base_coin = _revalue(book, np.zeros((1, 1)), unshocked, np.zeros((1, 1)), per_leg)
        usd -= base_usd
        coin -= base_coin
    if groups is None and not per_leg:
        usd, coin = usd[0], coin[0]
    return ScenarioGrid(usd=usd, coin=coin)


def _book(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    is_call: ArrayLike,
    quantity: ArrayLike,
    vol_shock: str,
    groups: ArrayLike | None,
    per_leg: bool,
) -> _Book:
    if vol_shock not in ("relative", "points"):
        raise ConfigError(f"expected vol_shock 'relative' or 'points', found {vol_shock!r}")
    if groups is not None and per_leg:
        raise ConfigError("expected either groups or per_leg, found both")
    shape, (f, k, years, size), calls = broadcast_options(
        is_call, forward=forward, strike=strike, tau=tau, quantity=quantity
    )
    if len(shape) > 1:
        raise DataError(f"expected legs as scalars or one axis (legs,), found shape {shape}")
    _refuse("forward between 1e-150 and 1e150", f, (f >= PRICE_MIN) & (f <= PRICE_MAX))
    _refuse("strike between 1e-150 and 1e150", k, (k >= PRICE_MIN) & (k <= PRICE_MAX))
    _refuse("tau finite and at least 0", years, (years >= 0.0) & (years < np.inf))
    _refuse("finite quantity", size, np.isfinite(size))
    order, bounds = _grouped(groups, f.size)
    return _Book(
        forward=f,
        strike=k,
        tau=years,
        is_call=calls,
        quantity=size,
        relative=vol_shock == "relative",
        order=order,
        bounds=bounds,
    )


def _refuse(expected: str, values: FloatArray, good: BoolArray) -> None:
    if good.all():
        return
    bad = np.flatnonzero(~good)
    found = ", ".join(f"{values[i]} at leg {i}" for i in bad[:3])
    more = f" and {bad.size - 3} more" if bad.size > 3 else ""
    raise DataError(f"expected {expected}, found {found}{more}; leave such legs out")


def _grouped(groups: ArrayLike | None, n: int) -> tuple[IntArray, IntArray]:
    if groups is None:
        return np.arange(n, dtype=np.int64), np.array([0, n], dtype=np.int64)
    index = np.asarray(groups)
    if index.shape != (n,) or index.dtype.kind not in "iu" or (n and index.min() < 0):
        raise DataError(
            f"expected groups as non-negative whole numbers of shape ({n},), "
            f"found {index.dtype} of shape {index.shape}"
        )
    sizes = np.bincount(index) if n else np.zeros(0, dtype=np.int64)
    if sizes.size > n:
        raise DataError(f"expected groups numbered 0 … n - 1, found {sizes.size - 1} among {n} legs")
    order = np.argsort(index, kind="stable").astype(np.int64)
    return order, np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


def _shock_rows(values: ArrayLike, name: str, n: int) -> FloatArray:
    _, (flat,) = broadcast_floats(**{name: values})
    shape = np.shape(values)
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != n):
        raise DataError(f"expected {name} of shape (n,) or (n, {n} legs), found {shape}")
    rows = flat.reshape(shape if len(shape) == 2 else (-1, 1))
    if rows.shape[0] == 0 or not np.isfinite(rows).all():
        raise ConfigError(f"expected {name} as a non-empty list of finite numbers")
    if name == "spot_shocks" and rows.size and rows.min() <= -1.0:
        raise ConfigError(f"expected spot_shocks above -1 (-100 %), found {rows.min()}")
    return rows


def _check_forwards(forward: FloatArray, spots: FloatArray) -> None:
    # Rounding keeps the order, so the extremes of the shocks decide.
    for factor in (1.0 + spots.min(axis=0), 1.0 + spots.max(axis=0)) if spots.size else ():
        shocked = forward * factor
        _refuse(
            "shocked forward between 1e-150 and 1e150",
            shocked,
            (shocked >= PRICE_MIN) & (shocked <= PRICE_MAX),
        )


def _vol_rows(vols: ArrayLike, name: str, n: int, spots: int) -> FloatArray:
    shape, (flat,) = broadcast_floats(**{name: vols})
    if shape in ((), (1,)):
        rows = np.full((1, n), flat[0])
    elif shape == (n,):
        rows = flat.reshape(1, n)
    elif shape == (spots, n):
        rows = flat.reshape(spots, n)
    else:
        either = f"({n} legs,)" if name == "base_vol" else f"({n} legs,) or ({spots} spots, {n} legs)"
        raise DataError(f"expected {name} of shape {either}, found {shape}")
    if not (rows.size and (rows.min() < 0.0 or not np.isfinite(rows.sum()))):
        return rows
    good = (rows >= 0.0) & (rows < np.inf)
    bad = np.flatnonzero(~good.all(axis=0))
    if bad.size:
        worst = rows[np.argmin(good[:, bad], axis=0), bad]
        found = ", ".join(f"{v} at leg {i}" for v, i in zip(worst[:3], bad[:3], strict=True))
        more = f" and {bad.size - 3} more" if bad.size > 3 else ""
        raise DataError(f"expected {name} finite and at least 0, found {found}{more}; leave such legs out")
    return rows


def _revalue(
    book: _Book, spots: FloatArray, vols: FloatArray, shocks: FloatArray, per_leg: bool
) -> tuple[FloatArray, FloatArray]:
    n, n_spots, n_vols = book.forward.size, spots.shape[0], shocks.shape[0]
    shape = (n_spots, n_vols, n) if per_leg else (n_spots, book.bounds.size - 1, n_vols)
    need = 16 * shape[0] * shape[1] * shape[2]
    if need > MAX_BYTES:
        raise ConfigError(
            f"expected a result of at most {MAX_BYTES >> 20} MiB, found {need >> 20} MiB; "
            "ask for groups instead of per_leg, or work on fewer shocks at a time"
        )
    usd, coin = np.empty(shape), np.empty(shape)
    fill = _fill_compiled if jit_available() else _fill_twin

    def work(part: slice) -> None:
        # Slices of revaluations become whole spots, each filled by one thread from first leg to last.
        rows = slice(-(-part.start // per_spot), -(-part.stop // per_spot))
        if rows.start < rows.stop:
            moved = vols[rows] if vols.shape[0] > 1 else vols
            fill(book, spots[rows], moved, shocks, usd[rows], coin[rows], per_leg)

    per_spot = max(n * n_vols, 1)
    in_chunks(n_spots * per_spot, work)
    first, last = (2, 0) if per_leg else (1, 0)
    return (
        np.ascontiguousarray(np.moveaxis(usd, first, last)),
        np.ascontiguousarray(np.moveaxis(coin, first, last)),
    )


def _fill_compiled(
    book: _Book,
    spots: FloatArray,
    vols: FloatArray,
    shocks: FloatArray,
    usd: FloatArray,
    coin: FloatArray,
    per_leg: bool,
) -> None:
    from ivhedge.pricing._scenario_numba import grid_kernel, legs_kernel

    legs = (book.forward, book.strike, np.sqrt(book.tau), book.is_call, book.quantity)
    if per_leg:
        legs_kernel(*legs, spots, vols, shocks, book.relative, book.order, usd, coin)
    else:
        grid_kernel(*legs, spots, vols, shocks, book.relative, book.order, book.bounds, usd, coin)


def _fill_twin(
    book: _Book,
    spots: FloatArray,
    vols: FloatArray,
    shocks: FloatArray,
    usd: FloatArray,
    coin: FloatArray,
    per_leg: bool,
) -> None:
    sign = np.where(book.is_call, 1.0, -1.0)
    legs = (book.forward, book.strike, book.tau, sign, book.quantity)
    if per_leg:
        legs_numpy(*legs, spots, vols, shocks, book.relative, usd, coin)
    else:
        grid_numpy(*legs, spots, vols, shocks, book.relative, book.order, book.bounds, usd, coin)
