import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.risk.var import (
    ShockHistory,
    ewma_daily_vol,
    filtered_scenarios,
    shock_history,
    standardised_returns,
)

from .._stub import NOW
from ._market import layout, series


def walk(rng, n, hours=1, vol=0.03):
    ts = NOW + np.arange(n, dtype=np.int64) * hours * NS_PER_HOUR
    return ts, 100.0 * np.exp(np.cumsum(rng.normal(0.0, vol * np.sqrt(hours / 24), n)))


def test_constant_volatility_is_found_whatever_the_spacing():
    rng = np.random.default_rng(0)
    ts, price = walk(rng, 24 * 400)
    keep = np.sort(rng.choice(ts.size, ts.size // 3, replace=False))
    for rows in (slice(None), keep):
        vol = ewma_daily_vol(ts[rows], price[rows], half_life_days=60.0)
        assert vol[-1] == pytest.approx(0.03, rel=0.06)
    assert np.isnan(ewma_daily_vol(ts, price, half_life_days=5.0)[0])


def test_recursion_is_the_weighted_mean_it_says():
    ts, price = walk(np.random.default_rng(1), 40, hours=6)
    ts = ts + np.arange(40) ** 2 * 10**11  # uneven
    vol = ewma_daily_vol(ts, price, half_life_days=2.0)
    days = np.diff(ts) / NS_PER_DAY
    square = np.diff(np.log(price)) ** 2 / days
    age = (ts[-1] - ts[1:]) / NS_PER_DAY
    weight = 2.0 ** (-age / 2.0) * (1.0 - 2.0 ** (-days / 2.0))
    assert vol[-1] == pytest.approx(np.sqrt(np.average(square, weights=weight)), rel=1e-12)
    slow = ewma_daily_vol(ts, price, half_life_days=30.0)
    both = ewma_daily_vol(ts, price, half_life_days=(2.0, 30.0))
    assert both[1:] == pytest.approx(np.sqrt(0.5 * (vol[1:] ** 2 + slow[1:] ** 2)), rel=1e-12)


def test_the_volatility_of_a_return_is_known_before_it():
    ts, price = walk(np.random.default_rng(2), 24 * 120)
    vol = ewma_daily_vol(ts, price, half_life_days=5.0)
    late = price.copy()
    late[2000:] *= 1.5
    assert np.array_equal(ewma_daily_vol(ts, late, half_life_days=5.0)[:2000], vol[:2000], equal_nan=True)
    z = standardised_returns(("BTC",), ts, price[:, None], vol[:, None])
    assert z.overlap == 4
    assert z.values.std() == pytest.approx(1.0, abs=0.2)
    row = int(np.searchsorted(ts, z.start_ns[3]))
    assert z.values[3, 0] == pytest.approx(np.log(price[row + 24] / price[row]) / vol[row])
    assert z.until(int(z.end_ns[5])).values.shape[0] == 6


def test_scenarios_take_the_volatility_of_today():
    rng = np.random.default_rng(3)
    calm, wild = series(rng, 160, scale=0.004), series(rng, 160, scale=0.02)
    history = shock_history({"BTC": calm})
    again = shock_history({"BTC": wild})
    values = np.concatenate([history.values, again.values])
    gap = history.end_ns[-1] - again.start_ns[0] + NS_PER_DAY
    both = ShockHistory(
        layout=history.layout,
        start_ns=np.concatenate([history.start_ns, again.start_ns + gap]),
        end_ns=np.concatenate([history.end_ns, again.end_ns + gap]),
        values=values,
    )
    found = filtered_scenarios(both, half_life_days=5.0, bounds=(0.1, 10.0))
    n = history.values.shape[0]
    old, new = found.values[10:n, 0].std(), found.values[n + 40 :, 0].std()
    assert values[10:n, 0].std() < 0.4 * values[n:, 0].std()
    assert old == pytest.approx(new, rel=0.45)
    assert found.overlap == 4
    # A row stays together: the smile still answers the spot.
    assert np.corrcoef(found.values[:, 0], found.values[:, 5])[0, 1] < -0.8


def test_overlapping_shocks_do_not_enter_their_own_scale():
    history = shock_history({"BTC": series(np.random.default_rng(4), 80)})
    loud = history.values.copy()
    loud[40] *= 50.0
    kept = {"layout": history.layout, "start_ns": history.start_ns, "end_ns": history.end_ns}
    # Row 40 moves the scale of rows that begin after its end only, apart from the anchor all share.
    plain = filtered_scenarios(history, centre=False, bounds=(1e-6, 1e6)).values / history.values
    moved = (
        filtered_scenarios(ShockHistory(values=loud, **kept), centre=False, bounds=(1e-6, 1e6)).values / loud
    )
    ratio = (moved / plain)[:, 0]
    assert ratio[41:44] == pytest.approx(ratio[40], rel=0.05)
    assert ratio[44] < 0.9 * ratio[43]


def test_older_shocks_count_less_where_asked():
    history = shock_history({"BTC": series(np.random.default_rng(7), 100)})
    weights = filtered_scenarios(history, age_half_life_days=2.0).weights
    assert weights.sum() == pytest.approx(1.0)
    assert weights[-1] / weights[-9] == pytest.approx(2.0)
    assert filtered_scenarios(history).weights is None
    with pytest.raises(ConfigError, match="age"):
        filtered_scenarios(history, age_half_life_days=0.0)


def test_bad_input_is_refused():
    ts, price = walk(np.random.default_rng(5), 50)
    with pytest.raises(ConfigError, match="half-life"):
        ewma_daily_vol(ts, price, half_life_days=0.0)
    with pytest.raises(DataError, match="positive prices"):
        ewma_daily_vol(ts, -price, half_life_days=1.0)
    with pytest.raises(DataError, match="ascending"):
        ewma_daily_vol(ts[::-1], price, half_life_days=1.0)
    with pytest.raises(EmptyData, match="ten shocks"):
        filtered_scenarios(shock_history({"BTC": series(np.random.default_rng(6), 10)}))
    with pytest.raises(EmptyData):
        standardised_returns(("BTC",), ts, price[:, None], price[:, None])
    assert layout().size == 19
