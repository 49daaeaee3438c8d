"""Portfolio margin: what-if latency on 200 positions and books per second, with the kernel and its twin.

Prints JSON. Times are CPU times of one thread. The what-if includes everything: checks, full revaluation of
200 positions in each scenario, the book before and after a plan. The batch holds 10,000 books on one universe
of 200 instruments, all sizes non-zero; `separate_books` values each book on its own instruments.
"""

import json
import platform
import time
from collections.abc import Callable
from datetime import date

import numpy as np

from ivhedge.pricing import black76_price
from ivhedge.pricing.jit import jit_available
from ivhedge.pricing.threads import set_threads
from ivhedge.risk.margin import (
    Account,
    MarginLimits,
    MarginPositions,
    Stress,
    check_margin,
    evaluate,
    liquidation_distance,
    load_margin_profile,
    prepare_margin,
    what_if,
)

POSITIONS, BOOKS, CALLS, PLANS, SEED = 200, 10_000, 400, 500, 7
DAY = date(2026, 11, 1)


def sample(rng: np.random.Generator, inverse: bool) -> MarginPositions:
    """199 options on nine expiries and a perpetual."""
    n = POSITIONS - 1
    tau = rng.choice([1, 2, 7, 14, 30, 60, 90, 180, 365], n) / 365
    forward = 95_000.0 * np.exp(0.06 * tau)
    strike = forward * np.exp(np.clip(rng.normal(0.0, 1.2, n), -4, 4) * 0.5 * np.sqrt(tau))
    vol, call = rng.uniform(0.35, 0.9, n), rng.random(n) < 0.5
    price = black76_price(forward, strike, tau, vol, call)
    return MarginPositions.of(
        underlying="BTC",
        index=95_000.0,
        names=[*(f"o{i}" for i in range(n)), "perp"],
        kind=np.append(np.zeros(n), 2),
        size=rng.normal(0.0, 5.0, POSITIONS),
        mark=np.append(price / forward if inverse else price, 95_000.0),
        forward=np.append(forward, 95_000.0),
        strike=np.append(strike, np.nan),
        tau=np.append(tau, 0.0),
        vol=np.append(vol, np.nan),
        rate=0.0 if inverse else 0.04,
        is_call=np.append(call, False),
        is_inverse=inverse,
    )


def milliseconds(task: Callable[[], object], calls: int) -> dict[str, float]:
    task()
    times = []
    for _ in range(calls):
        start = time.thread_time_ns()
        task()
        times.append((time.thread_time_ns() - start) / 1e6)
    return {
        "median": round(float(np.median(times)), 3),
        "p99": round(float(np.quantile(times, 0.99)), 3),
        "worst": round(max(times), 3),
    }


def main() -> None:
    """Measure and print."""
    set_threads(1)
    out: dict[str, object] = {}
    for name, inverse in (("derive_pm2", False), ("deribit_pm_btc", True)):
        rng = np.random.default_rng(SEED)
        positions, profile = sample(rng, inverse), load_margin_profile(name)
        account = Account(cash=100.0 if inverse else 1e7)
        plan = rng.normal(size=(1, POSITIONS))
        plans = rng.normal(size=(PLANS, POSITIONS)) * (rng.random((PLANS, POSITIONS)) < 0.02)
        books = rng.normal(0.0, 5.0, (BOOKS, POSITIONS))
        model = prepare_margin(positions, profile, on=DAY)
        stresses = [Stress(name=str(s), spot=s, vol=0.5) for s in (-0.3, -0.15, 0.15, 0.3)]

        def full(positions=positions, profile=profile, plan=plan, account=account):  # type: ignore[no-untyped-def]
            return what_if(prepare_margin(positions, profile, on=DAY), plan, account)

        batch = milliseconds(lambda m=model, b=books: evaluate(m, b), 7)  # type: ignore[misc]
        out[name] = {
            "what_if_full_ms": milliseconds(full, CALLS),
            "what_if_prepared_ms": milliseconds(lambda m=model, p=plan, a=account: what_if(m, p, a), CALLS),  # type: ignore[misc]
            f"what_if_{PLANS}_plans_ms": milliseconds(
                lambda m=model, p=plans, a=account: what_if(m, p, a), 51
            ),  # type: ignore[misc]
            f"check_{PLANS}_plans_4_stresses_ms": milliseconds(
                lambda m=model, p=plans, a=account, s=stresses: check_margin(  # type: ignore[misc]
                    m, p, MarginLimits(), a, stresses=s
                ),
                31,
            ),
            "liquidation_distance_ms": milliseconds(
                lambda m=model, a=account: liquidation_distance(m, a),  # type: ignore[misc]
                9,
            ),
            "batch_ms": batch,
            "books_per_second": round(BOOKS / batch["median"] * 1e3),
            "separate_books_per_second": round(
                1e3
                / milliseconds(
                    lambda p=positions, f=profile: evaluate(prepare_margin(p, f, on=DAY)),  # type: ignore[misc]
                    CALLS,
                )["median"]
            ),
        }
    head = {
        "benchmark": "margin",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "compiled": jit_available(),
        "positions": POSITIONS,
        "books": BOOKS,
    }
    print(json.dumps({**head, **out}, indent=2))


if __name__ == "__main__":
    main()
