import numpy as np
import pytest

from ivhedge.core import NS_PER_DAY
from ivhedge.core.errors import ConfigError
from ivhedge.risk.factors import RegimeRule, regime_rule, stressed_times
from ivhedge.risk.factors.regimes import hysteresis

from ._synthetic import panel_of, times_every

RULE = RegimeRule(enter_vol=0.6, leave_vol=0.5, enter_move=3.0, hold_days=2.0)


def states(vols, moves=None):
    moves = np.zeros(len(vols)) if moves is None else np.asarray(moves, float)
    return (
        hysteresis(np.arange(len(vols)) * NS_PER_DAY, np.asarray(vols, float), moves, RULE)
        .astype(int)
        .tolist()
    )


def test_hysteresis_by_level():
    # Enters at 0.6, stays between the two levels, leaves below 0.5, does not enter between them.
    assert states([0.55, 0.6, 0.55, 0.5, 0.49, 0.55]) == [0, 1, 1, 1, 0, 0]


def test_a_large_move_holds():
    # One move at day 1: stressed on days 1 and 2, held less than two days, left on day 3.
    assert states([0.4] * 5, [0, 3.0, 0, 0, 0]) == [0, 1, 1, 0, 0]
    assert states([0.4, 0.4, 0.4, 0.55, 0.4], [0, 3.0, 0, 0, 0]) == [0, 1, 1, 1, 0]
    assert states([0.4] * 5, [0, 3.0, 3.0, 0, 0]) == [0, 1, 1, 1, 0]


def test_moves_are_measured_with_the_vol_before_them():
    times = times_every(6, 3)
    scores = np.zeros((3, 4))
    sd = 0.6 * np.sqrt(0.25 / 365)
    for size, expected in ((3.01, [False, False, True, True]), (2.99, [False] * 4)):
        panel = panel_of("BTC", scores, np.array([0.0, -size * sd, 0.0]), times)
        rule = RegimeRule(enter_vol=0.9, leave_vol=0.8)
        assert stressed_times(panel, rule).tolist() == expected


def test_rule_from_quantiles():
    scores = np.zeros((100, 4))
    scores[:, 0] = 0.002
    panel = panel_of("BTC", scores, np.zeros(100), times_every(6, 100))
    rule = regime_rule(panel)
    assert rule.enter_vol == pytest.approx(0.6 + 0.002 * 80)
    assert rule.leave_vol == pytest.approx(0.6 + 0.002 * 65)
    assert stressed_times(panel, rule).sum() == 21


def test_bad_input():
    with pytest.raises(ConfigError, match="leave_vol"):
        RegimeRule(enter_vol=0.5, leave_vol=0.6)
    panel = panel_of("BTC", np.zeros((2, 4)), np.zeros(2), times_every(6, 2))
    with pytest.raises(ConfigError, match="tenor of the panel"):
        stressed_times(panel, RULE, tenor_days=31.0)
    with pytest.raises(ConfigError, match="leave <= enter"):
        regime_rule(panel, enter=0.5, leave=0.6)
