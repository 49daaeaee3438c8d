from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError
from ivhedge.market import read_chains
from ivhedge.pricing import black76_greeks, coin_greeks
from ivhedge.surface import fit_surface
from ivhedge.surface.quoting import (
    AtmConvention,
    DeltaConvention,
    StrikeStatus,
    atm_log_moneyness,
    log_moneyness_of_delta,
    smile_quotes,
    smile_table,
    strikes_of_delta,
)

FORWARD, ADJUSTED = DeltaConvention
TENORS = np.array([1, 7, 30, 90, 365]) / 365


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


def delta_of(surface, found, tau, is_call, convention):
    """Delta of the strikes found, by the Greeks of the pricing room."""
    forward = surface.forward(tau)
    names, greeks = (["delta"], black76_greeks) if convention is FORWARD else (["delta_coin"], coin_greeks)
    return greeks(forward, found.strike, tau, found.vol, is_call, names=names)[names[0]]


@pytest.mark.parametrize("convention", DeltaConvention)
def test_strikes_have_the_delta_asked_for(truth_surface, convention):
    delta = np.array([[0.01], [0.1], [0.25], [0.4], [-0.01], [-0.25], [-0.5], [-0.9]])
    found = strikes_of_delta(truth_surface, TENORS, delta, convention=convention)
    assert not found.status.any()
    is_call = np.broadcast_to(delta > 0, found.strike.shape)
    wanted = np.broadcast_to(delta, found.strike.shape)
    greek = delta_of(truth_surface, found, np.broadcast_to(TENORS, wanted.shape), is_call, convention)
    # The adjusted delta is flat near its maximum, not its value: the tolerance is on the delta.
    np.testing.assert_allclose(greek, wanted, atol=1e-10)
    np.testing.assert_allclose(found.vol, truth_surface.implied_vol(found.log_moneyness, TENORS), rtol=1e-14)
    forward = truth_surface.forward(TENORS)
    np.testing.assert_allclose(found.strike, forward * np.exp(found.log_moneyness), rtol=1e-14)


@given(
    st.floats(0.05, 2.0), st.floats(1 / 365, 2.0), st.floats(0.005, 0.49), st.sampled_from(DeltaConvention)
)
@settings(max_examples=60, deadline=None)
def test_a_flat_smile_quotes_no_wings_in_any_convention(level, tau, delta, convention):
    @dataclass(frozen=True)
    class Flat(Skewed):
        def implied_vol(self, log_moneyness, tau):
            return level + 0.0 * np.asarray(log_moneyness, dtype=float) + 0.0 * np.asarray(tau)

    row = smile_table(Flat(), [tau], [delta], convention=convention, atm="delta_neutral").row(0, named=True)
    assert row["atm_vol"] == pytest.approx(level)
    if row["status"] == "ok":
        assert row["risk_reversal"] == pytest.approx(0.0, abs=1e-12)
        assert row["butterfly"] == pytest.approx(0.0, abs=1e-12)
        # The adjusted strikes of large deltas may change places.
        assert convention is ADJUSTED or row["put_strike"] < row["call_strike"]
    else:
        assert convention is ADJUSTED
        assert row["call_vol"] is None


def test_the_adjusted_call_is_on_the_branch_of_the_higher_strike(truth_surface):
    tau = 1.0
    k = np.linspace(-3, 3, 60_001)
    w = truth_surface.total_variance(k, tau)
    delta = np.exp(k) * ndtr(-k / np.sqrt(w) - 0.5 * np.sqrt(w))
    top, peak = delta.max(), k[np.argmax(delta)]
    for wanted in (0.05, 0.3, top - 1e-3, top - 1e-9):
        found = strikes_of_delta(truth_surface, tau, wanted, convention="premium_adjusted")
        assert found.status == StrikeStatus.OK
        # The largest of the strikes that have it.
        assert found.log_moneyness == pytest.approx(k[delta >= wanted].max(), abs=1.5e-4)
        assert found.log_moneyness >= peak - 1e-4
    none = strikes_of_delta(truth_surface, tau, [0.2, top + 1e-6], convention="premium_adjusted")
    assert none.status.tolist() == [StrikeStatus.OK, StrikeStatus.ABOVE_MAXIMUM]
    assert np.isnan([none.strike[1], none.vol[1], none.log_moneyness[1]]).all()
    assert all(status.describe() for status in StrikeStatus)


