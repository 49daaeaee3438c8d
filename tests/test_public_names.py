"""The names that users and later work rely on, room by room."""

import importlib

import pytest

PUBLIC = {
    "pricing": [
        "COIN_GREEK_NAMES",
        "GREEK_NAMES",
        "IvStatus",
        "ScenarioGrid",
        "black76_greeks",
        "black76_price",
        "coin_greeks",
        "coin_price",
        "gamma_1pct",
        "implied_vol",
        "scenario_grid",
        "set_threads",
        "theta_per_day",
        "threads",
        "usd_price",
        "vega_per_vol_point",
        "warmup",
    ],
    "market": [
        "CHAIN_SCHEMA",
        "FORMATS",
        "FUTURES_SCHEMA",
        "CleanedChain",
        "CleaningRules",
        "DropReason",
        "FairStatus",
        "ForwardCurve",
        "ForwardMethod",
        "ForwardSettings",
        "ForwardStatus",
        "MarketSnapshot",
        "MidBiasSettings",
        "QuoteSettings",
        "QuoteStatus",
        "QuoteVols",
        "StablePrice",
        "UnbiasedMids",
        "clean_chain",
        "conform",
        "estimate_forwards",
        "instrument_from_name",
        "instruments_of",
        "known_venues",
        "load_contracts",
        "quote_vols",
        "read_chains",
        "read_futures",
        "snapshots",
        "unbiased_mids",
    ],
    "surface": [
        "SETTLEMENT_WINDOW_NS",
        "ArbitrageCertificate",
        "AtmConvention",
        "AveragedTerms",
        "Calibration",
        "ClockEstimate",
        "ClockEvent",
        "DeltaConvention",
        "DifferentiableSurface",
        "EssviSurface",
        "FitReport",
        "FitSettings",
        "FlexibleFit",
        "FlexibleSettings",
        "FlexibleSurface",
        "PackedQuotes",
        "QuoteBounds",
        "RobustSettings",
        "SelectionRules",
        "SkewStickiness",
        "SkewStickinessEstimate",
        "SmileRule",
        "StickyMoneyness",
        "StickyStrike",
        "SurfaceFit",
        "SurfaceModel",
        "VarianceClock",
        "Violation",
        "VolSurface",
        "atm_vols",
        "averaged_price",
        "averaged_terms",
        "averaged_total_variance",
        "calibrate_essvi",
        "certify",
        "combine_estimates",
        "density_factor",
        "essvi_derivatives",
        "essvi_total_variance",
        "estimate_implied_clock",
        "estimate_realised_clock",
        "estimate_skew_stickiness",
        "fit_flexible",
        "fit_surface",
        "fixed_strike_vol_slope",
        "flexible_quotes",
        "forward_variance",
        "local_variance",
        "local_vol",
        "log_density",
        "minimum_variance_delta",
        "move_surface",
        "probability_below",
        "quantile",
        "risk_neutral_moments",
        "select_quotes",
        "smile_table",
        "strikes_of_delta",
        "variance_swap_rate",
        "w_transform_variance",
    ],
    "ledger": [
        "Book",
        "Entry",
        "EntryKind",
        "Equity",
        "ExpiryPeriod",
        "FeeRule",
        "FeeSchedule",
        "Fill",
        "FundingDue",
        "FundingRule",
        "FundingStyle",
        "Journal",
        "Ledger",
        "Liquidity",
        "MoneyProof",
        "Position",
        "VenueProfile",
        "available_venues",
        "blended_settlement_price",
        "delivery_fee",
        "exact_decimal",
        "expiry_period",
        "funding_payment",
        "load_fees",
        "load_funding_rule",
        "load_profile",
        "option_payoff",
        "parse_profile",
        "rebuild",
        "settlement_value",
        "time_weighted_price",
        "trade_fee",
    ],
    "risk": [
        "EXPOSURE_NAMES",
        "Attribution",
        "Exposures",
        "LegStatus",
        "MarkStatus",
        "OptionMarks",
        "SmileDynamics",
        "SpotVolMatrix",
        "VolShock",
        "attribute_futures",
        "attribute_options",
        "attribute_path",
        "exposures",
        "mark_options",
        "spot_vol_matrix",
    ],
    "hedge": [
        "DEFAULT_HALF_SPREAD_BPS",
        "AlwaysTrigger",
        "AnyTrigger",
        "Band",
        "BandTrigger",
        "CostModel",
        "Decision",
        "FactorChange",
        "Factors",
        "HedgeLimits",
        "HedgeMarket",
        "HedgePlan",
        "HedgeState",
        "InstrumentRules",
        "IntervalTrigger",
        "Numeraire",
        "PlanLeg",
        "PlanStatus",
        "Quote",
        "RiskModel",
        "SolverInfo",
        "SolverStatus",
        "TenorBand",
        "TradeCost",
        "Trigger",
        "UnitCost",
        "hedge_market",
        "plan_hedge",
    ],
    "engine": [
        "BacktestResult",
        "BookSpec",
        "HoldingSpec",
        "PolicyKind",
        "PolicyResult",
        "PolicySpec",
        "ReplayConfig",
        "SettlementPrices",
        "StructureKind",
        "StructureSpec",
        "VegaBucket",
        "replay",
    ],
    "report": [
        "FitDrawing",
        "FitView",
        "backtest_tables",
        "exposure_tables",
        "fit_figure",
        "fit_tables",
        "frame_table",
        "load_result",
        "plan_tables",
        "render_fit_html",
        "render_html",
        "require_matplotlib",
        "result_to_dict",
        "save_result",
        "spot_vol_table",
        "write_fit_png",
        "write_fit_report",
        "write_report",
    ],
}
"""Sorted as the linter sorts: constants, classes, functions. A change here is a change of the interface."""

