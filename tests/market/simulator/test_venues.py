from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, UnknownInstrument
from ivhedge.core.instruments import InstrumentKind, Rounding, Settlement, TickLadder
from ivhedge.market.simulator import DEFAULT_VENUES, Outage, OutageMode, SimulationConfig, VenueProfile
from ivhedge.market.simulator.status import basis_path, outage_modes
from ivhedge.market.simulator.streams import Streams
from ivhedge.market.simulator.venues import round_to_ticks

COIN = TickLadder.of(("0", "0.0001"), ("0.005", "0.0005"))


@given(units=st.integers(0, 20_000_000), up=st.booleans())
def test_rounding_agrees_with_exact_decimals(units, up):
    price = Decimal(units) / 10**7
    exact = COIN.round(price, Rounding.UP if up else Rounding.DOWN)
    assert round_to_ticks(np.array([float(price)]), COIN, up=up)[0] == float(exact)


def test_default_venues_are_the_five_and_agree_with_their_contracts():
    assert [v.name for v in DEFAULT_VENUES] == ["aurora", "borealis", "cirrus", "dune", "ember"]
    for venue in DEFAULT_VENUES:
        for coin in ("BTC", "ETH"):
            assert venue.spec(InstrumentKind.OPTION, coin).settlement is venue.settlement
    anchor = DEFAULT_VENUES[0]
    assert (anchor.level_bias, anchor.slope_bias, anchor.index_basis) == (0.0, 0.0, 0.0)
    assert anchor.spec(InstrumentKind.OPTION, "BTC").ticks == COIN
    assert DEFAULT_VENUES[3].spec(InstrumentKind.OPTION, "BTC").ticks == TickLadder.flat("5")


@pytest.mark.parametrize(
    "change",
    [
        {"stale_probability": 1.5},
        {"missing_side_probability": -0.1},
        {"skew_noise": 1.0},
        {"half_spread": 0.0},
    ],
)
def test_bad_profiles_are_refused(change):
    with pytest.raises(ConfigError, match="aurora"):
        VenueProfile(name="aurora", settlement=Settlement.COIN, **change)


def test_bad_configurations_are_refused():
    aurora = DEFAULT_VENUES[0]
    with pytest.raises(ConfigError, match="different names"):
        SimulationConfig(venues=(aurora, aurora))
    with pytest.raises(ConfigError, match="settle"):
        SimulationConfig(venues=(VenueProfile(name="aurora", settlement=Settlement.USD),))
    with pytest.raises(UnknownInstrument, match="zephyr"):
        SimulationConfig(venues=(VenueProfile(name="zephyr", settlement=Settlement.USD),))
    with pytest.raises(ConfigError, match="positive"):
        SimulationConfig(n_snapshots=0)
    with pytest.raises(ConfigError, match="divides"):
        SimulationConfig(step_ns=7 * 10**9 + 1, path_step_ns=10**9)
    with pytest.raises(ConfigError, match="30 minutes"):
        SimulationConfig(path_step_ns=3_600 * 10**9)
    with pytest.raises(ConfigError, match="outage"):
        Outage(start_ns=5, end_ns=5)


def test_random_outages_have_the_share_asked_for():
    profile = VenueProfile(
        name="ember", settlement=Settlement.USD, outage_probability=0.1, outage_mean_snapshots=4.0
    )
    modes = outage_modes(profile, np.arange(8_000), Streams((1, 2)))
    down = np.mean([mode is not None for mode in modes])
    # mean up time 10 snapshots, mean down time 4
    assert down == pytest.approx(4.0 / 14.0, abs=0.04)
    assert {OutageMode.FROZEN, OutageMode.ABSENT, None} == set(modes)


def test_index_basis_keeps_its_mean_and_width():
    dune = DEFAULT_VENUES[3]
    path = basis_path(dune, np.arange(20_000), 6 * 3_600 * 10**9, Streams((1, 2)))
    assert path.mean() == pytest.approx(dune.index_basis, abs=5e-5)
    assert path.std() == pytest.approx(dune.index_basis_std, rel=0.1)


def test_streams_depend_on_names_only():
    streams = Streams((3, 4))
    assert streams.generator("a", 1).random() == streams.generator("a", 1).random()
    assert streams.generator("a", 1).random() != streams.generator("b", 1).random()
    keys = (np.arange(50_000), np.arange(50_000) // 7)
    uniform = streams.uniforms("u", keys=keys)
    assert np.array_equal(uniform[:10], streams.uniforms("u", keys=(keys[0][:10], keys[1][:10])))
    assert uniform.mean() == pytest.approx(0.5, abs=0.006)
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.02
    assert 0.0 < uniform.min() < uniform.max() < 1.0
