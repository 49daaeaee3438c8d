from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.risk import exposures
from ivhedge.risk.factors import NO_FACTORS, Factor, FactorModel, factor_loadings, factor_risk

from .._stub import NOW, StubSurface, option, perpetual
from ._synthetic import SHAPES

SURFACES = {
    "BTC": StubSurface(level=0.6, skew=-0.1, carry=0.05),
    "ETH": StubSurface(underlying="ETH", level=0.8, spot=3_000.0),
}
FACTORS = tuple(
    factor
    for name in ("BTC", "ETH")
    for factor in (
        Factor(underlying=name, kind="spot"),
        Factor(underlying=name, kind="basis"),
        *(Factor(underlying=name, kind=s.name, shape=s) for s in SHAPES),
    )
)
SCALES = np.tile([0.03, 0.01, 0.02, 0.01, 0.005, 0.002], 2)
MODEL = FactorModel(factors=FACTORS, scales=SCALES, correlation=0.6 * np.eye(12) + 0.4)
LEGS = [
    (option(30), "-3"),
    (option(60, "70000", False), "2"),
    (option(30, coin=False), "-1"),
    (option(45, "3200", underlying="ETH"), "10"),
    (perpetual(), "5000"),
    (perpetual(days=90), "2000"),
    (perpetual(coin=False), "-20000"),
]


def book_of(*legs):
    return Book("test", tuple(Position(i, Decimal(q)) for i, q in legs))


