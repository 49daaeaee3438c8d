from types import SimpleNamespace

import numpy as np
import pytest

from ivhedge.app.showcase import showcase_book, showcase_policies
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.engine import ReplayConfig, SettlementPrices, replay
from ivhedge.market.simulator import BTC, SimulationConfig, simulate_market


@pytest.fixture(scope="session")
def market():
    """Three days of one coin on the five simulated venues, every six hours; dailies expire inside."""
    config = SimulationConfig(n_snapshots=12, step_ns=6 * NS_PER_HOUR, assets=(BTC,))
    return simulate_market(config, np.random.default_rng(11))


@pytest.fixture(scope="session")
def looks(market):
    return list(market.snapshots())


@pytest.fixture(scope="session")
def settlements(market):
    return SettlementPrices.from_table(market.settlements)


@pytest.fixture(scope="session")
def setting(looks, settlements):
    """Everything a replay takes, and one result of it."""
    config = ReplayConfig(name="test", config={"seed": 11})
    book, policies = showcase_book(), showcase_policies()
    result = replay(looks, book, policies, config, settlements=settlements, seed=11)
    return SimpleNamespace(
        looks=looks, book=book, policies=policies, config=config, settlements=settlements, result=result
    )
