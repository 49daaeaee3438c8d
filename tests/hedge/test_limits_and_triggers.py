from decimal import Decimal
from math import inf, nan

import pytest

from ivhedge.core import NS_PER_HOUR
from ivhedge.core.errors import ConfigError, DataError
from ivhedge.hedge import (
    AlwaysTrigger,
    AnyTrigger,
    Band,
    BandTrigger,
    HedgeLimits,
    HedgeState,
    IntervalTrigger,
    RiskModel,
    TenorBand,
)

from ._stub import option, perpetual


def test_band():
    assert Band.around(2.0, 1.0) == Band(-1.0, 3.0, 1.0)
    assert [Band(-1.0, 1.0).violation(v) for v in (-3.0, 0.5, 1.5)] == [2.0, 0.0, 0.5]
    for bad in ((1.0, -1.0, 0.0), (nan, 1.0, 0.0), (-1.0, 1.0, 2.0), (-1.0, 1.0, nan)):
        with pytest.raises(ConfigError, match="expected"):
            Band(*bad)


@pytest.mark.parametrize(
    "settings",
    [
        {"numeraire": "euro"},
        {"vega": (TenorBand(0, 30, Band(-1, 1)), TenorBand(20, 60, Band(-1, 1)))},
        {"max_contracts": {"option": Decimal(-1)}},
        {"max_cost_usd": -1.0},
        {"max_cost_usd": nan},
        {"max_surface_age_hours": -1.0},
    ],
)
def test_wrong_limits_are_refused(settings):
    with pytest.raises(ConfigError, match="expected"):
        HedgeLimits(**settings)
    with pytest.raises(ConfigError, match="tenor band"):
        TenorBand(30, 30, Band(-1, 1))


def test_the_key_of_an_instrument_wins_over_its_kind():
    limits = HedgeLimits(max_contracts={"option": Decimal(5), option().key: Decimal(2)})
    assert limits.cap_of(option()) == 2.0
    assert limits.cap_of(option(7)) == 5.0
    assert limits.cap_of(perpetual()) == inf


@pytest.mark.parametrize(
    "settings",
    [{"aversion": -1.0}, {"horizon_days": 0.0}, {"spot_vol_correlation": 1.0}, {"tenor_decay": nan}],
)
def test_wrong_risk_models_are_refused(settings):
    with pytest.raises(ConfigError, match="expected"):
        RiskModel(**settings)


def test_interval():
    trigger = IntervalTrigger(6.0)
    assert trigger.decide(0, None, {}).fire
    assert not trigger.decide(6 * NS_PER_HOUR - 1, 0, {}).fire
    assert trigger.decide(6 * NS_PER_HOUR, 0, {}).fire
    for bad in (0.0, nan, inf):
        with pytest.raises(ConfigError, match="interval"):
            IntervalTrigger(bad)


def test_band_trigger_watches_what_it_names():
    trigger = BandTrigger({"delta": Band.around(1.0), "vega": Band.around(5.0)})
    assert not trigger.decide(0, 0, {"delta": 0.9, "gamma_1pct": 99.0, "vega_0_7d": 4.0}).fire
    decision = trigger.decide(0, 0, {"delta": 0.0, "vega_7_30d": -6.0})
    assert decision.fire
    assert "vega_7_30d -6" in decision.reason
    with pytest.raises(ConfigError, match="at least one band"):
        BandTrigger({})


def test_a_band_trigger_never_stays_silent_on_what_it_cannot_see():
    with pytest.raises(ConfigError, match=r"found \['detla'\]"):
        BandTrigger({"detla": Band.around(1.0)}).decide(0, 0, {"delta": 5.0})
    with pytest.raises(DataError, match="exposure delta, found nan"):
        BandTrigger({"delta": Band.around(1.0)}).decide(0, 0, {"delta": nan})
    assert not BandTrigger({"vega": Band.around(1.0)}).decide(0, 0, {"delta": nan}).fire


def test_any_trigger_and_the_default():
    both = AnyTrigger((IntervalTrigger(24.0), BandTrigger({"delta": Band.around(1.0)})))
    assert both.decide(NS_PER_HOUR, 0, {"delta": 2.0}).fire
    assert both.decide(24 * NS_PER_HOUR, 0, {"delta": 0.0}).fire
    assert not both.decide(NS_PER_HOUR, 0, {"delta": 0.0}).fire
    assert HedgeState().trigger == AlwaysTrigger()
    with pytest.raises(ConfigError, match="at least one trigger"):
        AnyTrigger(())