PROMISED = {
    "pricing": {"black76_price", "implied_vol", "black76_greeks"},
    "market": {"read_chains", "snapshots"},
    "surface": {"fit_surface"},
    "hedge": {"plan_hedge"},
    "engine": {"replay"},
}


def _rank(name):
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("room", PUBLIC)
def test_the_public_names_are_pinned(room):
    module = importlib.import_module(f"ivhedge.{room}")
    assert module.__all__ == PUBLIC[room]


@pytest.mark.parametrize("room", PUBLIC)
def test_the_public_names_are_sorted_and_there(room):
    module = importlib.import_module(f"ivhedge.{room}")
    names = list(module.__all__)
    assert names == sorted(set(names), key=_rank)
    assert [name for name in names if not hasattr(module, name)] == []
    assert PROMISED.get(room, set()) <= set(names)


@pytest.mark.parametrize("room", PUBLIC)
def test_every_public_function_and_class_is_described(room):
    module = importlib.import_module(f"ivhedge.{room}")
    things = [getattr(module, name) for name in module.__all__]
    assert [t.__name__ for t in things if callable(t) and not (getattr(t, "__doc__", "") or "").strip()] == []


def test_a_fit_gives_what_was_promised():
    from ivhedge.surface import EssviSurface, SurfaceFit

    assert {"surface", "report", "certificate"} <= set(SurfaceFit.__dataclass_fields__)
    for name in ("implied_vol", "total_variance", "forward", "expiries"):
        assert hasattr(EssviSurface, name)


def test_argument_orders_that_were_promised():
    import inspect

    from ivhedge.pricing import black76_greeks, black76_price, implied_vol

    order = ["forward", "strike", "tau", "vol", "is_call"]
    assert list(inspect.signature(black76_price).parameters) == [*order, "out"]
    assert list(inspect.signature(black76_greeks).parameters)[:5] == order
    assert list(inspect.signature(implied_vol).parameters) == [
        "price",
        "forward",
        "strike",
        "tau",
        "is_call",
        "numeraire",
        "out",
        "return_status",
    ]
