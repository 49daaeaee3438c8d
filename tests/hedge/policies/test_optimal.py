"""The dynamic programme: optimal on its own objective, and sane at its limits."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.hedge.policies import (
    FixedBand,
    OptimalBand,
    Timetable,
    TunedBand,
    WhalleyWilmott,
    Zakamouline,
    gbm_paths,
    moment_of_option,
    run_policy,
    solve_region,
)

COST, AVERSION, CHECKS = 0.002, 100.0, 40
REGION = solve_region(total_vol=0.15, n_checks=CHECKS, cost=COST, aversion=AVERSION)


def certainty_equivalent(policy):
    """Loss in strikes on simulated paths, premium not counted; the solver's own objective."""
    paths = gbm_paths(np.random.default_rng(7), n_paths=20_000, n_steps=CHECKS, tau=0.25, vol=0.3, spot=1.0)
    result = run_policy(policy, paths, cost=COST, tabulate=True)
    loss = result.premium - result.pnl
    return np.log(np.exp(AVERSION * (loss - loss.max())).mean()) / AVERSION + loss.max()


def test_the_optimum_beats_the_others_on_its_own_objective():
    best = certainty_equivalent(OptimalBand(region=REGION))
    others = [
        *(WhalleyWilmott(cost=COST, aversion=a) for a in (50.0, 100.0, 200.0)),
        *(Zakamouline(cost=COST, aversion=a) for a in (50.0, 100.0, 200.0)),
        *(FixedBand(half_width=b) for b in (0.02, 0.05, 0.1, 0.2)),
        TunedBand(cost=COST, aversion=AVERSION, centre=2.0),
        Timetable(),
        Timetable(interval=0.0125),
    ]
    assert all(best < certainty_equivalent(policy) for policy in others)


@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_neither_a_narrower_nor_a_wider_region_is_better(factor):
    middle, half = 0.5 * (REGION.lower + REGION.upper), 0.5 * (REGION.upper - REGION.lower)
    other = replace(REGION, lower=middle - factor * half, upper=middle + factor * half)
    assert certainty_equivalent(OptimalBand(region=REGION)) < certainty_equivalent(OptimalBand(region=other))


def test_the_value_is_what_simulation_finds():
    # 20,000 paths leave some 0.2 % of noise in the certainty equivalent.
    assert certainty_equivalent(OptimalBand(region=REGION)) == pytest.approx(REGION.value, rel=0.005)


def test_without_cost_the_region_is_the_black_scholes_delta():
    region = solve_region(total_vol=0.15, n_checks=60, cost=0.0, aversion=1.0, n_hedges=241)
    policy = OptimalBand(region=region)
    spot = 100.0 * np.exp(np.linspace(-0.2, 0.2, 9))
    zone = policy.zone(moment_of_option(spot=spot, strike=100.0, tau=0.25, vol=0.3))
    d1 = np.log(spot / 100.0) / 0.15 + 0.075
    np.testing.assert_allclose(0.5 * (zone.lower + zone.upper), ndtr(d1), atol=0.01)
    assert (zone.upper - zone.lower < 0.01).all()


def test_the_region_widens_with_cost_and_narrows_with_aversion():
    def width(cost, aversion):
        region = solve_region(total_vol=0.15, n_checks=30, cost=cost, aversion=aversion)
        middle = region.log_moneyness.size // 2
        return float(region.upper[0, middle] - region.lower[0, middle])

    assert width(0.001, 50.0) < width(0.004, 50.0)
    assert width(0.001, 200.0) < width(0.001, 50.0)


def test_a_long_option_mirrors_in_sign():
    region = solve_region(total_vol=0.15, n_checks=30, cost=0.002, aversion=100.0, position=1)
    zone = OptimalBand(region=region).zone(
        moment_of_option(spot=100.0, strike=100.0, tau=0.25, vol=0.3, position=1)
    )
    assert -1.0 < zone.lower < -ndtr(0.075) < zone.upper < 0.0


def test_the_other_side_is_refused():
    with pytest.raises(DataError, match="other side"):
        OptimalBand(region=REGION).zone(
            moment_of_option(spot=100.0, strike=100.0, tau=0.1, vol=0.3, position=1)
        )


@pytest.mark.parametrize(
    "change",
    [
        {"total_vol": 0.0},
        {"aversion": -1.0},
        {"cost": np.nan},
        {"n_checks": 0},
        {"position": 0},
        {"n_checks": 100_000},
    ],
)
def test_bad_terms_are_refused(change):
    with pytest.raises(ConfigError):
        solve_region(**{"total_vol": 0.1, "n_checks": 10, "cost": 0.001, "aversion": 10.0, **change})
