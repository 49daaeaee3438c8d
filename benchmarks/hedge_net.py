"""A small no-transaction-band net against the tuned band it starts from: whether it earns its keep.

Prints JSON. The net (4 inputs, 8 tanh units, 3 outputs, 67 weights, plain numpy) bends the tuned band:
factors on the width below and above, and a shift of the middle in half-widths; with the weights of its last
layer at 0 it is the tuned band. It is trained by antithetic evolution strategies for the same CVaR 95 on the
same paths as the band (GBM, three months, vol 20 %, 252 checks), and both are scored on fresh ones.

``python benchmarks/hedge_net.py [generations]``
"""

import json
import sys
import time

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.policies import (
    DeltaPolicy,
    TunedBand,
    WhalleyWilmott,
    cvar,
    fit_band,
    gbm_paths,
    run_policy,
)
from ivhedge.hedge.policies.protocol import OPEN, Gate, rebalance
from ivhedge.hedge.policies.state import HedgeMoment, Zone

SEED, HIDDEN, INPUTS, PAIRS, STEP, RATE = 20260101, 8, 4, 12, 0.15, 0.15
SHAPES = ((INPUTS, HIDDEN), (HIDDEN,), (HIDDEN, 3), (3,))
SIZE = sum(int(np.prod(shape)) for shape in SHAPES)


class NetBand:
    """The tuned band, bent by a net of the moment."""

    def __init__(self, base: TunedBand, weights: FloatArray) -> None:
        self.base, parts, at = base, [], 0
        for shape in SHAPES:
            size = int(np.prod(shape))
            parts.append(weights[at : at + size].reshape(shape))
            at += size
        self.first, self.bias, self.last, self.end = parts

    @property
    def gate(self) -> Gate:
        """When to look."""
        return OPEN

    def zone(self, moment: HedgeMoment) -> Zone:
        """The band of the base, bent."""
        zone = self.base.zone(moment)
        lower, upper = np.asarray(zone.lower), np.asarray(zone.upper)
        middle, half = 0.5 * (lower + upper), 0.5 * (upper - lower)
        total = np.asarray(moment.total_vol)
        seen = np.stack(
            np.broadcast_arrays(
                np.clip(moment.log_moneyness / np.maximum(total, 1e-9), -4.0, 4.0),
                np.sqrt(np.maximum(moment.tau, 0.0)) * 2.0,
                2.0 * np.abs(moment.target) - 1.0,
                np.log(np.maximum(half, 1e-6)) / 3.0 + 1.0,
            ),
            axis=-1,
        )
        out = np.tanh(seen @ self.first + self.bias) @ self.last + self.end
        shift = np.clip(out[..., 2], -1.0, 1.0) * half
        below, above = (half * np.exp(np.clip(out[..., k], -1.5, 1.5)) for k in (0, 1))
        return Zone.to_edge(middle + shift - below, middle + shift + above)

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)


def main() -> None:
    generations = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    terms = {"n_steps": 252, "tau": 0.25, "vol": 0.2, "rate": 0.03, "drift": 0.08}
    sample = gbm_paths(np.random.default_rng(SEED), n_paths=10_000, **terms)
    fresh = gbm_paths(np.random.default_rng(SEED + 1), n_paths=40_000, **terms)
    out: dict[str, object] = {"weights": SIZE, "generations": generations}
    for cost in (0.001, 0.005):

        def tail(policy: DeltaPolicy, cost: float = cost) -> float:
            return cvar(run_policy(policy, sample, cost=cost, tabulate=True).pnl)

        started = time.thread_time()
        base = fit_band(tail, TunedBand(cost=cost, aversion=200.0)).band
        rng = np.random.default_rng(SEED)
        weights = np.zeros(SIZE)
        inner = int(np.prod(SHAPES[0])) + HIDDEN
        weights[:inner] = 0.5 * rng.standard_normal(inner)
        best, best_loss = weights, tail(NetBand(base, weights))
        start_loss = best_loss
        for generation in range(generations):
            noise = rng.standard_normal((PAIRS, SIZE))
            losses = np.array([[tail(NetBand(base, weights + s * STEP * n)) for s in (1, -1)] for n in noise])
            slope = ((losses[:, 0] - losses[:, 1])[:, None] * noise).mean(axis=0) / (2.0 * STEP)
            scale = float(losses.std()) or 1.0
            weights = weights - RATE * (1.0 - generation / generations) * slope / scale * STEP
            loss = tail(NetBand(base, weights))
            if loss < best_loss:
                best, best_loss = weights, loss
        policies: dict[str, DeltaPolicy] = {
            "tuned": base,
            "net": NetBand(base, best),
            "whalley_wilmott": WhalleyWilmott(cost=cost, aversion=200.0),
        }
        pnl = {
            name: run_policy(policy, fresh, cost=cost, tabulate=True).pnl for name, policy in policies.items()
        }
        draws = np.random.default_rng(SEED + 2).integers(0, fresh.strike.size, size=(200, fresh.strike.size))
        ratio = [cvar(pnl["net"][rows]) / cvar(pnl["tuned"][rows]) for rows in draws]
        out[f"{cost * 1e4:.0f} bp"] = {
            "trained_on": {"tuned": round(start_loss, 4), "net": round(best_loss, 4)},
            "fresh_cvar95": {name: round(cvar(values), 4) for name, values in pnl.items()},
            "net_to_tuned": [
                round(float(x), 4)
                for x in (cvar(pnl["net"]) / cvar(pnl["tuned"]), *np.quantile(ratio, [0.05, 0.95]))
            ],
            "cpu_seconds": round(time.thread_time() - started, 1),
        }
    json.dump(out, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
