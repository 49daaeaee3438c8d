"""Contract files with mistakes in them."""

import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.market.contracts import specs

GOOD = {
    "settlement": "coin",
    "multiplier": "1",
    "lot": "0.1",
    "min_size": "0.1",
    "ticks": [["0", "0.0001"]],
}


def load(monkeypatch, document):
    monkeypatch.setattr(specs, "_document", lambda venue: {"as_of": "2026-01-01", **document})
    return specs.load_contracts.__wrapped__("test")


def test_own_values_overrule_defaults(monkeypatch):
    contracts = load(monkeypatch, {"defaults": {"option": GOOD}, "option": {"BTC": {}, "ETH": {"lot": "1"}}})
    lots = {coin: str(spec.lot) for (_, coin), spec in contracts.specs.items()}
    assert lots == {"BTC": "0.1", "ETH": "1"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"lot": "many"},
        {"settlement": "shells"},
        {"ticks": "0.1"},
        {"ticks": [["1", "0.1"]]},
        {"settlement": "usd"},
    ],
)
def test_wrong_values_name_the_place(monkeypatch, wrong):
    with pytest.raises(ConfigError):
        load(monkeypatch, {"option": {"BTC": GOOD | wrong}})


@pytest.mark.parametrize("document", [{"option": 5}, {"option": {"BTC": 5}}, {"swaption": {"BTC": GOOD}}])
def test_wrong_tables(monkeypatch, document):
    with pytest.raises(ConfigError):
        load(monkeypatch, document)
