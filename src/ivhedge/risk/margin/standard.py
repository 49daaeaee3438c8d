"""Standard margin: a rule per position, with the bounded loss of an expiry where the venue grants it."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.risk.margin.positions import Account, MarginPositions
from ivhedge.risk.margin.rules import StandardRules

__all__ = ["StandardTables", "StandardTotals", "blend_forward", "standard_tables", "standard_totals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardTables:
    """Requirement per unit short of every option, payoffs at the settlements that decide, per expiry."""

    rules: StandardRules
    positions: MarginPositions
    initial: FloatArray
    maintenance: FloatArray
    expiries: tuple[IntArray, ...]
    payoffs: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardTotals:
    """Margin of b books: totals of shape (b,), isolated requirements of shape (b, n)."""

    initial: FloatArray
    maintenance: FloatArray
    equity: FloatArray
    position_initial: FloatArray
    position_maintenance: FloatArray
    components: dict[str, FloatArray]


def blend_forward(forward: ArrayLike, twap: ArrayLike, elapsed: ArrayLike) -> FloatArray:
    """Forward in the averaging window: ``p · twap + (1 - p) · forward``, p the elapsed share.

    Examples
    --------
    >>> float(blend_forward(100.0, 90.0, 0.75))
    92.5
    """
    p = np.asarray(elapsed, dtype=np.float64)
    return np.asarray(p * np.asarray(twap, dtype=np.float64) + (1.0 - p) * np.asarray(forward))


def standard_tables(positions: MarginPositions, rules: StandardRules) -> StandardTables:
    """Requirements per unit; positions as from `MarginPositions.checked`.

    Raises
    ------
    ConfigError
        If futures are held and the profile has no rule for them.
    """
    p, r = positions, rules
    option = p.is_option
    if (~option).any() and (r.future_initial is None or r.future_maintenance is None):
        first = p.names[int(np.flatnonzero(~option)[0])]
        raise ConfigError(
            f"{first}: expected future_initial and future_maintenance in the profile, found none; "
            "margin futures under their own profile"
        )
    reference = p.forward if r.by_forward else np.full(len(p.names), p.index)
    # An inverse option's margin is in coin: the USD form over the forward.
    unit = np.where(p.is_inverse, 1.0 / p.forward, 1.0) * reference
    sign = np.where(p.is_call, 1.0, -1.0)
    otm = np.maximum(sign * (p.strike - reference), 0.0) / reference
    initial = np.maximum(r.initial_max - otm, r.initial_min) * unit + p.mark
    maintenance = np.maximum(r.maintenance_max - otm, r.maintenance_min) * unit + p.mark
    put_floor = r.put_mark * p.mark + p.mark
    maintenance = np.where(p.is_call, maintenance, np.maximum(maintenance, put_floor))
    floor = r.put_initial_over_maintenance * maintenance
    initial = np.where(p.is_call, initial, np.maximum(initial, floor))
    expiries, payoffs = [], []
    for tau in np.unique(p.tau[option]) if r.bounded else ():
        rows = np.flatnonzero(option & (p.tau == tau))
        at = np.concatenate(([0.0], np.unique(p.strike[rows])))
        payoff = np.maximum(sign[rows] * (at[:, None] - p.strike[rows]), 0.0)
        expiries.append(rows.astype(np.int64))
        payoffs.append(payoff)
    return StandardTables(
        rules=r,
        positions=p,
        initial=np.where(option, initial, 0.0),
        maintenance=np.where(option, maintenance, 0.0),
        expiries=tuple(expiries),
        payoffs=tuple(payoffs),
    )


def standard_totals(
    tables: StandardTables, sizes: FloatArray, account: Account, cash: FloatArray, unrealised: FloatArray
) -> StandardTotals:
    """Margin of books of shape (b, n); equity leaves option values out, as the rules charge the marks."""
    r, p = tables.rules, tables.positions
    if p.short_only is not None:
        sizes = np.where(p.short_only, np.minimum(sizes, 0.0), sizes)
    short = np.maximum(-sizes, 0.0)
    initial, maintenance = short * tables.initial, short * tables.maintenance
    option_im, option_mm = initial.sum(axis=1), maintenance.sum(axis=1)
    for rows, payoff in zip(tables.expiries, tables.payoffs, strict=True):
        held = sizes[:, rows]
        worst = np.maximum(-(held @ payoff.T).min(axis=1), 0.0)
        naked = np.maximum(-held[:, p.is_call[rows]].sum(axis=1), 0.0) * p.forward[rows[0]]
        alone_im, alone_mm = initial[:, rows].sum(axis=1), maintenance[:, rows].sum(axis=1)
        option_im = option_im - alone_im + np.minimum(alone_im, worst + r.unpaired_initial * naked)
        option_mm = option_mm - alone_mm + np.minimum(alone_mm, worst + r.unpaired_maintenance * naked)
    future = ~p.is_option
    held = np.abs(np.where(future, sizes, 0.0))
    price = np.where(p.is_inverse, 1.0, p.forward)
    future_im = held * ((r.future_initial or 0.0) + r.future_initial_slope * held) * price
    future_mm = held * ((r.future_maintenance or 0.0) + r.future_maintenance_slope * held) * price
    value = sum((c.amount * c.price / account.stable_price for c in account.collateral), 0.0)
    cut_mm = sum(
        (c.amount * c.price / account.stable_price * c.maintenance_haircut for c in account.collateral), 0.0
    )
    cut_im = sum(
        (c.amount * c.price / account.stable_price * c.initial_haircut for c in account.collateral), 0.0
    )
    books = sizes.shape[0]
    k = r.safety
    return StandardTotals(
        initial=k * (option_im + future_im.sum(axis=1)) + cut_mm + cut_im + account.extra_initial,
        maintenance=k * (option_mm + future_mm.sum(axis=1)) + cut_mm,
        equity=np.asarray(cash + unrealised + value),
        position_initial=k * (initial + future_im),
        position_maintenance=k * (maintenance + future_mm),
        components={
            "options_initial": k * option_im,
            "options_maintenance": k * option_mm,
            "options_isolated_initial": k * initial.sum(axis=1),
            "options_isolated_maintenance": k * maintenance.sum(axis=1),
            "futures_initial": k * future_im.sum(axis=1),
            "futures_maintenance": k * future_mm.sum(axis=1),
            "collateral_maintenance": np.full(books, cut_mm),
            "collateral_initial": np.full(books, cut_im),
            "extra_initial": np.full(books, account.extra_initial),
        },
    )
