"""Bring whatever the caller has into flat float64 arrays of one common shape."""

import math
from collections.abc import Iterable

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray

__all__ = ["broadcast_floats", "broadcast_options", "output"]

_ONE_FLAG = {True: np.ones(1, np.bool_), False: np.zeros(1, np.bool_)}
for _flag in _ONE_FLAG.values():
    _flag.setflags(write=False)


def broadcast_options(
    is_call: ArrayLike, **inputs: ArrayLike
) -> tuple[tuple[int, ...], list[FloatArray], BoolArray]:
    """Broadcast the side of options and named inputs to a common shape and flatten them.

    Parameters
    ----------
    is_call : array_like of bool, or of 0 and 1
    **inputs : array_like of real numbers
        Any mix of shapes that broadcasts, any real dtype, any memory layout.

    Returns
    -------
    shape : tuple of int
    arrays : list of FloatArray, each of shape (n,)
        In the order given.
    is_call : BoolArray, shape (n,)

    Raises
    ------
    DataError
        If an input is not numeric, `is_call` is not boolean, or the shapes do not broadcast.

    Notes
    -----
    All results are contiguous and aligned. They may share memory with the inputs, so they are for reading
    only. A masked item of a masked array becomes NaN.
    """
    if type(is_call) is bool or type(is_call) is np.bool_:
        one = _one_option(list(inputs.values()))
        if one is not None:
            return (), one, _ONE_FLAG[bool(is_call)]
    flags = _as_flags(is_call)
    arrays = [_as_floats(name, value) for name, value in inputs.items()]
    shape = _common_shape({"is_call": flags.shape} | _shapes(inputs, arrays))
    size = math.prod(shape)
    flat_flags = flags.ravel() if flags.shape == shape else np.broadcast_to(flags, shape).ravel()
    return shape, [_flatten(a, shape, size) for a in arrays], flat_flags


def broadcast_floats(**inputs: ArrayLike) -> tuple[tuple[int, ...], list[FloatArray]]:
    """Broadcast named inputs to a common shape and flatten them; see `broadcast_options`.

    Raises
    ------
    DataError
        If an input is not numeric or the shapes do not broadcast.
    """
    arrays = [_as_floats(name, value) for name, value in inputs.items()]
    shape = _common_shape(_shapes(inputs, arrays))
    size = math.prod(shape)
    return shape, [_flatten(a, shape, size) for a in arrays]


def output(
    out: FloatArray | None, shape: tuple[int, ...], inputs: Iterable[FloatArray | BoolArray]
) -> FloatArray:
    """Return `out` after checks, or a new array of the shape.

    Raises
    ------
    DataError
        If `out` is not a writeable, C-contiguous float64 array of that shape, or shares memory with an input.
    """
    if out is None:
        return np.empty(shape)
    if not isinstance(out, np.ndarray) or out.dtype != np.float64 or out.shape != shape:
        found = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise DataError(f"expected out as a float64 array of shape {shape}, found {found}")
    if not out.flags.c_contiguous or not out.flags.writeable or not out.flags.aligned:
        raise DataError("expected out as a writeable, aligned, C-contiguous array; found one that is not")
    if any(np.may_share_memory(out, given) for given in inputs):
        raise DataError("expected out in memory of its own, found it overlapping an input")
    return out


def _one_option(values: list[ArrayLike]) -> list[FloatArray] | None:
    # Plain Python numbers come one by one in live use; they skip all that arrays need.
    for value in values:
        if type(value) is not float and type(value) is not int and type(value) is not np.float64:
            return None
    try:
        rows = np.array(values, dtype=np.float64).reshape(-1, 1)
    except OverflowError:
        return None  # the general path names the culprit
    return list(rows)


def _shapes(inputs: dict[str, ArrayLike], arrays: list[FloatArray]) -> dict[str, tuple[int, ...]]:
    return {name: a.shape for name, a in zip(inputs, arrays, strict=True)}


def _common_shape(shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    distinct = set(shapes.values())
    if len(distinct) == 1:
        return distinct.pop()
    try:
        return np.broadcast_shapes(*distinct)
    except ValueError as exc:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(f"expected shapes that broadcast together, found {found}") from exc


def _flatten(array: FloatArray, shape: tuple[int, ...], size: int) -> FloatArray:
    if array.shape != shape:
        if array.size == 1:
            return np.full(size, array.item())
        array = np.broadcast_to(array, shape)
    flat = array.ravel()
    # A buffer cut at an odd byte: compiled kernels take aligned arrays only.
    return flat if flat.flags.aligned else flat.copy()


def _as_flags(is_call: ArrayLike) -> BoolArray:
    if type(is_call) is np.ndarray and is_call.dtype == np.bool_:
        return is_call
    if isinstance(is_call, np.ndarray) and np.any(getattr(is_call, "mask", False)):
        raise DataError("expected is_call for every option, found masked items")
    flags = np.asarray(is_call)
    if flags.dtype != np.bool_:
        is_number = flags.dtype.kind in "iuf"
        if not is_number or not np.isin(flags, (0, 1)).all():
            raise DataError(
                f"expected is_call as booleans (True = call), found dtype {flags.dtype} "
                f"with values such as {flags.reshape(-1)[:3].tolist()}"
            )
        flags = flags != 0
    return flags


def _as_floats(name: str, value: ArrayLike) -> FloatArray:
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value
    try:
        mask = getattr(value, "mask", None) if isinstance(value, np.ndarray) else None
        array = np.asarray(value)
        if array.dtype.kind not in "iufbO":
            raise TypeError(f"dtype {array.dtype}")
        array = array.astype(np.float64, copy=False)
        return array if mask is None else np.where(mask, np.nan, array)
    except (TypeError, ValueError, OverflowError) as exc:
        raise DataError(f"expected {name} as real numbers, found {type(value).__name__}: {exc}") from exc
