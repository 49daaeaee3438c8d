import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.market import read_chains
from ivhedge.risk.factors import (
    Factor,
    FactorKind,
    FactorSettings,
    Regime,
    RegimeRule,
    factor_scores,
    fit_factors,
    panel_steps,
)
from ivhedge.risk.panel import build_panel, fit_history

from ._synthetic import SHAPES, panel_of, times_every, two_panels

NAMED = FactorSettings(kind=FactorKind.NAMED)


def test_named_factors_are_recovered_with_their_covariance():
    panels, btc = two_panels(np.random.default_rng(1), steps=800)
    fit = fit_factors(panels, NAMED)
    assert fit.model.names == tuple(
        f"{coin}.{kind}"
        for coin in ("BTC", "ETH")
        for kind in ("spot", "basis", "level", "slope", "skew", "curvature")
    )
    np.testing.assert_allclose(fit.scores[:, 2:6], btc, atol=1e-12)
    # Six hours to a day: twice the standard deviation of a step.
    np.testing.assert_allclose(fit.model.scales[2:6], 2.0 * btc.std(axis=0), rtol=1e-6)
    assert fit.share["BTC"] == pytest.approx(1.0)
    true = 0.7 / np.sqrt(0.49 + 0.04)
    assert fit.model.correlation[2, 8] == pytest.approx(true, abs=0.06)
    assert fit.model.correlation[0, 2] < -0.4
    assert fit.current is Regime.ALL
    assert fit.current_model is fit.model


def test_scale_does_not_depend_on_how_often_a_diffusion_is_seen():
    rng = np.random.default_rng(2)
    scores = 0.0008 * rng.standard_normal((1600, 4))
    scores -= scores.mean(axis=0)
    spot = 0.01 * rng.standard_normal(1600)
    rate = 0.05 + np.cumsum(0.001 * rng.standard_normal(1601))
    fine = panel_of("BTC", scores, spot, times_every(3, 1600), rate)
    uneven = np.cumsum(np.concatenate(([0], rng.choice([1, 2, 3], 780))))
    uneven = uneven[uneven <= 1600]
    a = fit_factors([fine], NAMED).model.scales
    b = fit_factors([fine.rows(uneven)], NAMED).model.scales
    np.testing.assert_allclose(b / a, 1.0, atol=0.08)


@pytest.mark.parametrize("kind", ["components", "tenor", "named"])
def test_every_kind_gives_a_positive_definite_joint_model(kind):
    panels, _ = two_panels(np.random.default_rng(3), steps=120)
    settings = FactorSettings(kind=kind, components=3, at_days=(7.0, 90.0), half_life_days=10.0)
    fit = fit_factors(panels, settings)
    np.linalg.cholesky(fit.model.covariance)
    assert fit.share["ETH"] > 0.9
    assert set(fit.components) == ({"BTC", "ETH"} if kind == "components" else set())
    again = factor_scores(fit.steps, fit.model.factors)
    np.testing.assert_allclose(again, fit.scores)


def test_regimes_have_their_own_scales():
    rng = np.random.default_rng(4)
    size = np.repeat([0.001, 0.004], 150)[:, None]
    scores = rng.standard_normal((300, 4)) * size * np.array([0.3, 0.3, 0.2, 0.1])
    scores -= scores.mean(axis=0)
    scores[149, 0] += 0.2
    panel = panel_of("BTC", scores, 0.01 * rng.standard_normal(300), times_every(6, 300))
    rule = RegimeRule(enter_vol=0.72, leave_vol=0.66)
    settings = FactorSettings(kind=FactorKind.NAMED, regime=rule, basis=False)
    with pytest.raises(DataError, match=r"BTC\.basis"):
        fit_factors([panel], NAMED)
    fit = fit_factors([panel], settings)
    calm, stressed = fit.models[Regime.CALM], fit.models[Regime.STRESSED]
    # The step that brings stress starts calm; the state is the one at the start.
    assert fit.stressed.tolist() == [False] * 150 + [True] * 150
    assert fit.current is Regime.STRESSED
    assert fit.current_model is stressed
    assert stressed.scales[2] / calm.scales[2] == pytest.approx(4.0, rel=0.25)
    for model in (calm, stressed):
        np.linalg.cholesky(model.correlation)
    own = fit.covariances[Regime.CALM]
    assert own.effective_steps == pytest.approx(150.0)


def test_a_regime_without_steps_falls_back_and_says_so():
    panels, _ = two_panels(np.random.default_rng(5), steps=60)
    settings = FactorSettings(kind=FactorKind.NAMED, regime=RegimeRule(enter_vol=9.0, leave_vol=8.0))
    fit = fit_factors(panels, settings)
    assert Regime.STRESSED not in fit.models
    assert "stressed" in fit.notes[0]
    assert fit.current_model is fit.models[Regime.CALM]


def test_bad_input():
    panels, _ = two_panels(np.random.default_rng(6), steps=60)
    steps = panel_steps(panels[:1])
    with pytest.raises(ConfigError, match="ETH"):
        factor_scores(steps, [Factor(underlying="ETH", kind="spot")])
    with pytest.raises(ValueError, match="wavelets"):
        FactorSettings(kind="wavelets")
    cut = [Factor(underlying="BTC", kind="level", shape=SHAPES[0])]
    narrow = build_panel([_Flat(t) for t in panels[0].ts_ns[:3]], tenor_days=(30.0,))
    with pytest.raises(ConfigError, match="on the tenors"):
        factor_scores(panel_steps([narrow]), cut)


class _Flat:
    underlying = "BTC"

    def __init__(self, ts_ns):
        self.ts_ns = int(ts_ns)
        self.expiries = np.array([ts_ns + 30 * 86_400 * 10**9], dtype=np.int64)

    def implied_vol(self, log_moneyness, tau):
        return np.full(np.broadcast_shapes(np.shape(log_moneyness), np.shape(tau)), 0.5)

    def total_variance(self, log_moneyness, tau):
        return self.implied_vol(log_moneyness, tau) ** 2 * tau

    def forward(self, tau):
        return np.full(np.shape(tau), 80_000.0)


@pytest.mark.recorded
@pytest.mark.slow
def test_recorded_week(recorded):
    panels = []
    for coin in ("BTC", "ETH"):
        chains = read_chains(recorded / "deribit_chains" / coin / "2026-01.parquet").partition_by(
            "ts", maintain_order=True
        )
        panels.append(build_panel(fit_history(chains[:100]).surfaces))
    fit = fit_factors(panels)
    # Spots move together, vols move together, shapes say most of it.
    names = fit.model.names
    spot = fit.model.correlation[names.index("BTC.spot"), names.index("ETH.spot")]
    level = fit.model.correlation[names.index("BTC.level_30d"), names.index("ETH.level_30d")]
    assert spot > 0.4
    assert level > 0.3
    assert min(fit.share.values()) > 0.85
