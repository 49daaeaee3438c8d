"""First guesses of total vols as straight-line functions for the compiled kernels.

Written by tools/fit_implied_vol_guesses.py, which explains them; change that file, not this one.
"""

from typing import Final

from ivhedge.pricing.straight import straight

__all__ = [
    "FAR_Q_SCALE",
    "FAR_Q_SHIFT",
    "FAR_U_SCALE",
    "NEAR_Q_SCALE",
    "NEAR_Q_SHIFT",
    "NEAR_U_SCALE",
    "QUANTILE_ROOT",
    "QUANTILE_SCALE",
    "QUANTILE_SHIFT",
    "far_bachelier",
    "far_high",
    "far_low",
    "near_bachelier",
    "near_high",
    "near_low",
    "quantile_polynomial",
    "short_log_polynomial",
]

NEAR_Q_SCALE: Final = 2.197588186
NEAR_U_SCALE: Final = 0.4167468421
NEAR_Q_SHIFT: Final = 8.0
"""For h ≤ 12, s ≤ 2.2: largest relative error 8.0e-05."""
FAR_Q_SCALE: Final = 2.059922371
FAR_U_SCALE: Final = 0.03159739994
FAR_Q_SHIFT: Final = 20.0
"""For h ≤ 36, s ≤ 8: largest relative error 2.4e-03."""
QUANTILE_SCALE: Final = 2.011021347
QUANTILE_SHIFT: Final = 4.0
QUANTILE_ROOT: Final = 1.0
"""Normal quantile for probabilities up to a half: largest relative error 4.9e-04."""


@straight
def near_bachelier(q: float) -> float:
    """Return s0/(a + β)."""
    square = q * q
    even = 0.008563827261
    even = even * square + -0.06053556946
    even = even * square + 0.3010668446
    even = even * square + 0.6242978214
    even = even * square + 0.421468664
    odd = -0.01288074722
    odd = odd * square + 0.03694329671
    odd = odd * square + -0.05631649179
    odd = odd * square + -0.5457379747
    odd = odd * square + -0.6338610957
    return odd * q + even


@straight
def near_high(q: float, u: float) -> float:
    """Higher half of s/s0 in powers of q."""
    row = 0.009636942975
    row = row * u + 0.003930715489
    row = row * u + -0.02008964809
    row = row * u + -0.02248421661
    row = row * u + -0.00816590449
    total = row
    row = -0.009458117487
    row = row * u + -0.005311388624
    row = row * u + 0.02086554468
    row = row * u + 0.04384483178
    row = row * u + 0.02643757302
    total = total * q + row
    row = -0.00630388576
    row = row * u + 0.005818820934
    row = row * u + 0.0220811353
    row = row * u + -0.009893141717
    row = row * u + -0.01994530206
    total = total * q + row
    row = 0.004479945383
    row = row * u + -0.01157629017
    row = row * u + -0.04127993321
    row = row * u + -0.04809130972
    row = row * u + -0.02194998475
    return total * q + row


@straight
def near_low(high: float, q: float, u: float) -> float:
    """Return s/s0 from its higher half and the lower powers of q."""
    row = 0.004198391444
    row = row * u + 0.01055478314
    row = row * u + 0.02838894192
    row = row * u + 0.08180682266
    row = row * u + 0.05992162911
    total = high * q + row
    row = -0.002645081657
    row = row * u + -0.003968529977
    row = row * u + -0.01396754187
    row = row * u + -0.08007916248
    row = row * u + -0.06772009656
    total = total * q + row
    row = 0.0002676708353
    row = row * u + 0.0005926431043
    row = row * u + 0.00371660777
    row = row * u + 0.03686421825
    row = row * u + 1.033474046
    return total * q + row


@straight
def far_bachelier(q: float) -> float:
    """Return s0/(a + β)."""
    square = q * q
    even = 0.4953035691
    even = even * square + 0.06104771865
    even = even * square + 0.3082942342
    even = even * square + 0.2068404412
    even = even * square + 0.1964869967
    odd = -0.2505067108
    odd = odd * square + -0.2517049464
    odd = odd * square + -0.2396615664
    odd = odd * square + -0.248705155
    odd = odd * square + -0.2497604645
    return odd * q + even


@straight
def far_high(q: float, u: float) -> float:
    """Higher half of s/s0 in powers of q."""
    row = -0.195022233
    row = row * u + -2.2875144
    row = row * u + -11.78659439
    row = row * u + -17.32285544
    row = row * u + -7.569195707
    total = row
    row = 2.511595589
    row = row * u + 26.72962133
    row = row * u + 76.97628592
    row = row * u + 82.81869005
    row = row * u + 30.0606244
    total = total * q + row
    row = -13.05836404
    row = row * u + -89.31943124
    row = row * u + -189.7032538
    row = row * u + -162.7836844
    row = row * u + -49.45651183
    total = total * q + row
    row = 28.35985222
    row = row * u + 140.2838565
    row = row * u + 238.2523621
    row = row * u + 170.1113525
    row = row * u + 43.78763729
    return total * q + row


@straight
def far_low(high: float, q: float, u: float) -> float:
    """Return s/s0 from its higher half and the lower powers of q."""
    row = -30.60694531
    row = row * u + -119.2833867
    row = row * u + -168.0078408
    row = row * u + -102.2068845
    row = row * u + -22.80989265
    total = high * q + row
    row = 17.42742186
    row = row * u + 56.46151742
    row = row * u + 67.51760423
    row = row * u + 35.83842157
    row = row * u + 7.349286559
    total = total * q + row
    row = -5.011427222
    row = row * u + -14.01295254
    row = row * u + -14.61398551
    row = row * u + -7.243402198
    row = row * u + -1.641231196
    total = total * q + row
    row = 0.5704765647
    row = row * u + 1.427691381
    row = row * u + 1.369220929
    row = row * u + 0.7919097572
    row = row * u + 1.281207299
    return total * q + row


@straight
def quantile_polynomial(x: float) -> float:
    """z·sqrt(d + QUANTILE_ROOT)/d of N(−z) = ½·exp(−d), x = d/(d + QUANTILE_SHIFT) scaled."""
    value = 0.0195680043
    value = value * x + 0.001895314362
    value = value * x + -0.00658938719
    value = value * x + 0.07681692875
    return value * x + 1.31902998


@straight
def short_log_polynomial(w: float) -> float:
    """2·atanh(z)/z in powers of w = z², for |z| ≤ 0.2, with a relative error of 2.9e-09."""
    value = 0.3053279815
    value = value * w + 0.3994765557
    value = value * w + 0.6666711014
    return value * w + 1.999999994
