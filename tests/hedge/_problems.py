"""Random hedge problems, and what must hold of every answer."""

import numpy as np

from ivhedge.hedge.optimiser import HedgeProblem, band_violation, leg_charges, objective, solve, solver


def problem(seed, *, k=5, n=12, budget=np.inf, margin_cap=30.0, impact=0.0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, k))
    width = rng.uniform(0.5, 2.0, k)
    return HedgeProblem(
        exposure=rng.normal(size=k) * 3.0,
        target=np.zeros(k),
        lower=-width,
        upper=width,
        reach=np.full(k, 0.1),
        loadings=rng.normal(size=(k, n)),
        covariance=root @ root.T / k + 0.05 * np.eye(k),
        aversion=1.0,
        penalty=np.full(k, 10.0),
        buy_cost=rng.uniform(0.05, 0.4, n),
        sell_cost=rng.uniform(0.05, 0.4, n),
        max_buy=rng.uniform(0.5, 2.0, n),
        max_sell=np.where(rng.random(n) < 0.3, np.inf, 1.0),
        free_size=rng.uniform(0.0, 0.5, n),
        impact=np.full(n, impact),
        budget=budget,
        margin=rng.uniform(0.5, 1.5, n),
        margin_cap=margin_cap,
    )


def by_piqp(one, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(solver, "jit_available", lambda: False)
        return solve(one)


def worth(one, solution):
    return objective(one, solution.trades)


def keeps_limits(one, trades, *, room=1e-5, impact=True):
    low, high = one.box
    size = 1.0 + np.abs(one.exposure)
    after = one.exposure + one.loadings @ trades
    spent = leg_charges(one, trades).sum()
    if not impact:
        buy, sell = one.charges
        spent = buy @ np.maximum(trades, 0.0) + sell @ np.maximum(-trades, 0.0)
    margin = 0.0 if one.margin is None else float(one.margin @ np.abs(trades))
    return bool(
        (after >= low - room * size).all()
        and (after <= high + room * size).all()
        and (trades <= one.max_buy + room).all()
        and (trades >= -one.max_sell - room).all()
        and spent <= one.budget + room
        and margin <= one.margin_cap + room
        and np.isfinite(band_violation(one, after)).all()
    )
