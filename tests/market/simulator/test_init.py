import ivhedge.market.simulator as simulator


def test_public_names_are_pinned_and_exist():
    assert simulator.__all__ == [
        "BTC", "DEFAULT_VENUES", "ETH", "AssetConfig", "BatesParams", "CarryConfig", "CorrelationConfig",
        "ExpiryRule", "Outage", "OutageMode", "RealWorldParams", "SimulatedMarket", "SimulationConfig",
        "StrikeRule", "VenueProfile", "bates_otm_price", "bates_price", "simulate_market",
    ]  # fmt: skip
    assert all(hasattr(simulator, name) for name in simulator.__all__)
