"""Time per option of prices, implied vols and 16 Greeks: compiled kernels against their numpy twins.

Prints JSON. Kernels and twins take turns in one process and the median over the turns is reported, so a busy
machine slows both. Times are process CPU time and include the public function's handling of its inputs.
"""

import contextlib
import json
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing import GREEK_NAMES, black76_greeks, black76_price, implied_vol, warmup
from ivhedge.pricing._greeks_numpy import greeks_numpy
from ivhedge.pricing._implied_vol_numpy import implied_vol_numpy
from ivhedge.pricing._numpy_kernels import black76_price_numpy
from ivhedge.pricing.jit import jit_available

OPTIONS = 20_000
TURNS = 9
SEED = 7


def sample_chain(n: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Draw forwards, strikes, taus, vols and signs like those of crypto chains, 80 % out of the money."""
    rng = np.random.default_rng(SEED)
    forward = rng.choice([95_000.0, 3300.0, 180.0, 2.3, 0.21], n) * np.exp(rng.normal(0.0, 0.02, n))
    tau = rng.choice([1 / 24, 0.25, 1, 2, 7, 14, 30, 60, 90, 180, 365], n) / 365
    vol = np.exp(rng.normal(np.log(0.6), 0.4, n))
    z = np.clip(rng.normal(0.0, 1.7, n), -6.0, 6.0)
    strike = forward * np.exp(z * vol * np.sqrt(tau))
    out_of_the_money = rng.random(n) < 0.8
    sign = np.where((strike >= forward) == out_of_the_money, 1.0, -1.0)
    return forward, strike, tau, vol, sign


def measure(tasks: dict[str, Callable[[], object]], items: int) -> dict[str, float]:
    """Median nanoseconds per item of each task, the tasks taking turns."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(TURNS):
        for name, task in tasks.items():
            start = time.process_time_ns()
            task()
            scale = task.scale if isinstance(task, _Scaled) else 1.0
            times[name].append(scale * (time.process_time_ns() - start) / items)
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


def quantlib_task(
    price: FloatArray, forward: FloatArray, strike: FloatArray, sign: FloatArray
) -> dict[str, Callable[[], object]]:
    """QuantLib's implied standard deviation, one call per option; nothing where it is not installed."""
    try:
        import QuantLib as ql  # noqa: N813
    except ImportError:
        return {}
    kinds = [ql.Option.Call if s > 0 else ql.Option.Put for s in sign.tolist()]
    rows = list(zip(kinds, strike.tolist(), forward.tolist(), price.tolist(), strict=True))[:2000]
    otm = [row for row in rows if row[3] > 1e-6 * row[2]]

    def invert() -> None:
        for kind, k, f, p in otm:
            # It raises where it does not converge; the time of those calls counts as well.
            with contextlib.suppress(RuntimeError):
                ql.blackFormulaImpliedStdDevLiRS(kind, k, f, p, 1.0, 0.0, ql.nullDouble(), 1.0, 1e-12)

    scale = OPTIONS / len(otm)
    return {"implied_vol_quantlib": _Scaled(invert, scale)}


class _Scaled:
    """A task on fewer items; `measure` divides by all of them, so its figure is scaled back."""

    def __init__(self, task: Callable[[], object], scale: float) -> None:
        self.task, self.scale = task, scale

    def __call__(self) -> object:
        return self.task()


def main() -> None:
    """Measure and print."""
    forward, strike, tau, vol, sign = sample_chain(OPTIONS)
    is_call = sign > 0
    warmup()
    price = black76_price(forward, strike, tau, vol, is_call)
    nanoseconds = measure(
        {
            "price_kernel": lambda: black76_price(forward, strike, tau, vol, is_call),
            "price_numpy": lambda: black76_price_numpy(forward, strike, tau, vol, sign),
            "implied_vol_kernel": lambda: implied_vol(price, forward, strike, tau, is_call),
            "implied_vol_numpy": lambda: implied_vol_numpy(price, forward, strike, tau, sign),
            "greeks_16_kernel": lambda: black76_greeks(forward, strike, tau, vol, is_call),
            "greeks_16_numpy": lambda: greeks_numpy(forward, strike, tau, vol, sign, GREEK_NAMES),
            **quantlib_task(price, forward, strike, sign),
        },
        OPTIONS,
    )
    ratios = {
        name: round(nanoseconds[f"{name}_numpy"] / nanoseconds[f"{name}_kernel"], 2)
        for name in ("price", "implied_vol", "greeks_16")
    }
    if "implied_vol_quantlib" in nanoseconds:
        peer = nanoseconds["implied_vol_quantlib"] / nanoseconds["implied_vol_kernel"]
        ratios["implied_vol_quantlib_over_kernel"] = round(peer, 2)
    print(
        json.dumps(
            {
                "benchmark": "pricing",
                "machine": platform.machine(),
                "python": platform.python_version(),
                "compiled": jit_available(),
                "options": OPTIONS,
                "turns": TURNS,
                "ns_per_option": nanoseconds,
                "numpy_over_kernel": ratios,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
