"""Settings: defaults, TOML, and what is refused."""

import copy
import pickle
import tomllib
from dataclasses import fields
from decimal import Decimal
from math import inf, nan

import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.controls import (
    Budget,
    ControlSettings,
    ExposureLimits,
    FillLimits,
    OrderIntent,
    Scope,
    WorkingOrder,
)
from tests.risk.controls._case import CALL, CALL_UNIT, order

TOML = """
max_order_btc = 1
initial_margin_use = 0.5
restricted = ["SOL", "deribit:BTC-PERPETUAL"]
max_order_contracts = { option = 25, perpetual = 50000 }
daily_loss = { reduce = 0.01, halt = 0.03 }

[underlying_limits."*"]
delta = 5
gamma_1pct = inf
vega_usd_per_vol_point = 2000
theta_usd_per_day = 3000

[expiry_limits."BTC 2026-12-25"]
delta = 1
gamma_1pct = 1
vega_usd_per_vol_point = 100
theta_usd_per_day = 100

[fill_limits.BTC]
quantity_coin = 5
"""


def test_settings_are_read_from_toml():
    read = ControlSettings.from_mapping(tomllib.loads(TOML))
    assert read.max_order_btc == 1.0
    assert isinstance(read.max_order_btc, float)
    assert read.restricted == {"SOL", "deribit:BTC-PERPETUAL"}
    assert read.max_order_contracts["option"] == 25.0
    assert read.daily_loss == Budget(reduce=0.01, halt=0.03)
    assert read.underlying_limits["*"].gamma_1pct == inf
    assert read.fill_limits["BTC"] == FillLimits(quantity_coin=5.0)
    assert read.drawdown == Budget()
    assert ControlSettings.from_mapping({}) == ControlSettings()


def test_limits_are_looked_up_from_the_special_to_the_general():
    def limits(delta):
        return ExposureLimits(delta=delta, gamma_1pct=1.0, vega_usd_per_vol_point=1.0, theta_usd_per_day=1.0)

    s = ControlSettings(
        underlying_limits={"*": limits(1.0), "BTC": limits(2.0)},
        expiry_limits={"BTC late": limits(3.0), "BTC": limits(4.0)},
        venue_limits={"*": limits(5.0), "BTC okx": limits(6.0)},
    )

    def delta_of(scope):
        found = s.limits_of(scope)
        return None if found is None else found.delta

    assert delta_of(Scope("BTC")) == 2.0
    assert delta_of(Scope("ETH")) == 1.0
    assert delta_of(Scope("BTC", expiry="late")) == 3.0
    assert delta_of(Scope("BTC", expiry="soon")) == 4.0
    assert delta_of(Scope("ETH", expiry="late")) is None
    assert delta_of(Scope("BTC", venue="okx")) == 6.0
    assert delta_of(Scope("BTC", venue="deribit")) == 5.0
    assert ControlSettings().limits_of(Scope("BTC")) is None


NUMBERS = [f.name for f in fields(ControlSettings) if isinstance(getattr(ControlSettings(), f.name), float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [nan, -0.1, -inf, "1", None, True, Decimal(1)])
def test_no_number_nan_or_negative_limit_is_taken(name, value):
    with pytest.raises(ConfigError, match=name):
        ControlSettings.from_mapping({name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_order": 1.0}, "unknown keys \\['max_order'\\].*max_order_btc"),
        ({"warn_fraction": 0.95}, "warn_fraction <= leave_fraction"),
        ({"warn_fraction": 0.0}, "warn_fraction"),
        ({"leave_fraction": 1.1}, "between 0 and 1"),
        ({"cancel_reserve": 1.0}, "below 1"),
        ({"min_dwell_s": inf}, "never be left"),
        ({"stuck_query_s": 6.0}, "stuck_query_s at or below stuck_halt_s"),
        ({"reconcile_every_s": 30.0}, "reconcile_every_s"),
        ({"restricted": "BTC"}, "list of names"),
        ({"restricted": [1]}, "names in restricted"),
        ({"max_order_contracts": 3}, "max_order_contracts"),
        ({"max_order_contracts": {"option": nan}}, "max_order_contracts.option"),
        ({"underlying_limits": {"BTC": {"delta": 1.0}}}, "underlying_limits.BTC lacks.*gamma_1pct"),
        ({"underlying_limits": {"BTC": {"deltas": 1.0}}}, "unknown keys \\['deltas'\\].*allowed are"),
        ({"underlying_limits": {"BTC": 1.0}}, "expected a table"),
        ({"underlying_limits": 1.0}, "expected tables by name"),
        ({"fill_limits": {"BTC": {"delta": -1.0}}}, "delta"),
        ({"daily_loss": {"reduce": 0.1}}, "halt at or above reduce"),
        ({"daily_loss": {"reduce": nan}}, "reduce"),
        ({"daily_loss": 0.1}, "expected a table"),
    ],
)
def test_wrong_settings_are_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message):
        ControlSettings.from_mapping(values)


@pytest.mark.parametrize(
    "values", [{"underlying_limits": {"BTC": 1.0}}, {"daily_loss": 0.1}, {"fill_limits": 1.0}]
)
def test_wrong_types_are_refused(values):
    with pytest.raises(ConfigError, match="expected"):
        ControlSettings(**values)


def test_settings_travel():
    s = ControlSettings.from_mapping(tomllib.loads(TOML))
    assert pickle.loads(pickle.dumps(s)) == s
    assert copy.deepcopy(s) == s


def test_orders_come_in_decimals_and_working_ones_fit_their_intent():
    with pytest.raises(DataError, match="Decimal"):
        OrderIntent(client_id="b", instrument=CALL, quantity=1.0, price=None, unit=CALL_UNIT)
    for left in ("1.1", "-0.1", "NaN"):
        with pytest.raises(DataError, match="remaining"):
            WorkingOrder(intent=order(), remaining=Decimal(left))
