"""Bring whatever the caller has into flat float64 arrays of one common shape."""

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import ArrayLike, FloatArray

__all__ = ["broadcast_floats", "signs"]


def broadcast_floats(**inputs: ArrayLike) -> tuple[tuple[int, ...], list[FloatArray]]:
    """Broadcast named inputs to a common shape and flatten them.

    Parameters
    ----------
    **inputs : array_like of real numbers
        Any mix of shapes that broadcasts, any real dtype, any memory layout.

    Returns
    -------
    shape : tuple of int
    arrays : list of FloatArray, each of shape (n,)
        Contiguous, in the order given. They may share memory with the inputs and are read only by us.

    Raises
    ------
    DataError
        If an input is not numeric or the shapes do not broadcast.
    """
    arrays = [_as_floats(name, value) for name, value in inputs.items()]
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError as exc:
        found = ", ".join(f"{name} {a.shape}" for name, a in zip(inputs, arrays, strict=True))
        raise DataError(f"expected shapes that broadcast together, found {found}") from exc
    flat = [np.ascontiguousarray(np.broadcast_to(a, shape)).reshape(-1) for a in arrays]
    return shape, flat


def signs(is_call: ArrayLike) -> FloatArray:
    """Return +1 for a call and −1 for a put.

    Raises
    ------
    DataError
        If `is_call` is neither boolean nor 0/1.
    """
    flags = np.asarray(is_call)
    if flags.dtype != np.bool_:
        is_number = flags.dtype.kind in "iuf"
        if not is_number or not np.isin(flags, (0, 1)).all():
            raise DataError(
                f"expected is_call as booleans (True = call), found dtype {flags.dtype} "
                f"with values such as {flags.reshape(-1)[:3].tolist()}"
            )
        flags = flags != 0
    return np.where(flags, 1.0, -1.0)


def _as_floats(name: str, value: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iufbO":
            raise TypeError(f"dtype {array.dtype}")
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as exc:
        raise DataError(f"expected {name} as real numbers, found {type(value).__name__}: {exc}") from exc