def test_a_straddle_at_the_money_has_no_delta(truth_surface):
    assert not atm_log_moneyness(truth_surface, TENORS).any()
    for convention, greeks, name in (
        (FORWARD, black76_greeks, "delta"),
        (ADJUSTED, coin_greeks, "delta_coin"),
    ):
        k = atm_log_moneyness(truth_surface, TENORS, atm=AtmConvention.DELTA_NEUTRAL, convention=convention)
        forward = truth_surface.forward(TENORS)
        vol = truth_surface.implied_vol(k, TENORS)
        call, put = (
            greeks(forward, forward * np.exp(k), TENORS, vol, c, names=[name])[name] for c in (True, False)
        )
        assert call + put == pytest.approx(np.zeros(TENORS.size), abs=1e-12)
        half = 0.5 * truth_surface.total_variance(k, TENORS)
        assert k == pytest.approx(half if convention is FORWARD else -half, abs=1e-12)


def test_the_table_holds_what_its_parts_say(truth_surface):
    table = smile_table(truth_surface, TENORS, [0.25, 0.1])
    assert table.shape == (10, 13)
    quotes = smile_quotes(truth_surface, TENORS)
    wing = table.filter(pl.col("delta") == 0.25)
    assert wing["risk_reversal"].to_numpy() == pytest.approx(quotes.risk_reversal, abs=1e-12)
    assert wing["butterfly"].to_numpy() == pytest.approx(quotes.butterfly, abs=1e-12)
    assert wing["atm_vol"].to_numpy() == pytest.approx(quotes.atm_vol)
    assert wing["tenor_days"].to_numpy() == pytest.approx(365 * TENORS)
    assert set(table["status"]) == {"ok"}


def test_a_delta_out_of_reach_is_null_and_named():
    @dataclass(frozen=True)
    class High(Skewed):
        def implied_vol(self, log_moneyness, tau):
            return 2.0 + 0.0 * np.asarray(log_moneyness, dtype=float) + 0.0 * np.asarray(tau)

    table = smile_table(High(), [1.0], [0.1, 0.4], convention="premium_adjusted")
    assert table["status"].to_list() == ["ok", "above_maximum"]
    assert table["call_strike"].is_null().to_list() == [False, True]
    assert table["butterfly"].is_null().to_list() == [False, True]
    assert not table["put_vol"].is_null().any()


@dataclass(frozen=True)
class Trap(Skewed):
    """A right wing steeper than Lee's bound: d1 turns and never falls to that of a small delta."""

    def total_variance(self, log_moneyness, tau):
        k = np.asarray(log_moneyness, dtype=float)
        return 0.04 + 3.0 * np.maximum(k, 0.0) + 0.0 * np.asarray(tau)

    def implied_vol(self, log_moneyness, tau):
        return np.sqrt(self.total_variance(log_moneyness, tau) / np.asarray(tau))


def test_a_smile_without_the_delta_says_so():
    found = strikes_of_delta(Trap(), 0.1, [0.05, -0.25])
    assert found.status.tolist() == [StrikeStatus.NO_STRIKE, StrikeStatus.OK]
    assert np.isnan(found.vol).tolist() == [True, False]
    with pytest.raises(ConfigError, match="strikes_of_delta"):
        log_moneyness_of_delta(Trap(), 0.1, 0.05)


def test_impossible_tables_are_refused(truth_surface):
    for tau, delta in ((0.0, 0.25), (0.1, 0.0), (0.1, 1.0), (0.1, -1.0), (np.nan, 0.25)):
        with pytest.raises(ConfigError, match="expected"):
            strikes_of_delta(truth_surface, tau, delta)
    # A premium-adjusted put delta has no floor.
    assert strikes_of_delta(truth_surface, 0.1, -1.5, convention="premium_adjusted").status == 0
    for tenors, deltas in (([0.1], [0.5]), ([0.0], [0.25]), ([[0.1]], [0.25])):
        with pytest.raises(ConfigError, match="expected"):
            smile_table(truth_surface, tenors, deltas)


@pytest.mark.recorded
def test_recorded_smiles_are_quoted_at_every_tenor(recorded):
    chains = read_chains(recorded / "deribit_chains" / "BTC" / "2026-03.parquet", end="2026-03-01")
    surface = fit_surface(chains.filter(pl.col("ts") == pl.col("ts").min())).published()
    for convention in DeltaConvention:
        table = smile_table(surface, TENORS, convention=convention, atm="delta_neutral")
        assert set(table["status"]) == {"ok"}
        near, far = (table.filter(pl.col("delta") == delta) for delta in (0.25, 0.1))
        # A steep skew can push the 25-delta butterfly a little below 0, never the farther one.
        assert near["butterfly"].min() > -0.002
        assert (far["butterfly"] > near["butterfly"]).all()
        assert (far["risk_reversal"].abs() > near["risk_reversal"].abs()).all()
