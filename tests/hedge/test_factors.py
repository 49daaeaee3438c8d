"""The covariance by independent means, and which exposure goes into which factor."""

from decimal import Decimal

import numpy as np
import pytest

from ivhedge.hedge import Band, HedgeLimits, RiskModel, TenorBand
from ivhedge.hedge.factors import build_factors, factor_loadings

from ._stub import NOW, StubSurface, option, perpetual

SURFACE = StubSurface(level=0.5)
INDEX = 80_000.0
LIMITS = HedgeLimits(vega=(TenorBand(14, 60, Band.around(0.1)),))


def factors(model=None, limits=LIMITS):
    return build_factors(limits, model or RiskModel(), SURFACE, INDEX)


def sd_of(built, **exposure):
    y = np.array([exposure.get(name, 0.0) for name in built.names])
    return float(np.sqrt(y @ built.covariance @ y))


def test_delta_and_gamma_by_quadrature_over_a_day_of_spot():
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    move = nodes * 0.5 * np.sqrt(1 / 365)
    # One coin of delta, and a delta that grows by one coin for each 1 % move.
    for name, profit in (("delta", INDEX * move), ("gamma_1pct", 0.5 * 100.0 * INDEX * move**2)):
        sd = np.sqrt(weights @ profit**2 - (weights @ profit) ** 2)
        assert sd_of(factors(), **{name: 1.0}) == pytest.approx(sd, rel=1e-9)


def test_vega_moves_by_points_and_less_for_longer_tenors():
    tenor = np.sqrt(14 * 56.0)  # the middle of the bucket, which counts up to four times its start
    points = 100.0 * 0.5 * 0.04 * (30.0 / tenor) ** 0.55
    assert sd_of(factors(), vega_14_60d=2.0) == pytest.approx(2.0 * points * INDEX)
    usd = HedgeLimits(numeraire="usd", vega=LIMITS.vega)
    assert sd_of(factors(limits=usd), vega_14_60d=2.0) == pytest.approx(2.0 * points)
    assert sd_of(factors(), vega_7_14d=1.0) > sd_of(factors(), vega_14_60d=1.0)


def test_the_horizon_scales_by_the_square_root_of_time():
    week = factors(RiskModel(horizon_days=7.0))
    for name in ("delta", "vega_14_60d"):
        ratio = sd_of(week, **{name: 1.0}) / sd_of(factors(), **{name: 1.0})
        assert ratio == pytest.approx(np.sqrt(7.0))


def test_spot_vol_correlation_lets_vega_offset_delta():
    falling = factors(RiskModel(spot_vol_correlation=-0.6))
    alone = np.hypot(sd_of(falling, delta=1.0), sd_of(falling, vega_14_60d=0.03))
    assert sd_of(falling, delta=1.0, vega_14_60d=0.03) < alone < sd_of(falling, delta=1.0, vega_14_60d=-0.03)
    assert np.linalg.eigvalsh(falling.covariance).min() > 0.0


def test_buckets_cover_every_tenor_once_and_include_their_start():
    built = factors()
    edges = [edge for bucket in built.buckets for edge in bucket]
    assert edges[0] == 0.0
    assert edges[-1] == np.inf
    assert edges[1:-1:2] == edges[2:-1:2]
    for days, name in ((13.9, "vega_7_14d"), (14, "vega_14_60d"), (60, "vega_60_90d"), (500, "vega_90_infd")):
        loads = factor_loadings([(option(days), Decimal(1))], {"BTC": SURFACE}, built, NOW)[:, 0]
        found = [n for n, load in zip(built.names, loads, strict=True) if n.startswith("vega") and load]
        assert found == [name]


def test_loadings_are_the_exposures_per_contract_in_the_numeraire():
    built = factors(limits=HedgeLimits(numeraire="usd"))
    future = factor_loadings([(perpetual(), Decimal(8000))], {"BTC": SURFACE}, built, NOW)[:, 0]
    # 8,000 contracts of 10 USD at 80,000: one coin, which has no gamma when counted in USD.
    assert future.tolist() == [1.0] + [0.0] * (len(built.names) - 1)
    in_coin = factor_loadings([(perpetual(), Decimal(8000))], {"BTC": SURFACE}, factors(), NOW)[:, 0]
    assert in_coin[:2] == pytest.approx([1.0, -0.01])
