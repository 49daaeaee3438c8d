from dataclasses import replace

import numpy as np
import pytest

from ivhedge.core import NS_PER_HOUR
from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.risk.factors import panel_steps
from ivhedge.risk.panel import PanelStatus

from .._stub import NOW
from ._synthetic import TENORS, panel_of, times_every


def panel(hours, underlying="BTC", seed=0):
    times = NOW + (np.asarray(hours) * NS_PER_HOUR).astype(np.int64)
    rng = np.random.default_rng(seed)
    n = len(hours) - 1
    return panel_of(underlying, 1e-3 * rng.standard_normal((n, 4)), 0.01 * rng.standard_normal(n), times)


def test_short_steps_merge_and_long_ones_are_left_out():
    one = panel([0, 6, 6.6, 12, 40, 46])
    steps = panel_steps([one])
    assert ((steps.end_ns - NOW) / NS_PER_HOUR).tolist() == [6, 12, 46]
    assert steps.days.tolist() == [0.25, 0.25, 0.25]
    assert steps.left_out == 1
    # The merged step holds the whole move from 6 to 12 hours.
    assert steps.spot["BTC"][1] == pytest.approx(np.log(one.spot[3] / one.spot[1]))
    np.testing.assert_allclose(steps.vols["BTC"][1], one.vols[3] - one.vols[1])
    np.testing.assert_allclose(steps.atm_vols["BTC"][1], one.atm_vols[1])
    assert panel_steps([one], min_step_hours=0.0).days.size == 4


def test_only_common_times_count():
    a, b = panel([0, 6, 12, 18]), panel([0, 12, 18, 24], "ETH", 1)
    steps = panel_steps([a, b])
    assert ((steps.start_ns - NOW) / NS_PER_HOUR).tolist() == [0, 12]
    assert steps.underlyings == ("BTC", "ETH")
    assert steps.spot["ETH"][0] == pytest.approx(np.log(b.spot[1] / b.spot[0]))
    assert steps.rows(slice(1, None)).days.size == 1


def test_a_missing_tenor_costs_both_steps_around_it():
    whole = panel([0, 6, 12, 18, 24])
    vols, rate, status = whole.vols.copy(), whole.forward_rate.copy(), whole.status.copy()
    vols[2, 1], rate[2, 1], status[2, 1] = np.nan, np.nan, PanelStatus.MISSING
    steps = panel_steps([replace(whole, vols=vols, forward_rate=rate, status=status)])
    assert ((steps.start_ns - NOW) / NS_PER_HOUR).tolist() == [0, 18]
    assert steps.left_out == 2


def test_basis_is_the_slope_of_the_log_forward_on_tau():
    rng = np.random.default_rng(3)
    times = times_every(6, 5)
    base = panel_of("BTC", np.zeros((5, 4)), np.zeros(5), times)
    rate = rng.standard_normal((6, TENORS.size)) * 0.01
    steps = panel_steps([replace(base, forward_rate=rate)])
    tau = TENORS / 365
    slopes = [
        np.linalg.lstsq(tau[:, None], change * tau, rcond=None)[0][0] for change in np.diff(rate, axis=0)
    ]
    np.testing.assert_allclose(steps.basis["BTC"], slopes, rtol=1e-10)


def test_bad_input():
    a = panel([0, 6, 12])
    with pytest.raises(ConfigError, match="min_step_hours"):
        panel_steps([a], min_step_hours=5, max_step_hours=5)
    with pytest.raises(EmptyData, match="at least one panel"):
        panel_steps([])
    with pytest.raises(DataError, match="one panel per underlying"):
        panel_steps([a, a])
    with pytest.raises(EmptyData, match="found none"):
        panel_steps([panel([0, 30, 60])])
    with pytest.raises(EmptyData, match="0 common times"):
        panel_steps([a, panel([1, 7, 13], "ETH")])
    cut = panel([0, 6, 12], "ETH")
    cut = replace(cut, nodes=cut.nodes * 2)
    with pytest.raises(DataError, match="tenors and nodes"):
        panel_steps([a, cut])
