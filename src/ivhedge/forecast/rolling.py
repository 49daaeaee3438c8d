"""Means over past days, of finite memory: what the last `memory` rows say does not depend on earlier ones."""

from functools import cache

import numpy as np

from ivhedge.core.types import FloatArray

__all__ = ["MEMORY", "exponential_mean", "forward_mean", "kernel_mean", "trailing_mean"]

MEMORY = 150
"""Days that an exponential mean looks back; with a weight of 0.03 a hundredth is left behind."""


def trailing_mean(values: FloatArray, days: int) -> FloatArray:
    """Mean of the last `days` values, each row included; nan until there are as many.

    Notes
    -----
    Summed over windows, not as a difference of running sums, so that a row's result depends on its own
    window alone, to the last bit.
    """
    out = np.full(values.size, np.nan)
    if values.size >= days:
        out[days - 1 :] = _window_means(values, days)
    return out


def _window_means(values: FloatArray, days: int) -> FloatArray:
    return np.asarray(np.convolve(values, np.full(days, 1.0 / days), "valid"))


def exponential_mean(values: FloatArray, weight: float, *, memory: int = MEMORY) -> FloatArray:
    """Exponentially weighted mean with weight `weight` on the newest value, cut after `memory` days.

    Rows with less history use what there is; the weights always add up to one.
    """
    kernel, mass = _exponential_kernel(weight, memory)
    return _weighted(values, kernel, mass)


@cache
def _exponential_kernel(weight: float, memory: int) -> tuple[FloatArray, FloatArray]:
    kernel = weight * np.power(1.0 - weight, np.arange(memory, dtype=np.float64))
    mass = np.cumsum(kernel)
    kernel.setflags(write=False)
    mass.setflags(write=False)
    return kernel, mass


def kernel_mean(values: FloatArray, kernel: FloatArray) -> FloatArray:
    """Weighted mean of past values, `kernel[0]` on the newest; early rows use what there is."""
    return _weighted(values, kernel, np.cumsum(kernel))


def _weighted(values: FloatArray, kernel: FloatArray, mass: FloatArray) -> FloatArray:
    out = np.convolve(values, kernel)[: values.size]
    early = min(values.size, mass.size)
    out[:early] /= mass[:early]
    out[early:] /= mass[-1]
    return np.asarray(out, dtype=np.float64)


def forward_mean(values: FloatArray, days: int) -> FloatArray:
    """Mean of the `days` values AFTER each row: the target; nan where not all are known."""
    out = np.full(values.size, np.nan)
    if values.size > days:
        out[: values.size - days] = _window_means(values[1:], days)
    return out
