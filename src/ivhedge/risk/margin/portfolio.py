"""Portfolio margin: unit values of every instrument in every scenario once, then any number of books.

Sources: Derive PM2 (venue documentation and published cases), Deribit portfolio margin (printed simulation).
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing import black76_price
from ivhedge.pricing.jit import jit_available
from ivhedge.risk.margin._aggregate_numpy import aggregate_numpy
from ivhedge.risk.margin.positions import Account, MarginPositions, PositionKind
from ivhedge.risk.margin.rules import Scenario, ScenarioRules, SkewRule, VolMove, VolShockRule

__all__ = ["ScenarioTables", "ScenarioTotals", "scenario_tables", "scenario_totals", "shocked_vol"]

SECONDS_PER_YEAR = 31_536_000.0
DAYS_PER_YEAR = 365.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioTables:
    """Per-unit figures of one universe of instruments under one set of rules.

    Parameters
    ----------
    order : IntArray, shape (options,)
        Options sorted by expiry; `bounds` delimits the expiries.
    values : FloatArray, shape (options, scenarios + 2)
        Shocked values, the two basis moves last; `unshocked` those of today.
    linear : FloatArray, shape (n, scenarios)
        P&L per unit of futures, before dampening.
    strike_starts : IntArray
        Where in `order` each strike of each expiry starts.
    group_order, group_starts : IntArray
        All positions by expiry, and where each expiry starts.
    """

    rules: ScenarioRules
    positions: MarginPositions
    order: IntArray
    bounds: IntArray
    values: FloatArray
    unshocked: FloatArray
    positive: FloatArray
    negative: FloatArray
    basis_weight: FloatArray
    dampening: FloatArray
    is_skew: BoolArray
    spots: FloatArray
    linear: FloatArray
    tail: BoolArray
    strike_starts: IntArray
    group_order: IntArray
    group_starts: IntArray
    delta: FloatArray
    roll: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioTotals:
    """Margin of b books; arrays of shape (b,), `pnl` of shape (b, scenarios + 1) with the basis last."""

    pnl: FloatArray
    worst: IntArray
    initial: FloatArray
    maintenance: FloatArray
    equity: FloatArray
    components: dict[str, FloatArray]


def shocked_vol(vol: FloatArray, tau: FloatArray, move: VolMove, rule: VolShockRule) -> FloatArray:
    """Vol after a move up, down or none; never below 0."""
    if move not in (VolMove.UP, VolMove.DOWN):
        return vol
    days = tau * DAYS_PER_YEAR
    power = np.where(days <= 30.0, rule.short_power, rule.long_power)
    scale = (30.0 / np.maximum(days, rule.day_floor)) ** power
    if move is VolMove.DOWN:
        lower = vol - rule.down * scale if rule.points else vol * (1.0 - rule.down * scale)
        return np.asarray(np.maximum(lower, 0.0))
    start = np.maximum(vol, rule.min_vol) if rule.floor_before else vol
    upper = start + rule.up * scale if rule.points else start * (1.0 + rule.up * scale)
    return np.asarray(np.maximum(upper, rule.min_vol))


def skewed_vol(
    vol: FloatArray, tau: FloatArray, moneyness: FloatArray, move: VolMove, rule: SkewRule
) -> FloatArray:
    """Vol after a tilt (linear) or a bend (abs) of the smile."""
    root = np.sqrt(tau)
    if move is VolMove.SKEW_ABS:
        k, cap = np.abs(moneyness), rule.abs_base + rule.abs_slope * root
    else:
        k, cap = moneyness, rule.linear_base + rule.linear_slope * root
    star = np.maximum(rule.min_k_star, root * rule.width * (rule.vol_base + root * rule.vol_slope))
    # One bound per side of the forward: a negative cap is then a floor of the tilt's size, as published cases
    # have it, where a two-sided clip would be empty.
    tilt = np.where(k >= 0.0, np.minimum(k * cap / star, cap), np.maximum(k * cap / star, -cap))
    return np.asarray(vol * np.maximum(0.0, 1.0 + tilt))


def scenario_tables(positions: MarginPositions, rules: ScenarioRules) -> ScenarioTables:
    """Value every instrument in every scenario; positions as from `MarginPositions.checked`."""
    p = positions
    rows = np.flatnonzero(p.is_option)
    order = rows[np.lexsort((p.strike[rows], p.tau[rows]))]
    taus, first = np.unique(p.tau[order], return_index=True)
    bounds = np.append(first, order.size).astype(np.int64)
    scenarios = rules.scenarios
    cells = [*((s.spot, s) for s in scenarios), (rules.basis.up, None), (rules.basis.down, None)]
    discount = np.exp(-np.maximum(p.rate, 0.0) * p.tau)
    rate = np.maximum(p.rate, 0.0)[order[first]] if order.size else np.zeros(0)
    d = rules.discount
    positive = d.positive * np.exp(-taus * (rate * d.long_rate_mult + d.long_rate_add))
    growth = d.negative * np.exp(taus * (rate * d.short_rate_mult + d.short_rate_add))
    spots = np.array([s.spot for s in scenarios])
    cap = rules.tail.future_cap
    futures = ~p.is_option
    tail = np.array([s.tail for s in scenarios], dtype=np.bool_)
    moves = np.where(tail, np.clip(spots, -cap, cap), spots)
    per_unit = np.where(p.is_inverse[:, None], moves / (1.0 + moves), p.forward[:, None] * moves)
    tau_sorted, strike_sorted = p.tau[order], p.strike[order]
    new = (np.diff(tau_sorted) != 0.0) | (np.diff(strike_sorted) != 0.0)
    strike_starts = np.flatnonzero(np.append(True, new)) if order.size else np.zeros(0)
    group_order = np.argsort(p.tau, kind="stable")
    all_taus, group_starts = np.unique(p.tau[group_order], return_index=True)
    return ScenarioTables(
        rules=rules,
        positions=p,
        order=order.astype(np.int64),
        bounds=bounds if order.size else np.zeros(1, dtype=np.int64),
        values=_values(p, order, cells, rules, discount[order]),
        unshocked=_values(p, order, [(0.0, None)], rules, discount[order])[:, 0],
        positive=positive,
        negative=np.minimum(np.exp(rate * taus), growth),
        basis_weight=rules.basis.add + rules.basis.mult * taus,
        dampening=np.array([s.dampening for s in scenarios]),
        is_skew=np.array(
            [s.vol in (VolMove.SKEW_LINEAR, VolMove.SKEW_ABS) for s in scenarios], dtype=np.bool_
        ),
        spots=spots,
        linear=np.where(futures[:, None], per_unit, 0.0),
        tail=tail,
        strike_starts=np.asarray(strike_starts, dtype=np.int64),
        group_order=np.asarray(group_order, dtype=np.int64),
        group_starts=np.asarray(group_starts, dtype=np.int64),
        delta=_delta(p),
        roll=np.maximum(rules.roll.minimum, rules.roll.annualised * all_taus),
    )


def _values(
    p: MarginPositions,
    order: IntArray,
    cells: list[tuple[float, Scenario | None]],
    rules: ScenarioRules,
    discount: FloatArray,
) -> FloatArray:
    forward, strike, tau, vol = p.forward[order], p.strike[order], p.tau[order], p.vol[order]
    window = rules.twap_seconds
    # Inside the averaging window the elapsed share of the settlement price no longer moves.
    moving = np.clip(tau * SECONDS_PER_YEAR / window, 0.0, 1.0) if window > 0.0 else np.ones_like(tau)
    spots = np.array([spot for spot, _ in cells])
    shocked = forward[:, None] * (1.0 + moving[:, None] * spots)
    by_move = {VolMove.NONE: vol}
    for _, scenario in cells:
        if scenario is None or scenario.vol in by_move:
            continue
        if rules.skew is not None and scenario.vol in (VolMove.SKEW_LINEAR, VolMove.SKEW_ABS):
            by_move[scenario.vol] = skewed_vol(vol, tau, np.log(strike / forward), scenario.vol, rules.skew)
        else:
            by_move[scenario.vol] = shocked_vol(vol, tau, scenario.vol, rules.vol_shock)
    if not order.size:
        return np.zeros((0, len(cells)))
    vols = np.stack([by_move[VolMove.NONE if s is None else s.vol] for _, s in cells], axis=1)
    price = black76_price(shocked, strike[:, None], tau[:, None], vols, p.is_call[order][:, None])
    in_unit = np.where(p.is_inverse[order][:, None], price / shocked, price * discount[:, None])
    return np.ascontiguousarray(in_unit)


def _delta(p: MarginPositions) -> FloatArray:
    from scipy.special import ndtr

    delta = np.ones(len(p.names))
    o = np.flatnonzero(p.is_option)
    total = p.vol[o] * np.sqrt(p.tau[o])
    up = ndtr(np.log(p.forward[o] / p.strike[o]) / total + 0.5 * total)
    delta[o] = np.where(p.is_call[o], up, up - 1.0)
    return delta


def scenario_totals(
    tables: ScenarioTables, sizes: FloatArray, account: Account, cash: FloatArray, unrealised: FloatArray
) -> ScenarioTotals:
    """Margin of books of shape (b, n) on one universe; cash and unrealised of shape (b,)."""
    rules, p = tables.rules, tables.positions
    if p.short_only is not None:
        sizes = np.where(p.short_only, np.minimum(sizes, 0.0), sizes)
    options = np.ascontiguousarray(sizes[:, tables.order])
    pnl = np.zeros((sizes.shape[0], tables.spots.size + 1))
    value = sum((c.amount * c.price / account.stable_price for c in account.collateral), 0.0)
    moving = sum(
        (c.amount * c.price / account.stable_price for c in account.collateral if c.risk_cancelling), 0.0
    )
    pnl[:, :-1] = (sizes @ tables.linear + moving * tables.spots) * tables.dampening
    if jit_available():
        from ivhedge.risk.margin._aggregate_numba import aggregate_kernel as aggregate
    else:
        aggregate = aggregate_numpy
    aggregate(
        options,
        tables.values,
        np.ascontiguousarray(tables.unshocked),
        tables.bounds,
        tables.positive,
        tables.negative,
        tables.basis_weight,
        tables.dampening,
        tables.is_skew,
        pnl,
    )
    aggregated = _offset(pnl, tables)
    worst = np.argmin(aggregated, axis=1)
    loss = np.maximum(-aggregated[np.arange(worst.size), worst], 0.0)
    deltas = (sizes * tables.delta)[:, tables.group_order]
    by_expiry = _sums(deltas, tables.group_starts)
    roll = np.abs(by_expiry) @ tables.roll
    delta = np.abs(by_expiry.sum(axis=1))
    if not p.is_inverse.any():
        roll = roll * p.index
    shock = _delta_shock(delta, rules, p)
    matrix = (loss + roll + shock) * (1.0 + rules.factors.unpublished_addon)
    maintenance, extra = _charges(tables, sizes, options, account)
    f = rules.factors
    peg = max(rules.contingency.peg_threshold - account.stable_price, 0.0) * rules.contingency.peg_factor
    charged = sum(maintenance.values(), np.zeros(sizes.shape[0]))
    added = sum(extra.values(), np.zeros(sizes.shape[0]))
    return ScenarioTotals(
        pnl=aggregated,
        worst=worst.astype(np.int64),
        initial=matrix * (f.initial + peg) + charged + added + account.extra_initial,
        maintenance=matrix * f.maintenance + charged,
        equity=cash + unrealised + value + options @ tables.unshocked,
        components={
            "scenario_loss": loss,
            "roll_shock": roll,
            "delta_shock": shock,
            "unpublished": matrix - loss - roll - shock,
            "risk_matrix": matrix,
            **maintenance,
            **extra,
            "extra_initial": np.full(sizes.shape[0], account.extra_initial),
        },
    )


def _offset(pnl: FloatArray, tables: ScenarioTables) -> FloatArray:
    rules, p = tables.rules, tables.positions
    unit = p.index if p.is_inverse.any() else 1.0
    f = rules.factors
    out = pnl.copy()
    tail = np.append(tables.tail, False)
    if rules.tail.dampener_usd > 0.0 or rules.tail.factor != 1.0:
        losses = np.minimum(out[:, tail] * rules.tail.factor + rules.tail.dampener_usd / unit, 0.0)
        out[:, tail] = np.where(out[:, tail] < 0.0, losses, out[:, tail])
    if f.offset_gains:
        gains = np.minimum(out * f.pnl_offset, f.max_offsetable / unit)
        out = np.where(out < 0.0, out, gains)
    return out


def _delta_shock(delta: FloatArray, rules: ScenarioRules, p: MarginPositions) -> FloatArray:
    d = rules.delta_shock
    usd = delta * p.index
    ramp = np.clip((usd - d.free_usd) / max(d.threshold_usd - d.free_usd, 1e-300), 0.0, 1.0)
    shock = d.maximum * ramp * delta
    return np.asarray(shock if p.is_inverse.any() else shock * p.index)


def _sums(values: FloatArray, starts: IntArray) -> FloatArray:
    # Of each run of columns; reduceat needs a column.
    if not values.shape[1]:
        return np.zeros((values.shape[0], 0))
    return np.asarray(np.add.reduceat(values, starts, axis=1))


def _charges(
    tables: ScenarioTables, sizes: FloatArray, options: FloatArray, account: Account
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    rules, p = tables.rules.contingency, tables.positions
    books = sizes.shape[0]
    unit = 1.0 if p.is_inverse.any() else p.index
    perp = p.kind != PositionKind.OPTION
    perps = np.abs(sizes[:, perp].sum(axis=1)) * unit
    # A long call or put covers a short one of its strike.
    naked = np.maximum(-_sums(options, tables.strike_starts), 0.0).sum(axis=1) * unit
    held = [(c, c.amount * c.price / account.stable_price) for c in account.collateral]
    cut_mm = sum((v * c.maintenance_haircut for c, v in held), 0.0)
    cut_im = sum((v * c.initial_haircut for c, v in held), 0.0)
    maintenance = {
        "perp_maintenance": rules.perp_maintenance * perps,
        "option_maintenance": rules.option_maintenance * naked,
        "collateral_maintenance": np.full(books, cut_mm),
    }
    doubt = np.zeros(books)
    feeds = [c.confidence for c in account.collateral]
    lowest = min(float(p.confidence.min(initial=1.0)), account.spot_confidence, *feeds, 1.0)
    if lowest < rules.confidence_threshold:
        doubt = _doubt(tables, sizes, options, account, perps, unit)
    extra = {
        "perp_initial": rules.perp_initial * perps,
        "option_initial": rules.option_initial * naked,
        "collateral_initial": np.full(books, cut_im),
        "low_confidence": doubt,
    }
    return maintenance, extra


def _doubt(
    tables: ScenarioTables,
    sizes: FloatArray,
    options: FloatArray,
    account: Account,
    perps: FloatArray,
    unit: float,
) -> FloatArray:
    rules, p = tables.rules.contingency, tables.positions

    def charge(confidence: FloatArray, notional: FloatArray) -> FloatArray:
        low = confidence < rules.confidence_threshold
        return np.where(low, (1.0 - confidence) * rules.confidence_margin * notional, 0.0)

    perp = p.kind != PositionKind.OPTION
    perp_confidence = float(p.confidence[perp].min()) if perp.any() else 1.0
    spot = account.spot_confidence
    of_book = np.where(perps > 0.0, min(spot, perp_confidence), spot)
    total = np.where(perps > 0.0, charge(of_book, perps), 0.0)
    confidence = p.confidence[tables.order]
    for e in range(tables.bounds.size - 1):
        rows = slice(int(tables.bounds[e]), int(tables.bounds[e + 1]))
        held = np.abs(options[:, rows])
        feeds = np.where(held > 0.0, confidence[rows], 1.0).min(axis=1)
        total = total + charge(np.minimum(of_book, feeds), held.sum(axis=1) * unit)
    for c in account.collateral:
        value = np.full(total.shape, c.amount * c.price / account.stable_price)
        total = total + charge(np.full(total.shape, min(spot, c.confidence)), value)
    return np.asarray(total)
