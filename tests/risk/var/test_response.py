from dataclasses import replace

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.units import NS_PER_DAY
from ivhedge.risk.var import (
    ResponseSettings,
    StandardisedReturns,
    fit_response,
    response_scenarios,
    shock_history,
)

from ._market import series

PLAIN = ResponseSettings(half_life_days=1e6, ridge=0.0, scatter_dof=np.inf, bounds=(1.0, 1.0))


def two_coins(n=400):
    rng = np.random.default_rng(0)
    found = shock_history({"BTC": series(rng, n), "ETH": series(rng, n, underlying="ETH", beta=0.8)})
    return found, np.full((found.values.shape[0] + 1, 2), 0.02)


def long_returns(n=5000, tail=1.0):
    z = tail * np.random.default_rng(1).standard_t(4, (n, 2))
    times = np.arange(n, dtype=np.int64) * NS_PER_DAY
    return StandardisedReturns(
        underlyings=("BTC", "ETH"), start_ns=times, end_ns=times + NS_PER_DAY, values=z, overlap=1
    )


def test_the_slope_that_made_the_smile_is_found():
    history, reference = two_coins()
    found = fit_response(history, reference[:-1], PLAIN)
    for name, beta in (("BTC", -0.5), ("ETH", 0.8)):
        _, vols, _ = history.layout.split(found.coefficients, name)
        assert vols[1] == pytest.approx(np.full((3, 5), beta * 0.02), rel=0.1)
        assert found.coefficients[:, history.layout.start(name)] == pytest.approx(0.0)
        _, share, _ = history.layout.split(found.explained[None, :], name)
        assert (share > 0.8).all()


def test_no_drift_is_left_in_the_smile():
    plain, reference = two_coins()
    values = plain.values.copy()
    # Vols rise with moves of either sign, and all the time.
    values[:, 1:16] += 0.5 * np.abs(values[:, :1]) + 0.01
    history = replace(plain, values=values)
    found = response_scenarios(
        history,
        reference,
        long_returns(),
        np.array([0.02, 0.02]),
        draws=20_000,
        rng=np.random.default_rng(2),
        settings=PLAIN,
    )
    # What is left: moves of today are larger against the reference than those of the history.
    assert np.abs(found.values.mean(axis=0)).max() < 0.004


def test_spots_are_the_long_history_at_the_volatility_of_today():
    history, reference = two_coins()
    returns = long_returns()
    found = response_scenarios(
        history, reference, returns, np.array([0.05, 0.01]), draws=5000, rng=np.random.default_rng(3)
    )
    expected = (returns.values - returns.values.mean(axis=0)) * [0.05, 0.01]
    for j, name in enumerate(("BTC", "ETH")):
        spot = found.values[:, found.layout.start(name)]
        assert np.quantile(spot, [0.01, 0.5, 0.99]) == pytest.approx(
            np.quantile(expected[:, j], [0.01, 0.5, 0.99]), abs=2e-4
        )


def test_the_smile_answers_large_moves_and_residuals_spread():
    history, reference = two_coins()
    arguments = (history, reference, long_returns(tail=3.0), np.array([0.02, 0.02]))
    plain, wide, heavy = (
        response_scenarios(*arguments, draws=8000, rng=np.random.default_rng(4), settings=s)
        for s in (
            PLAIN,
            ResponseSettings(
                half_life_days=1e6, ridge=0.0, scatter_dof=np.inf, bounds=(1.0, 1.0), spread=1.0
            ),
            ResponseSettings(half_life_days=1e6, ridge=0.0, scatter_dof=3.0, bounds=(1.0, 1.0)),
        )
    )
    spot, vol = plain.values[:, 0], plain.values[:, 8]
    assert np.polyfit(spot, vol, 1)[0] == pytest.approx(-0.5, rel=0.1)
    left = [s.values[:, 8] + 0.5 * s.values[:, 0] for s in (plain, wide, heavy)]
    assert left[1].std() > 1.5 * left[0].std()
    # The own node's noise has thin tails without the scatter.
    deep = [np.quantile(np.abs(r - np.median(r)), 0.9995) / r.std() for r in (left[0], left[2])]
    assert deep[1] > 1.15 * deep[0]


def test_the_same_generator_gives_the_same_scenarios():
    history, reference = two_coins()
    one, two = (
        response_scenarios(
            history, reference, long_returns(), np.array([0.02, 0.02]), draws=50, rng=np.random.default_rng(5)
        ).values
        for _ in range(2)
    )
    assert np.array_equal(one, two)


def test_bad_input_is_refused():
    history, reference = two_coins()
    rng = np.random.default_rng(6)
    with pytest.raises(DataError, match="reference vol"):
        response_scenarios(history, reference[:-1], long_returns(), np.ones(2), draws=5, rng=rng)
    with pytest.raises(DataError, match="positive daily vol"):
        response_scenarios(history, reference, long_returns(), np.array([0.02, np.nan]), draws=5, rng=rng)
    with pytest.raises(ConfigError, match="draw"):
        response_scenarios(history, reference, long_returns(), np.ones(2), draws=0, rng=rng)
    short = history.until(int(history.end_ns[10]))
    with pytest.raises(EmptyData, match="twenty"):
        fit_response(short, np.ones((short.values.shape[0], 2)))
    with pytest.raises(ConfigError, match="half-lives"):
        ResponseSettings(half_life_days=0.0)
    with pytest.raises(ConfigError, match="scatter_dof"):
        ResponseSettings(scatter_dof=2.0)