def test_small_bumps_are_the_greeks():
    book = book_of(*LEGS)
    small = FactorModel(factors=FACTORS, scales=SCALES * 1e-3, correlation=MODEL.correlation)
    found = factor_loadings(book, SURFACES, small, NOW)
    rows = exposures(book, SURFACES, ts_ns=NOW).values
    # Level at 30 days moves the first leg by one for one.
    vega = 100.0 * rows["vega_usd_per_vol_point"]
    at = found.names.index("BTC.level")
    assert found.usd[0, at] == pytest.approx(vega[0] * small.scales[at], rel=2e-2)
    # A perpetual has no carry and no vol, but a spot delta; 90 days of carry move the future.
    spot, basis = found.names.index("BTC.spot"), found.names.index("BTC.basis")
    assert found.usd[4, spot] == pytest.approx(50_000 * small.scales[spot], rel=1e-6)
    assert found.usd[4, basis] == 0.0
    carried = 20_000 * 90 / 365 * small.scales[basis] * 80_000 / float(SURFACES["BTC"].forward(90 / 365))
    assert found.usd[5, basis] == pytest.approx(carried, rel=1e-6)
    assert found.usd[6, spot] == pytest.approx(-2.0 * 80_000 * small.scales[spot], rel=1e-6)
    # Inverse: 1/F − 1/F' coin.
    F, u = 80_000.0, small.scales[spot]
    assert found.coin[4, spot] == pytest.approx(50_000 / F * np.sinh(u), rel=1e-9)
    # Nothing of ETH moves with BTC.
    assert (found.usd[3, : len(FACTORS) // 2] == 0.0).all()
    assert (found.usd[3, len(FACTORS) // 2 :] != 0.0).all()


def test_loadings_are_full_revaluations():
    book = book_of(LEGS[0])
    found = factor_loadings(book, SURFACES, MODEL, NOW)
    for k, name in enumerate(MODEL.names[:6]):
        values = []
        for sign in (1, -1):
            moved = MODEL.apply(SURFACES["BTC"], {name: sign * MODEL.scales[k]})
            total = exposures(book, {"BTC": moved}, ts_ns=NOW).values
            values.append((total["value_usd"][0], total["value_coin"][0]))
        up, down = values
        assert found.usd[0, k] == pytest.approx(0.5 * (up[0] - down[0]), rel=1e-9, abs=1e-9)
        assert found.coin[0, k] == pytest.approx(0.5 * (up[1] - down[1]), rel=1e-9, abs=1e-14)


@given(st.lists(st.integers(-9, 9), min_size=len(LEGS), max_size=len(LEGS)), st.floats(0.0, 0.95))
@settings(max_examples=12, deadline=None)
def test_contributions_sum_to_the_standard_deviation(sizes, rho):
    model = FactorModel(factors=FACTORS, scales=SCALES, correlation=(1 - rho) * np.eye(12) + rho)
    book = book_of(*((leg, str(q)) for (leg, _), q in zip(LEGS, sizes, strict=True)))
    found = factor_loadings(book, SURFACES, model, NOW)
    risk = factor_risk(found, model)
    scale = max(risk.sd_usd, np.abs(risk.exposure).max(), 1e-9)
    assert abs(risk.contribution.sum() - risk.sd_usd) <= 1e-10 * scale
    assert abs(risk.leg_contribution.sum() - risk.sd_usd) <= 1e-10 * scale
    dollars = risk.exposure / model.scales
    assert risk.sd_usd == pytest.approx(np.sqrt(dollars @ model.covariance @ dollars))


def test_loadings_of_another_horizon_are_refused():
    found = factor_loadings(book_of(LEGS[0]), SURFACES, MODEL, NOW)
    with pytest.raises(DataError, match="another horizon"):
        factor_risk(found, MODEL.over(10.0))


def test_legs_without_a_price_are_named_and_not_zero():
    sol = option(30, "150", underlying="SOL")
    ada = option(30, "1", coin=False, underlying="ADA")
    dead = option(-1)
    surfaces = SURFACES | {"SOL": StubSurface(underlying="SOL", spot=150.0)}
    found = factor_loadings(book_of(LEGS[0], (sol, "1"), (ada, "1"), (dead, "1")), surfaces, MODEL, NOW)
    assert found.status == ("ok", NO_FACTORS, "no_surface", "expired")
    assert np.isnan(found.usd[1:]).all()
    assert np.isnan(found.coin[1:]).all()
    assert np.isfinite(found.usd[0]).all()
    assert found.unpriced == (
        (sol.key, NO_FACTORS),
        (ada.key, "no_surface"),
        (dead.key, "expired"),
    )
    with pytest.raises(DataError, match="would count as none"):
        factor_risk(found, MODEL)
    risk = factor_risk(found, MODEL, allow_unpriced=True)
    assert risk.unpriced == found.unpriced
    assert np.isnan(risk.leg_contribution[1:]).all()
    alone = factor_loadings(book_of(LEGS[0], (dead, "1")), SURFACES, MODEL, NOW)
    assert factor_risk(alone, MODEL).sd_usd == pytest.approx(risk.sd_usd)
    np.testing.assert_allclose(found.exposure(), alone.exposure())
    np.testing.assert_allclose(found.exposure_coin("BTC"), alone.coin[0])
    assert (found.exposure_coin("ETH") == 0.0).all()


def test_a_leg_lost_on_one_moved_surface_keeps_no_numbers():
    surfaces = {"BTC": StubSurface(level=0.6, skew=-0.5)}
    far = option(30, "240000")
    model = FactorModel(factors=FACTORS, scales=np.full(12, 0.1), correlation=np.eye(12))
    found = factor_loadings(book_of((option(30), "1"), (far, "1")), surfaces, model, NOW)
    assert found.status == ("ok", "no_vol")
    assert np.isnan(found.usd[1]).all()


def test_old_surfaces_and_bad_bumps():
    later = NOW + 3600 * 10**9
    found = factor_loadings(book_of(LEGS[0]), SURFACES, MODEL, later, max_age_ns=10**9)
    assert found.status == ("stale_surface",)
    with pytest.raises(ConfigError, match="bump_sd"):
        factor_loadings(book_of(LEGS[0]), SURFACES, MODEL, NOW, bump_sd=0.0)
    half = factor_loadings(book_of(LEGS[0]), SURFACES, MODEL, NOW, bump_sd=0.5)
    whole = factor_loadings(book_of(LEGS[0]), SURFACES, MODEL, NOW)
    np.testing.assert_allclose(half.usd[:, :6], whole.usd[:, :6], rtol=0.05, atol=5.0)


def test_models_must_match_and_an_empty_book_has_no_risk():
    empty = factor_loadings(book_of(), SURFACES, MODEL, NOW)
    risk = factor_risk(empty, MODEL)
    assert risk.sd_usd == 0.0
    assert (risk.contribution == 0.0).all()
    other = FactorModel(factors=FACTORS[:2], scales=SCALES[:2], correlation=np.eye(2))
    with pytest.raises(DataError, match="expected loadings on"):
        factor_risk(empty, other)
