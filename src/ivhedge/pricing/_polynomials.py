"""Polynomials as straight-line functions for the compiled kernels.

Written by tools/generate_pricing_constants.py; change that file, not this one.
"""

from ivhedge.pricing.straight import straight

__all__ = ["erfcx_polynomial", "exp_polynomial", "log_polynomial"]


@straight
def erfcx_polynomial(c1: float, c2: float) -> tuple[float, float]:
    """erfcx(y)·(y + 4) in powers of c = 1 − 6.4/(y + 4), for y ≥ −0.85; and its slope c1 to c2."""
    square1, square2 = c1 * c1, c2 * c2
    even, even_slope = -2.7547359775216344e-09 * square1 + 2.6986895062171055e-08, -2.7547359775216344e-09
    odd, odd_slope = 1.4256492140008498e-09 * square1 + -1.7748838611284554e-08, 1.4256492140008498e-09
    even, even_slope = even * square1 + -1.3674850169886083e-07, even_slope * square2 + even
    odd, odd_slope = odd * square1 + 1.2263914043798988e-07, odd_slope * square2 + odd
    even, even_slope = even * square1 + 5.268854466678302e-07, even_slope * square2 + even
    odd, odd_slope = odd * square1 + -6.625790651357631e-07, odd_slope * square2 + odd
    even, even_slope = even * square1 + -2.1656570504659847e-06, even_slope * square2 + even
    odd, odd_slope = odd * square1 + 3.284334284738402e-06, odd_slope * square2 + odd
    even, even_slope = even * square1 + 1.3083191648311597e-05, even_slope * square2 + even
    odd, odd_slope = odd * square1 + -1.6169837083386145e-05, odd_slope * square2 + odd
    even, even_slope = even * square1 + -0.00011042734959386943, even_slope * square2 + even
    odd, odd_slope = odd * square1 + 8.015859915522755e-05, odd_slope * square2 + odd
    even, even_slope = even * square1 + 0.0010071048307961595, even_slope * square2 + even
    odd, odd_slope = odd * square1 + -0.00036750780266527294, odd_slope * square2 + odd
    even, even_slope = even * square1 + -0.00800289087201437, even_slope * square2 + even
    odd, odd_slope = odd * square1 + 0.0009291899536155879, odd_slope * square2 + odd
    even, even_slope = even * square1 + 0.02996883510088487, even_slope * square2 + even
    odd, odd_slope = odd * square1 + 0.010560361710028688, odd_slope * square2 + odd
    even, even_slope = even * square1 + 0.5078973502260269, even_slope * square2 + even
    odd, odd_slope = odd * square1 + -0.1819184997011187, odd_slope * square2 + odd
    even, even_slope = even * square1 + 1.5529126591553983, even_slope * square2 + even
    odd, odd_slope = odd * square1 + -1.0026505569206736, odd_slope * square2 + odd
    even, even_slope = even * square1 + 2.0861967987605263, even_slope * square2 + even
    odd, odd_slope = odd * square1 + -1.9692831999792784, odd_slope * square2 + odd
    even, even_slope = even * square1 + 1.3983919010370134, even_slope * square2 + even
    odd, odd_slope = odd * square1 + -1.861419583338134, odd_slope * square2 + odd
    both = c1 + c2
    return odd * c1 + even, even_slope * both + (odd_slope * c2 * both + odd)


@straight
def exp_polynomial(r: float) -> float:
    """exp(r) for |r| ≤ 0.35."""
    square = r * r
    even = 2.0925991637767797e-09
    odd = 2.5116118816790588e-08
    even = even * square + 2.755723626413992e-07
    odd = odd * square + 2.755722116953229e-06
    even = even * square + 2.4801587370890257e-05
    odd = odd * square + 0.0001984126991335401
    even = even * square + 0.0013888888888859171
    odd = odd * square + 0.008333333333307576
    even = even * square + 0.04166666666666673
    odd = odd * square + 0.16666666666666707
    even = even * square + 0.5
    odd = odd * square + 1.0
    even = even * square + 1.0
    return odd * r + even


@straight
def log_polynomial(w: float) -> float:
    """2·atanh(z)/z in powers of w = z², for |z| ≤ 0.2."""
    square = w * w
    even = 0.13970280817376854
    odd = 0.13153744742058962
    even = even * square + 0.15392370150517692
    odd = odd * square + 0.18181624317072814
    even = even * square + 0.2222222505967558
    odd = odd * square + 0.2857142854814452
    even = even * square + 0.400000000000956
    odd = odd * square + 0.6666666666666652
    even = even * square + 2.0
    return odd * w + even
