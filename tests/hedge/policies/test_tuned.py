"""The search of a band's coefficients."""

import numpy as np
import pytest

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.hedge.policies import TunedBand, WhalleyWilmott, cvar, fit_band, gbm_paths, run_policy

START = TunedBand(cost=0.002, aversion=200.0)
TERMS = {"n_steps": 60, "tau": 0.25, "vol": 0.2}


def test_a_known_optimum_is_found():
    def bowl(band):
        return 1.0 + np.log(band.centre / 2.0) ** 2 + np.log(band.below / 0.5) ** 2

    fit = fit_band(bowl, START, max_evaluations=400)
    assert fit.band.centre == pytest.approx(2.0, rel=0.02)
    assert fit.band.below == pytest.approx(0.5, rel=0.02)
    assert fit.band.cost == START.cost
    assert fit.objective < fit.start_objective


def test_a_fit_beats_whalley_wilmott_and_its_start_on_fresh_paths():
    sample = gbm_paths(np.random.default_rng(1), n_paths=4_000, **TERMS)
    fresh = gbm_paths(np.random.default_rng(2), n_paths=8_000, **TERMS)

    def tail(policy, paths=sample):
        return cvar(run_policy(policy, paths, cost=0.002, tabulate=True).pnl)

    fit = fit_band(tail, START, max_evaluations=60)
    rivals = [WhalleyWilmott(cost=0.002, aversion=a) for a in (100.0, 300.0, 1000.0, 3000.0)]
    best = min(rivals, key=tail)
    assert tail(fit.band, fresh) < 0.92 * tail(best, fresh)
    assert tail(fit.band, fresh) < tail(START, fresh)


def test_a_search_that_finds_nothing_returns_its_start():
    fit = fit_band(lambda band: float(band != START), START, max_evaluations=20)
    assert fit.band == START
    assert fit.objective == fit.start_objective == 0.0


def test_bad_starts_are_refused():
    with pytest.raises(CalibrationError, match="finite"):
        fit_band(lambda band: np.nan, START)
    with pytest.raises(ConfigError, match="centre"):
        fit_band(lambda band: 0.0, TunedBand(cost=0.002, aversion=200.0, centre=0.0))
