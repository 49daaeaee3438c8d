from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError
from ivhedge.surface.quoting import log_moneyness_of_delta, smile_quotes


@dataclass(frozen=True)
class Skewed:
    """A linear skew in log-moneyness, flat in time."""

    slope: float = -0.2
    underlying: str = "BTC"
    ts_ns: int = 0
    expiries: np.ndarray = None

    def implied_vol(self, log_moneyness, tau):
        return 0.5 + self.slope * np.asarray(log_moneyness, dtype=float) + 0.0 * np.asarray(tau)

    def total_variance(self, log_moneyness, tau):
        return self.implied_vol(log_moneyness, tau) ** 2 * np.asarray(tau)

    def forward(self, tau):
        return 100.0 + 0.0 * np.asarray(tau)


@pytest.mark.parametrize("slope", [0.0, -0.2, 0.2])
def test_the_strike_found_has_the_delta_asked_for(slope):
    surface = Skewed(slope)
    tau = np.array([1 / 365, 30 / 365, 1.0])
    delta = np.array([[0.1], [0.25], [0.5], [0.9]])
    k = log_moneyness_of_delta(surface, tau, delta)
    total_vol = np.sqrt(surface.total_variance(k, tau))
    assert ndtr(-k / total_vol + 0.5 * total_vol) == pytest.approx(np.broadcast_to(delta, k.shape), abs=1e-12)


def test_a_flat_smile_has_no_wings_and_a_skew_tilts_them():
    flat = smile_quotes(Skewed(0.0), [30 / 365, 0.5])
    assert flat.atm_vol == pytest.approx(0.5)
    assert flat.risk_reversal == pytest.approx(0.0, abs=1e-12)
    assert flat.butterfly == pytest.approx(0.0, abs=1e-12)
    assert np.all(smile_quotes(Skewed(-0.2), [0.1]).risk_reversal < -0.01)


@pytest.mark.parametrize(("tau", "delta"), [(0.0, 0.25), (0.1, 0.0), (0.1, 1.0)])
def test_impossible_requests_are_refused(tau, delta):
    with pytest.raises(ConfigError, match="expected"):
        log_moneyness_of_delta(Skewed(), tau, delta)
    with pytest.raises(ConfigError, match="expected"):
        smile_quotes(Skewed(), [tau], delta=delta)
