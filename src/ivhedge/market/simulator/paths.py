"""Paths of spot, variance, carry and perpetual premium of all assets under the real-world measure.

Between two grid times the variance follows Andersen's quadratic-exponential (QE) scheme, the log spot his
central discretisation, and jumps add on top; part of the jumps hit all assets at once. Carry and premium
are Ornstein-Uhlenbeck processes, stepped exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR
from ivhedge.market.simulator.config import AssetConfig, CorrelationConfig
from ivhedge.market.simulator.streams import Streams

__all__ = ["MarketPaths", "simulate_paths"]

_SWITCH = 1.5  # Andersen (2008), section 3.2.3: quadratic below, exponential above


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPaths:
    """States of all assets on a regular grid of times.

    Parameters
    ----------
    times_ns : IntArray, shape (n,)
    spot : FloatArray, shape (n, assets)
        USD.
    variance : FloatArray, shape (n, assets)
        Instantaneous diffusive variance per year.
    short_carry : FloatArray, shape (n, assets)
        Carry of the very short forward, per year.
    premium : FloatArray, shape (n, assets)
        Perpetual over index, as a fraction of the index.
    """

    times_ns: IntArray
    spot: FloatArray
    variance: FloatArray
    short_carry: FloatArray
    premium: FloatArray

    def __post_init__(self) -> None:
        for name in self.__slots__:
            getattr(self, name).flags.writeable = False

    def index_at(self, ts_ns: ArrayLike) -> IntArray:
        """Number of the last grid time at or before `ts_ns`.

        Raises
        ------
        ConfigError
            If a time lies outside the grid.
        """
        times = np.asarray(ts_ns, dtype=np.int64)
        if np.any(times < self.times_ns[0]) or np.any(times > self.times_ns[-1]):
            raise ConfigError(f"expected times in [{self.times_ns[0]}, {self.times_ns[-1]}], found {times}")
        return np.asarray(np.searchsorted(self.times_ns, times, side="right") - 1, dtype=np.int64)

    def mean_spot(self, start_ns: int, end_ns: int, asset: int) -> float:
        """Average spot over the grid times in (start_ns, end_ns]; the last one before if there is none."""
        first, last = (int(i) for i in self.index_at([start_ns, end_ns]))
        return float(np.mean(self.spot[min(first + 1, last) : last + 1, asset]))


def _equicorrelated(size: int, correlation: float, what: str) -> FloatArray:
    matrix = np.full((size, size), correlation) + (1.0 - correlation) * np.eye(size)
    try:
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError as exc:
        raise ConfigError(
            f"expected a {what} correlation that {size} assets can share, found {correlation:.3f}; "
            "move the spot and variance correlations closer together"
        ) from exc


def _residual_factor(assets: Sequence[AssetConfig], correlations: CorrelationConfig) -> FloatArray:
    # Spot shock = ρ_i Z^v_i + sqrt(1 − ρ_i²) Z^s_i. The residuals Z^s carry what is left of the
    # spot-spot correlation once the common part of the variance shocks is taken out.
    rho = np.array([a.model.correlation for a in assets])
    common = np.multiply.outer(rho, rho) * correlations.variance
    scale = np.sqrt(1.0 - rho * rho)
    matrix = (correlations.spot - common) / np.multiply.outer(scale, scale)
    np.fill_diagonal(matrix, 1.0)
    try:
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError as exc:
        raise ConfigError(
            f"spot correlation {correlations.spot} does not go with variance correlation "
            f"{correlations.variance} and spot-vol correlations {rho.tolist()}; lower one of them"
        ) from exc


def _next_variance(variance: float, normal: float, speed: float, level: float, xi: float, dt: float) -> float:
    # Andersen (2008), equations 17-18 (moments), 23, 26-30.
    decay = math.exp(-speed * dt)
    mean = level + (variance - level) * decay
    spread = xi * xi * (1.0 - decay) / speed * (variance * decay + 0.5 * level * (1.0 - decay))
    ratio = spread / (mean * mean)
    if ratio <= _SWITCH:
        inverse = 2.0 / ratio
        square = inverse - 1.0 + math.sqrt(inverse * (inverse - 1.0))
        return mean / (1.0 + square) * (math.sqrt(square) + normal) ** 2
    zero_mass = (ratio - 1.0) / (ratio + 1.0)
    upper_tail = 0.5 * math.erfc(normal / math.sqrt(2.0))
    if 1.0 - upper_tail <= zero_mass:
        return 0.0
    return math.log((1.0 - zero_mass) / upper_tail) * mean / (1.0 - zero_mass)


def _variance_path(asset: AssetConfig, normals: FloatArray, dt: float) -> FloatArray:
    world = asset.real_world
    path = np.empty(normals.size + 1)
    path[0] = state = asset.initial_variance
    for step, normal in enumerate(normals.tolist()):
        state = _next_variance(
            state, normal, world.mean_reversion, world.long_variance, asset.model.vol_of_vol, dt
        )
        path[step + 1] = state
    return path


def _diffusion(asset: AssetConfig, variance: FloatArray, residual: FloatArray, dt: float) -> FloatArray:
    # Andersen (2008), equation 33 with γ1 = γ2 = 1/2, the drift left to the caller.
    world, rho, xi = asset.real_world, asset.model.correlation, asset.model.vol_of_vol
    average = 0.5 * dt * (variance[:-1] + variance[1:])
    drift = world.mean_reversion * (world.long_variance * dt - average)
    leverage = rho / xi * (np.diff(variance) - drift)
    return np.asarray(leverage - 0.5 * average + np.sqrt((1.0 - rho * rho) * average) * residual)


def _jumps(
    assets: Sequence[AssetConfig], correlations: CorrelationConfig, steps: int, dt: float, streams: Streams
) -> FloatArray:
    # Compensated jumps of the log spot: own ones, and common ones whose sizes are correlated.
    count = len(assets)
    intensity = np.array([a.real_world.jump_intensity for a in assets])
    mean = np.array([a.real_world.jump_mean for a in assets])
    std = np.array([a.real_world.jump_std for a in assets])
    common = correlations.common_jump_share * intensity.min()
    shared = streams.generator("path", "common jumps").poisson(common * dt, size=(steps, 1))
    own = streams.generator("path", "own jumps").poisson((intensity - common) * dt, size=(steps, count))
    sizes = streams.generator("path", "jump sizes").standard_normal((steps, 2, count))
    factor = _equicorrelated(count, correlations.jump_size, "jump size")
    total = (shared + own) * mean + std * (
        np.sqrt(shared) * (sizes[:, 0] @ factor.T) + np.sqrt(own) * sizes[:, 1]
    )
    compensator = intensity * np.expm1(mean + 0.5 * std * std) * dt
    return np.asarray(total - compensator, dtype=np.float64)


def _mean_reverting(
    start: FloatArray, level: FloatArray, speed: FloatArray, std: FloatArray, normals: FloatArray, dt: float
) -> FloatArray:
    # Exact steps of an Ornstein-Uhlenbeck process with stationary standard deviation `std`.
    decay = np.exp(-speed * dt)
    shocks = std * np.sqrt(-np.expm1(-2.0 * speed * dt)) * normals
    path = np.empty((normals.shape[0] + 1, start.size))
    path[0] = start
    for step in range(normals.shape[0]):
        path[step + 1] = level + (path[step] - level) * decay + shocks[step]
    return path


def simulate_paths(
    assets: Sequence[AssetConfig],
    correlations: CorrelationConfig,
    *,
    start_ns: int,
    step_ns: int,
    n_steps: int,
    streams: Streams,
) -> MarketPaths:
    """Simulate all assets on a regular grid under the real-world measure.

    Parameters
    ----------
    assets : sequence of AssetConfig
    correlations : CorrelationConfig
    start_ns, step_ns : int
        First grid time and grid step.
    n_steps : int
        Number of steps; a longer path begins with the shorter one.
    streams : Streams

    Returns
    -------
    MarketPaths
        ``n_steps + 1`` grid times.

    Raises
    ------
    ConfigError
        If the correlations cannot hold together.

    References
    ----------
    Andersen (2008), Simple and efficient simulation of the Heston stochastic volatility model.
    """
    dt, count = step_ns / NS_PER_YEAR, len(assets)
    normals = streams.generator("path", "normals").standard_normal((n_steps, 4, count))
    variance_normals = normals[:, 0] @ _equicorrelated(count, correlations.variance, "variance").T
    residuals = normals[:, 1] @ _residual_factor(assets, correlations).T
    carries = _carry_paths(assets, correlations, normals[:, 2], dt)
    premia = _premium_paths(assets, carries, normals[:, 3], dt)
    jumps = _jumps(assets, correlations, n_steps, dt, streams)
    spot = np.empty((n_steps + 1, count))
    variance = np.empty((n_steps + 1, count))
    for column, asset in enumerate(assets):
        variance[:, column] = _variance_path(asset, variance_normals[:, column], dt)
        steps = _diffusion(asset, variance[:, column], residuals[:, column], dt) + jumps[:, column]
        steps += (carries[:-1, column] + asset.real_world.excess_return) * dt
        spot[:, column] = asset.initial_spot * np.exp(np.concatenate([[0.0], np.cumsum(steps)]))
    times = start_ns + step_ns * np.arange(n_steps + 1, dtype=np.int64)
    return MarketPaths(times_ns=times, spot=spot, variance=variance, short_carry=carries, premium=premia)


def _carry_paths(
    assets: Sequence[AssetConfig], correlations: CorrelationConfig, normals: FloatArray, dt: float
) -> FloatArray:
    shocks = normals @ _equicorrelated(len(assets), correlations.carry, "carry").T
    level = np.array([a.carry.mean for a in assets])
    start = np.array([a.carry.initial for a in assets])
    speed = np.array([a.carry.speed for a in assets])
    return _mean_reverting(start, level, speed, np.array([a.carry.std for a in assets]), shocks, dt)


def _premium_paths(
    assets: Sequence[AssetConfig], carries: FloatArray, normals: FloatArray, dt: float
) -> FloatArray:
    # On average the premium per funding period is the short carry of that period; noise comes on top.
    zero = np.zeros(len(assets))
    speed = np.array([a.carry.premium_speed for a in assets])
    std = np.array([a.carry.premium_std for a in assets])
    per_period = 8.0 / (365.0 * 24.0)
    return np.asarray(carries * per_period + _mean_reverting(zero, zero, speed, std, normals, dt))
