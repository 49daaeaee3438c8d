"""The 50-digit reference, and a switch between the compiled kernels and their twins."""

import importlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import mpmath as mp
import pytest

from ivhedge.pricing.jit import jit_available

MODULES = ("black76", "greeks", "implied_vol")


@pytest.fixture(params=["numba", "numpy"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test twice: with the compiled kernels and with the numpy twins."""
    if request.param == "numba" and not jit_available():
        pytest.skip("numba is absent or disabled, only the numpy twins exist here")
    for module in MODULES:
        # Through the import system: as attributes of the package, functions hide the modules of their name.
        target = importlib.import_module(f"ivhedge.pricing.{module}")
        monkeypatch.setattr(target, "jit_available", lambda: request.param == "numba")
    return str(request.param)


def exact_price(forward, strike, tau, vol, sign) -> mp.mpf:
    """Undiscounted Black-76 price in the working precision of mpmath."""
    forward, strike, tau, vol = map(mp.mpf, (forward, strike, tau, vol))
    total_vol = vol * mp.sqrt(tau)
    d1 = mp.log(forward / strike) / total_vol + total_vol / 2
    d2 = d1 - total_vol

    def cdf(d):
        return mp.erfc(-d / mp.sqrt(2)) / 2

    return sign * (forward * cdf(sign * d1) - strike * cdf(sign * d2))


def exact_vol(price, forward, strike, tau, sign, guess) -> mp.mpf:
    """Inverse of `exact_price`, by Newton on the logarithm of the time value in the variable vol."""
    intrinsic = max(mp.mpf(sign) * (mp.mpf(forward) - mp.mpf(strike)), mp.mpf(0))
    target = mp.log(mp.mpf(price) - intrinsic)

    def gap(vol):
        return mp.log(exact_price(forward, strike, tau, vol, sign) - intrinsic) - target

    return mp.findroot(gap, mp.mpf(guess), tol=mp.mpf(10) ** -80)


@pytest.fixture
def exact() -> Iterator[SimpleNamespace]:
    """Reference functions at 50 digits and more."""
    price: Callable[..., mp.mpf] = exact_price
    with mp.workdps(60):
        yield SimpleNamespace(price=price, vol=exact_vol)
