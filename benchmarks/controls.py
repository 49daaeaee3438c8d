"""Time of the trading controls: an order, a plan, the state of the book; microseconds of one thread.

Prints JSON. The case is that of the controls' own tests: one option and the perpetual of one venue, limits on
every scope, so that all twenty controls look at something. Median of 15 repeats of CPU time.

``python benchmarks/controls.py``
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.risk.controls._case import NOW, D, order, perp, settings, state

from ivhedge.risk.controls import (
    ExposureLimits,
    WorkingOrder,
    WorkingOrders,
    check_order,
    check_plan,
    check_state,
    next_state,
)

WIDE = ExposureLimits(delta=9.0, gamma_1pct=1.0, vega_usd_per_vol_point=2e3, theta_usd_per_day=3e3)
REPEATS = 15


def microseconds(call: Callable[[], object], count: int) -> float:
    """Median CPU time of a call."""
    times = []
    for _ in range(REPEATS):
        begun = time.thread_time()
        for _ in range(count):
            call()
        times.append((time.thread_time() - begun) / count * 1e6)
    return round(statistics.median(times), 1)


def working(count: int) -> WorkingOrders:
    """Small resting orders of the option."""
    orders = (order("0.1", f"0.{300 + 5 * i:04d}", client_id=f"w{i}") for i in range(count))
    return WorkingOrders(tuple(WorkingOrder(intent=one, remaining=D("0.1")) for one in orders))


def main() -> None:
    # Working orders of the case are more than may execute within seconds.
    limits = settings(expiry_limits={"*": WIDE}, venue_limits={"*": WIDE}, max_same_side_fills=float("inf"))
    single, future, large = order("0.5", "0.0405"), perp("1000"), order("9")
    legs = tuple(order(f"0.{i + 1}", "0.0405", client_id=f"b{i}") for i in range(5))
    found: dict[str, float] = {}
    for count in (0, 20, 100):
        seen = state(working=working(count))
        if check_order(single, seen, limits).breaches:
            raise SystemExit("the case is not sound: the order is refused")
        found[f"check_order_{count}_working"] = microseconds(
            lambda seen=seen: check_order(single, seen, limits), 300
        )
    seen = state(working=working(20))
    found["check_order_refused"] = microseconds(lambda: check_order(large, seen, limits), 300)
    found["check_plan_2_legs"] = microseconds(lambda: check_plan((single, future), seen, limits), 200)
    found["check_plan_5_legs"] = microseconds(lambda: check_plan(legs, seen, limits), 100)
    found["check_state"] = microseconds(lambda: check_state(seen, limits), 300)
    breaches = check_state(seen, limits).breaches
    found["next_state"] = microseconds(lambda: next_state(seen.trading, breaches, NOW, limits), 300)
    found["working_orders_20"] = microseconds(lambda: WorkingOrders(seen.working.orders), 100)
    print(json.dumps({"microseconds": found}, indent=2))


if __name__ == "__main__":
    main()
