"""Polynomials as straight-line functions for the compiled kernels.

Written by tools/generate_pricing_constants.py; change that file, not this one.
"""

from ivhedge.pricing.jit import njit

__all__ = ["erfcx_polynomial", "exp_polynomial", "log_polynomial"]


@njit(forceinline=True, fastmath={"contract"})
def erfcx_polynomial(c1: float, c2: float) -> tuple[float, float]:
    """erfcx(y)·(y + 4) in powers of c = 1 − 6.4/(y + 4), for y ≥ −0.85; and its slope c1 to c2."""
    value = 1.4256492140008498e-09
    value, slope = value * c1 + -2.7547359775216344e-09, value
    value, slope = value * c1 + -1.7748838611284554e-08, slope * c2 + value
    value, slope = value * c1 + 2.6986895062171055e-08, slope * c2 + value
    value, slope = value * c1 + 1.2263914043798988e-07, slope * c2 + value
    value, slope = value * c1 + -1.3674850169886083e-07, slope * c2 + value
    value, slope = value * c1 + -6.625790651357631e-07, slope * c2 + value
    value, slope = value * c1 + 5.268854466678302e-07, slope * c2 + value
    value, slope = value * c1 + 3.284334284738402e-06, slope * c2 + value
    value, slope = value * c1 + -2.1656570504659847e-06, slope * c2 + value
    value, slope = value * c1 + -1.6169837083386145e-05, slope * c2 + value
    value, slope = value * c1 + 1.3083191648311597e-05, slope * c2 + value
    value, slope = value * c1 + 8.015859915522755e-05, slope * c2 + value
    value, slope = value * c1 + -0.00011042734959386943, slope * c2 + value
    value, slope = value * c1 + -0.00036750780266527294, slope * c2 + value
    value, slope = value * c1 + 0.0010071048307961595, slope * c2 + value
    value, slope = value * c1 + 0.0009291899536155879, slope * c2 + value
    value, slope = value * c1 + -0.00800289087201437, slope * c2 + value
    value, slope = value * c1 + 0.010560361710028688, slope * c2 + value
    value, slope = value * c1 + 0.02996883510088487, slope * c2 + value
    value, slope = value * c1 + -0.1819184997011187, slope * c2 + value
    value, slope = value * c1 + 0.5078973502260269, slope * c2 + value
    value, slope = value * c1 + -1.0026505569206736, slope * c2 + value
    value, slope = value * c1 + 1.5529126591553983, slope * c2 + value
    value, slope = value * c1 + -1.9692831999792784, slope * c2 + value
    value, slope = value * c1 + 2.0861967987605263, slope * c2 + value
    value, slope = value * c1 + -1.861419583338134, slope * c2 + value
    value, slope = value * c1 + 1.3983919010370134, slope * c2 + value
    return value, slope


@njit(forceinline=True, fastmath={"contract"})
def exp_polynomial(r: float) -> float:
    """exp(r) for |r| ≤ 0.35."""
    value = 2.0925991637767797e-09
    value = value * r + 2.5116118816790588e-08
    value = value * r + 2.755723626413992e-07
    value = value * r + 2.755722116953229e-06
    value = value * r + 2.4801587370890257e-05
    value = value * r + 0.0001984126991335401
    value = value * r + 0.0013888888888859171
    value = value * r + 0.008333333333307576
    value = value * r + 0.04166666666666673
    value = value * r + 0.16666666666666707
    value = value * r + 0.5
    value = value * r + 1.0
    return value * r + 1.0


@njit(forceinline=True, fastmath={"contract"})
def log_polynomial(w: float) -> float:
    """2·atanh(z)/z in powers of w = z², for |z| ≤ 0.2."""
    value = 0.13970280817376854
    value = value * w + 0.13153744742058962
    value = value * w + 0.15392370150517692
    value = value * w + 0.18181624317072814
    value = value * w + 0.2222222505967558
    value = value * w + 0.2857142854814452
    value = value * w + 0.400000000000956
    value = value * w + 0.6666666666666652
    return value * w + 2.0
