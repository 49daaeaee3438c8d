"""Cost models that learn: planned against realised cost on trades that come later, simulated.

Prints JSON. No set at hand records orders with their fills, so the execution is simulated with a truth that
the learner does not know: three venues, options and perpetuals, spreads that widen between decision and fill,
delays in which the mid moves with and without the trade, sizes that are not filled whole, impact beyond the
free size steeper than the prior's. Each day costs are learnt from the days before and judged on that day's
trades: mean absolute and mean error of the planned cost of a cell (venue, kind) per day, in half-spreads, for
the prior and the learnt model. Intervals are over 20 seeds.
"""

import json
import sys

import numpy as np

from ivhedge.core.instruments import InstrumentKind
from ivhedge.core.units import NS_PER_DAY
from ivhedge.hedge import CostModel
from ivhedge.hedge.slippage import PlannedTrade, RealisedTrade, SlippageRecord, learn_costs
from ivhedge.ledger import load_fees

OPTION, PERPETUAL = InstrumentKind.OPTION, InstrumentKind.PERPETUAL
TRUTH = {
    ("deribit", OPTION): (0.1, 0.1),
    ("deribit", PERPETUAL): (0.0, 0.3),
    ("okx", OPTION): (0.5, 0.3),
    ("okx", PERPETUAL): (0.2, 0.6),
    ("bybit", OPTION): (1.2, 0.5),
    ("bybit", PERPETUAL): (0.1, 0.1),
}
"""Half-spreads by which the spread is wider at the fill, and by which the mid runs away meanwhile."""
DAYS, TRADES, FREE, SLOPE, SEEDS = 60, 8, 10.0, 2.0, 20
PRIOR = CostModel(fees={"deribit": load_fees("deribit")}, assumed_size={OPTION: FREE, PERPETUAL: FREE})


def made(rng: np.random.Generator, day: int, cell: tuple[str, InstrumentKind]) -> SlippageRecord:
    wider, drift = TRUTH[cell]
    contracts = float(np.ceil(rng.lognormal(1.6, 0.9))) * rng.choice([-1.0, 1.0])
    side, mid, half = np.sign(contracts), 100.0, float(rng.lognormal(-1.0, 0.4))
    then = mid + half * (side * drift + rng.normal(0.0, 1.5))
    touch = then + side * half * (1.0 + wider * rng.exponential())
    filled = contracts if rng.random() < 0.8 else contracts * float(rng.choice([0.0, 0.3, 0.6]))
    size = abs(filled)
    impact = SLOPE * 0.5 * max(size - FREE, 0.0) ** 2 / (FREE * size) if size else 0.0
    planned = PRIOR.impact_half_spreads * 0.5 * max(abs(contracts) - FREE, 0.0) ** 2 / (FREE * abs(contracts))
    later = then + half * (side * drift + rng.normal(0.0, 1.5))
    return SlippageRecord(
        ts_ns=day * NS_PER_DAY + int(rng.integers(NS_PER_DAY)),
        venue=cell[0],
        kind=cell[1],
        plan=PlannedTrade(
            contracts=contracts,
            mid=mid,
            spread=abs(contracts) * half,
            impact=abs(contracts) * half * planned,
            fee=0.0,
        ),
        trade=RealisedTrade(
            contracts=filled,
            price=touch + side * half * impact,
            touch=touch,
            mid=then,
            later_mid=later,
            fee=0.0,
        ),
        half_spread=half,
    )


def errors(seed: int) -> dict[str, list[float]]:
    """Per day and cell from the twentieth day on: realised less planned, prior and learnt, half-spreads."""
    rng = np.random.default_rng(seed)
    past: list[SlippageRecord] = []
    found: dict[str, list[float]] = {"prior": [], "learnt": []}
    for day in range(DAYS):
        today = {cell: [made(rng, day, cell) for _ in range(TRADES)] for cell in TRUTH}
        if day >= 20:
            model = learn_costs(past, PRIOR, now_ns=day * NS_PER_DAY).model
            slope = model.impact_half_spreads / PRIOR.impact_half_spreads
            for cell, records in today.items():
                realised = np.array([r.causes.realised / r.unit for r in records])
                impact = np.array([r.plan.impact / r.unit for r in records])
                found["prior"].append(float((realised - 1.0 - impact).mean()))
                surcharge = model.surcharge.get(cell, 0.0)
                found["learnt"].append(float((realised - 1.0 - surcharge - slope * impact).mean()))
        past += [record for records in today.values() for record in records]
    return found


def main() -> None:
    rows = [errors(seed) for seed in range(SEEDS)]
    out: dict[str, object] = {"seeds": SEEDS, "days_judged": DAYS - 20, "trades_a_day_and_cell": TRADES}
    for name in ("prior", "learnt"):
        absolute = [float(np.abs(row[name]).mean()) for row in rows]
        mean = [float(np.mean(row[name])) for row in rows]
        out[name] = {
            "mean_absolute_error": [
                round(float(x), 3) for x in (np.mean(absolute), *np.quantile(absolute, [0.05, 0.95]))
            ],
            "mean_error": [round(float(x), 3) for x in (np.mean(mean), *np.quantile(mean, [0.05, 0.95]))],
        }
    ratio = [float(np.abs(row["learnt"]).mean() / np.abs(row["prior"]).mean()) for row in rows]
    out["ratio_of_absolute_errors"] = [
        round(float(x), 3) for x in (np.mean(ratio), *np.quantile(ratio, [0.05, 0.95]))
    ]
    json.dump(out, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
