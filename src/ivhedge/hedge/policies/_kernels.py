"""Compiled loops over paths; their numpy twins are in `paths`."""

from math import log

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import njit

__all__ = ["interpolate_rows", "run_zones"]


@njit()
def run_zones(
    spot: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    to_lower: FloatArray,
    to_upper: FloatArray,
    discount: FloatArray,
    dt: float,
    cost: float,
    fee: float,
    min_elapsed: float,
    min_move: float,
    start_inside: bool,
    liquidate: bool,
    out: FloatArray,
) -> None:
    """Walk paths through their zones; rows of `out` are gains, costs, fees, trades and turnover per path."""
    n_paths, n_steps = lower.shape
    for p in range(n_paths):
        hedge = gains = paid = fees = trades = turnover = 0.0
        last = -1
        traded_at = spot[p, 0]
        for i in range(n_steps):
            price = spot[p, i]
            new = hedge
            if last < 0 and start_inside:
                new = 0.5 * (lower[p, i] + upper[p, i])
            elif last < 0 or (
                (i - last) * dt >= min_elapsed * (1.0 - 1e-9)
                and (min_move == 0.0 or abs(log(price / traded_at)) >= min_move)
            ):
                if hedge < lower[p, i]:
                    new = to_lower[p, i]
                elif hedge > upper[p, i]:
                    new = to_upper[p, i]
            if new != hedge:
                size = abs(new - hedge)
                paid += cost * size * price * discount[i]
                fees += fee * discount[i]
                trades += 1.0
                turnover += size
                hedge = new
                last = i
                traded_at = price
            gains += hedge * (spot[p, i + 1] * discount[i + 1] - price * discount[i])
        if liquidate and hedge != 0.0:
            paid += cost * abs(hedge) * spot[p, n_steps] * discount[n_steps]
            fees += float(fee * discount[n_steps])
            trades += 1.0
            turnover += abs(hedge)
        out[0, p] = gains
        out[1, p] = paid
        out[2, p] = fees
        out[3, p] = trades
        out[4, p] = turnover


@njit()
def interpolate_rows(table: FloatArray, place: FloatArray, out: FloatArray) -> None:
    """Read row i of a table at the fractional columns ``place[:, i]``, linearly."""
    n_paths, n_steps = place.shape
    last = table.shape[1] - 2
    for p in range(n_paths):
        for i in range(n_steps):
            column = min(int(place[p, i]), last)
            share = place[p, i] - column
            out[p, i] = table[i, column] + share * (table[i, column + 1] - table[i, column])
