import numpy as np
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.forecast import PROBABILITIES
from ivhedge.forecast.errors import Calibration, error_quantiles

LOW, HIGH = 3, 13


def _fed(band, errors, days=400):
    """Feed live errors, one a day, with a band that half of the misses fall out of."""
    for day in range(days):
        band.observe(float(np.exp(errors[day])), 1.0, np.exp(-0.8), np.exp(0.8), day % 7)
    band.refit(np.empty(0))
    return band


def _width(band, weekday):
    q = np.log(band.quantiles(1.0, weekday))
    return q[HIGH] - q[LOW]


def test_quantiles_of_errors_are_theirs():
    errors = 0.5 * np.random.default_rng(0).standard_normal(4000)
    q = error_quantiles(np.empty(0), errors, 1)
    np.testing.assert_allclose(
        q[LOW : HIGH + 1], np.quantile(errors, PROBABILITIES[LOW : HIGH + 1]), atol=0.02
    )
    assert np.all(np.diff(q) > 0.0)


def test_the_errors_of_a_fit_are_widened_for_overlap():
    errors = np.random.default_rng(0).standard_normal(300)
    one, month = (error_quantiles(errors, np.empty(0), h) for h in (1, 30))
    assert 1.2 < (month[HIGH] - month[LOW]) / (one[HIGH] - one[LOW]) < 1.4


def test_live_errors_take_over_within_a_year():
    fitted = 0.1 * np.random.default_rng(0).standard_normal(500)
    live = np.random.default_rng(1).standard_normal(365)
    widths = [np.ptp(error_quantiles(fitted, live[:n], 1)[[LOW, HIGH]]) for n in (30, 180, 365)]
    assert widths[0] < 0.4 < 1.0 < widths[1] < widths[2]
    assert widths[2] == pytest.approx(2 * 1.645, rel=0.15)


def test_misses_widen_and_hits_narrow():
    grid = np.random.default_rng(2).standard_normal(500)
    wide, narrow = Calibration(7), Calibration(7)
    for band, outcome in ((wide, 100.0), (narrow, 1.0)):
        band.refit(grid)
        for _ in range(30):
            band.observe(outcome, 1.0, 0.5, 2.0, 0)
    assert _width(narrow, 0) < np.ptp(np.quantile(grid, [0.05, 0.95])) < _width(wide, 0)


def test_saturdays_that_err_more_get_wider_bands_at_one_day_only():
    errors = 0.5 * np.random.default_rng(3).standard_normal(400)
    # The forecast of a Saturday is stated on a Friday.
    errors[np.arange(400) % 7 == 4] *= 3.0
    one, week = _fed(Calibration(1), errors), _fed(Calibration(7), errors)
    assert _width(one, 4) > 1.6 * _width(one, 2)
    assert _width(one, 5) == pytest.approx(_width(one, 2), rel=0.35)
    assert _width(week, 4) == _width(week, 2)


def test_nothing_is_stated_before_a_fit():
    with pytest.raises(ConfigError, match="fit before a forecast"):
        Calibration(1).quantiles(1.0, 0)
    with pytest.raises(ConfigError, match="neither"):
        Calibration(1).refit(np.empty(0))
