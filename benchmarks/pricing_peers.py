"""Other libraries that invert and price the same options, each behind one small adapter.

An adapter prepares its inputs outside the measured time and returns a task that yields vols or prices. What
is not installed is reported as such. The number of points keeps one task near a tenth of a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from ivhedge.core.types import FloatArray
from pricing_data import Options

Task = Callable[[], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A library, how many points it gets at most, and what it is asked for."""

    name: str
    distribution: str
    points: int
    implied_vol: Callable[[Options], Task]
    price: Callable[[Options], Task]
    note: str


def _vanilla_loops() -> tuple[Any, Any]:
    import numba
    from vanilla_option_pricers.black_scholes import compute_bsm_vanilla_price, infer_bsm_implied_vol

    @numba.njit
    def invert(price, forward, strike, tau, is_call, out):  # type: ignore[no-untyped-def]
        for i in range(out.size):
            side = "C" if is_call[i] else "P"
            out[i] = infer_bsm_implied_vol(
                forward[i], tau[i], strike[i], price[i], 1.0, side, 1e-15, 0.0, 1e300
            )

    @numba.njit
    def value(forward, strike, tau, vol, is_call, out):  # type: ignore[no-untyped-def]
        for i in range(out.size):
            side = "C" if is_call[i] else "P"
            out[i] = compute_bsm_vanilla_price(forward[i], strike[i], tau[i], vol[i], side, 1.0)

    return invert, value


def _vanilla_implied_vol(o: Options) -> Task:
    invert, _ = _vanilla_loops()

    def task() -> FloatArray:
        out = np.empty(len(o))
        invert(o.price, o.forward, o.strike, o.tau, o.is_call, out)
        return out

    return task


def _vanilla_price(o: Options) -> Task:
    _, value = _vanilla_loops()

    def task() -> FloatArray:
        out = np.empty(len(o))
        value(o.forward, o.strike, o.tau, o.vol, o.is_call, out)
        return out

    return task


def _fast_vollib_implied_vol(o: Options) -> Task:
    from fast_vollib.jackel import jackel_iv_black

    return lambda: np.asarray(jackel_iv_black(o.price, o.forward, o.strike, o.tau, o.is_call))


def _fast_vollib_price(o: Options) -> Task:
    from fast_vollib import fast_black

    flags = np.where(o.is_call, "c", "p")
    rate = np.zeros(len(o))
    return lambda: np.asarray(
        fast_black(flags, o.forward, o.strike, o.tau, rate, o.vol, return_as="numpy", backend="numpy")
    )


def _quantlib_rows(o: Options, last: FloatArray) -> list[tuple[Any, float, float, float]]:
    import QuantLib as ql  # noqa: N813

    sides = [ql.Option.Call if call else ql.Option.Put for call in o.is_call.tolist()]
    return list(zip(sides, o.strike.tolist(), o.forward.tolist(), last.tolist(), strict=True))


def _quantlib_implied_vol(o: Options) -> Task:
    import QuantLib as ql  # noqa: N813

    rows, root, missing = _quantlib_rows(o, o.price), np.sqrt(o.tau), ql.nullDouble()

    def one(side: Any, strike: float, forward: float, price: float) -> float:
        try:
            return float(
                ql.blackFormulaImpliedStdDevLiRS(side, strike, forward, price, 1.0, 0.0, missing, 1.0, 1e-14)
            )
        except RuntimeError:  # it raises where it does not converge
            return float("nan")

    return lambda: np.array([one(*row) for row in rows]) / root


def _quantlib_price(o: Options) -> Task:
    import QuantLib as ql  # noqa: N813

    rows = _quantlib_rows(o, o.vol * np.sqrt(o.tau))
    return lambda: np.array([ql.blackFormula(*row) for row in rows])


def _rational_rows(o: Options, first: FloatArray) -> list[tuple[float, float, float, float, float]]:
    sign = np.where(o.is_call, 1.0, -1.0)
    return list(zip(*(a.tolist() for a in (first, o.forward, o.strike, o.tau, sign)), strict=True))


def _rational_implied_vol(o: Options) -> Task:
    import py_lets_be_rational as lbr

    invert = lbr.implied_volatility_from_a_transformed_rational_guess
    rows = _rational_rows(o, o.price)

    def one(row: tuple[float, float, float, float, float]) -> float:
        try:
            return float(invert(*row))
        except Exception:  # its own errors for prices outside the bounds, plain ArithmeticError elsewhere
            return float("nan")

    return lambda: np.array([one(row) for row in rows])


def _rational_price(o: Options) -> Task:
    import py_lets_be_rational as lbr

    rows = _rational_rows(o, o.vol)
    return lambda: np.array([lbr.black(f, k, vol, tau, sign) for vol, f, k, tau, sign in rows])


def _pyfeng_implied_vol(o: Options) -> Task:
    import pyfeng

    model = pyfeng.Bsm(0.2, is_fwd=True)
    side = np.where(o.is_call, 1, -1)
    return lambda: np.asarray(model.impvol(o.price, o.strike, o.forward, o.tau, side))


def _pyfeng_price(o: Options) -> Task:
    import pyfeng

    side = np.where(o.is_call, 1, -1)
    formula = pyfeng.Bsm.price_formula
    return lambda: np.asarray(formula(o.strike, o.forward, o.vol, o.tau, side, is_fwd=True))


PEERS = (
    Peer(
        name="vanilla_option_pricers",
        distribution="vanilla-option-pricers",
        points=200_000,
        implied_vol=_vanilla_implied_vol,
        price=_vanilla_price,
        note="numba, Let's Be Rational; its scalar functions in a compiled loop",
    ),
    Peer(
        name="pyfeng",
        distribution="pyfeng",
        points=200_000,
        implied_vol=_pyfeng_implied_vol,
        price=_pyfeng_price,
        note="numpy and scipy; GPL-2.0, therefore not in the extra; needs statsmodels",
    ),
    Peer(
        name="fast_vollib",
        distribution="fast-vollib",
        points=100_000,
        implied_vol=_fast_vollib_implied_vol,
        price=_fast_vollib_price,
        note="numpy and scipy; its Jäckel module",
    ),
    Peer(
        name="QuantLib",
        distribution="QuantLib",
        points=20_000,
        implied_vol=_quantlib_implied_vol,
        price=_quantlib_price,
        note="C++, Li and Lee's SR iteration, accuracy 1e-14; called per option from Python",
    ),
    Peer(
        name="py_lets_be_rational",
        distribution="py_lets_be_rational",
        points=2000,
        implied_vol=_rational_implied_vol,
        price=_rational_price,
        note="plain Python; called per option",
    ),
)

NOT_IN_THE_INDEX = {"volfi": "found in no package index in November 2026; no adapter"}


def installed() -> tuple[dict[str, Peer], dict[str, str], dict[str, str]]:
    """Return the peers that can be used, their versions, and why others cannot."""
    usable: dict[str, Peer] = {}
    versions: dict[str, str] = {}
    missing = dict(NOT_IN_THE_INDEX)
    for peer in PEERS:
        try:
            version = metadata.version(peer.distribution)
            __import__(peer.name)
        except (metadata.PackageNotFoundError, ImportError) as exc:
            missing[peer.name] = f"not installed: {exc}"
            continue
        usable[peer.name], versions[peer.name] = peer, version
    return usable, versions, missing
