"""Run delta policies over many paths of the underlying and count P&L, costs and trades."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.hedge.policies._kernels import interpolate_rows, run_zones
from ivhedge.hedge.policies.protocol import DeltaPolicy, positive
from ivhedge.hedge.policies.state import HedgeMoment, Zone, moment_of_option
from ivhedge.pricing import black76_price

__all__ = ["HedgePaths", "PathResult", "run_policy", "run_policy_stepwise"]

_CHUNK = 1_000  # paths whose zones are in memory at once
_TABLE_REACH = 7.0  # standard deviations of the log price left; beyond, delta is 0 or 1
_TABLE_NODES = 281


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgePaths:
    """Paths of an underlying and the option that is hedged on each.

    Parameters
    ----------
    spot : FloatArray, shape (paths, steps + 1)
        USD, > 0; the last column is the settlement price.
    strike : FloatArray, shape (paths,)
        USD.
    vol : FloatArray, shape (paths,) or (paths, steps)
        Vol that prices and hedges the option, decimal; one number per path holds for its whole life.
    dt : float
        Years between checks.
    position : int
        -1 option sold, +1 bought.
    is_call : bool
    rate : float
        Earned on cash, continuously compounded, per year.

    Raises
    ------
    DataError
        If shapes do not fit or a price is not positive and finite.
    """

    spot: FloatArray
    strike: FloatArray
    vol: FloatArray
    dt: float
    position: int = -1
    is_call: bool = True
    rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("spot", "strike", "vol"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        positive("dt", self.dt)
        if self.spot.ndim != 2 or self.spot.shape[1] < 2:
            raise DataError(f"expected spot of shape (paths, steps + 1), found {self.spot.shape}")
        n, steps = self.spot.shape[0], self.spot.shape[1] - 1
        if self.strike.shape != (n,) or self.vol.shape not in ((n,), (n, steps)):
            raise DataError(
                f"expected strike of shape ({n},) and vol of ({n},) or ({n}, {steps}), "
                f"found {self.strike.shape} and {self.vol.shape}"
            )
        for name in ("spot", "strike", "vol"):
            value = getattr(self, name)
            if not np.all(np.isfinite(value) & (value > 0.0)):
                raise DataError(f"expected {name} of paths finite and above 0; leave out paths with gaps")
        if self.position not in (-1, 1):
            raise DataError(f"expected position +1 or -1, found {self.position}")

    @property
    def n_steps(self) -> int:
        """Number of checks."""
        return int(self.spot.shape[1]) - 1

    @property
    def tau(self) -> FloatArray:
        """Time to expiry at each check, years, shape (steps,)."""
        return np.asarray(self.dt * (self.n_steps - np.arange(self.n_steps)))

    @property
    def discount(self) -> FloatArray:
        """Discount factor to the start, shape (steps + 1,)."""
        return np.asarray(np.exp(-self.rate * self.dt * np.arange(self.n_steps + 1)))

    @property
    def payoff(self) -> FloatArray:
        """Payoff to the position at settlement, USD, shape (paths,)."""
        sign = 1.0 if self.is_call else -1.0
        intrinsic = np.maximum(sign * (self.spot[:, -1] - self.strike), 0.0)
        return np.asarray(self.position * intrinsic)

    @property
    def premium(self) -> FloatArray:
        """Cash received for the option at the start, at its vol; negative when bought; shape (paths,)."""
        tau = self.dt * self.n_steps
        vol = self.vol if self.vol.ndim == 1 else self.vol[:, 0]
        forward = self.spot[:, 0] * np.exp(self.rate * tau)
        price = black76_price(forward, self.strike, tau, vol, self.is_call)
        return np.asarray(-self.position * np.exp(-self.rate * tau) * price)

    def part(self, rows: slice | BoolArray) -> "HedgePaths":
        """Some of the paths."""
        return HedgePaths(
            spot=self.spot[rows],
            strike=self.strike[rows],
            vol=self.vol[rows],
            dt=self.dt,
            position=self.position,
            is_call=self.is_call,
            rate=self.rate,
        )

    def moments(self, step: int | None = None) -> HedgeMoment:
        """State at every check, shape (paths, steps), or at one of them, shape (paths,)."""
        every = step is None
        at = slice(0, self.n_steps) if step is None else step
        vol = self.vol if self.vol.ndim == 1 else self.vol[:, at]
        return moment_of_option(
            spot=self.spot[:, at],
            strike=self.strike[:, None] if every else self.strike,
            tau=self.tau[at],
            vol=vol[:, None] if every and vol.ndim == 1 else vol,
            position=self.position,
            is_call=self.is_call,
            rate=self.rate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PathResult:
    """What a policy did on each path; money is discounted to the start, USD; every array has shape (paths,).

    Parameters
    ----------
    pnl : FloatArray
        ``premium + payoff + gains − cost − fees``, exactly.
    premium, payoff : FloatArray
        Signed from the holder's side; the payoff is discounted.
    gains : FloatArray
        Of the hedge.
    cost, fees : FloatArray
        Proportional and fixed, both >= 0.
    trades, turnover : FloatArray
        Number, and coins per option, the closing of the hedge included.
    """

    pnl: FloatArray
    premium: FloatArray
    payoff: FloatArray
    gains: FloatArray
    cost: FloatArray
    fees: FloatArray
    trades: FloatArray
    turnover: FloatArray


def run_policy(
    policy: DeltaPolicy,
    paths: HedgePaths,
    *,
    cost: float,
    fee: float = 0.0,
    liquidate: bool = True,
    start_inside: bool = False,
    tabulate: bool = False,
) -> PathResult:
    """Hedge every path under a policy.

    Parameters
    ----------
    policy : DeltaPolicy
    paths : HedgePaths
    cost : float
        One way, per unit of value traded, >= 0.
    fee : float
        USD per trade, >= 0.
    liquidate : bool
        Sell the hedge at the settlement price, at cost. Options that deliver the coin do without.
    start_inside : bool
        Open the hedge at the middle of the zone instead of by the policy's own rule.
    tabulate : bool
        Where all paths share vol and strike conventions, read the zones from a table over moneyness: some
        1e-4 of delta less exact and many times faster, for searches.

    Raises
    ------
    DataError
        If `tabulate` is asked for paths with several vols.
    """
    positive("cost", cost, zero=True)
    positive("fee", fee, zero=True)
    n = paths.spot.shape[0]
    out = np.zeros((5, n))
    table = _tables(policy, paths) if tabulate else None
    for start in range(0, n, _CHUNK):
        rows = slice(start, min(start + _CHUNK, n))
        part = paths.part(rows)
        zone = policy.zone(part.moments()) if table is None else _looked_up(table, part)
        edges = _dense(zone, (part.spot.shape[0], paths.n_steps))
        found = np.zeros((5, part.spot.shape[0]))
        gate = policy.gate
        run_zones(
            part.spot,
            *edges,
            paths.discount,
            paths.dt,
            cost,
            fee,
            gate.min_elapsed,
            gate.min_move,
            start_inside,
            liquidate,
            found,
        )
        out[:, rows] = found
    return _result(paths, out)


def run_policy_stepwise(
    policy: DeltaPolicy, paths: HedgePaths, *, cost: float, fee: float = 0.0, liquidate: bool = True
) -> PathResult:
    """Hedge every path by `DeltaPolicy.rebalance` alone: the twin of `run_policy`, slower, in plain numpy."""
    positive("cost", cost, zero=True)
    positive("fee", fee, zero=True)
    n = paths.spot.shape[0]
    hedge, last = np.zeros(n), np.full(n, -np.inf)
    traded_at = np.full(n, np.nan)
    out = np.zeros((5, n))
    for i in range(paths.n_steps):
        spot, factor = paths.spot[:, i], paths.discount[i]
        seen = paths.moments(i)
        moment = HedgeMoment(
            target=seen.target,
            gamma=seen.gamma,
            log_moneyness=seen.log_moneyness,
            tau=seen.tau,
            vol=seen.vol,
            spot=spot,
            hedge=hedge,
            elapsed=(i - last) * paths.dt,
            move=np.where(np.isnan(traded_at), np.inf, np.abs(np.log(spot / traded_at))),
            rate=paths.rate,
        )
        new = policy.rebalance(moment)
        _count(out, new - hedge, spot * factor, cost, fee * factor)
        last = np.where(new != hedge, float(i), last)
        traded_at = np.where(new != hedge, spot, traded_at)
        hedge = new
        out[0] += hedge * (paths.spot[:, i + 1] * paths.discount[i + 1] - spot * factor)
    if liquidate:
        _count(out, hedge, paths.spot[:, -1] * paths.discount[-1], cost, fee * paths.discount[-1])
    return _result(paths, out)


def _count(out: FloatArray, traded: FloatArray, price: FloatArray, cost: float, fee: float) -> None:
    size = np.abs(traded)
    out[1] += cost * size * price
    out[2] += fee * (size > 0.0)
    out[3] += size > 0.0
    out[4] += size


def _result(paths: HedgePaths, out: FloatArray) -> PathResult:
    premium, payoff = paths.premium, paths.payoff * paths.discount[-1]
    gains, cost, fees, trades, turnover = out
    return PathResult(
        pnl=premium + payoff + gains - cost - fees,
        premium=premium,
        payoff=payoff,
        gains=gains,
        cost=cost,
        fees=fees,
        trades=trades,
        turnover=turnover,
    )


def _dense(zone: Zone, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    lower, upper, to_lower, to_upper = (
        np.ascontiguousarray(np.broadcast_to(edge, shape), dtype=np.float64)
        for edge in (zone.lower, zone.upper, zone.to_lower, zone.to_upper)
    )
    return lower, upper, to_lower, to_upper


def _tables(policy: DeltaPolicy, paths: HedgePaths) -> tuple[FloatArray, ...]:
    if np.ptp(paths.vol) > 0.0:
        raise DataError(
            "expected one vol for all paths of a tabulated run, found several; use tabulate=False"
        )
    vol, tau = float(paths.vol.flat[0]), paths.tau[:, None]
    x = np.linspace(-_TABLE_REACH, _TABLE_REACH, _TABLE_NODES)
    strike = float(paths.strike[0])
    seen = moment_of_option(
        spot=strike * np.exp(x * vol * np.sqrt(tau) - paths.rate * tau),
        strike=strike,
        tau=tau,
        vol=vol,
        position=paths.position,
        is_call=paths.is_call,
        rate=paths.rate,
    )
    return _dense(policy.zone(seen), (paths.n_steps, _TABLE_NODES))


def _looked_up(table: tuple[FloatArray, ...], part: HedgePaths) -> Zone:
    tau, vol = part.tau, float(part.vol.flat[0])
    x = (np.log(part.spot[:, :-1] / part.strike[:, None]) + part.rate * tau) / (vol * np.sqrt(tau))
    place = (np.clip(x, -_TABLE_REACH, _TABLE_REACH) + _TABLE_REACH) * (
        (_TABLE_NODES - 1) / (2.0 * _TABLE_REACH)
    )
    edges = []
    for rows in table:
        found = np.empty_like(place)
        interpolate_rows(rows, place, found)
        edges.append(found)
    return Zone(*edges)
