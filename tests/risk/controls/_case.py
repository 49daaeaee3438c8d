"""A sound book, market and order; tests break one thing at a time."""

from dataclasses import replace
from decimal import Decimal

from ivhedge.core.instruments import Instrument, InstrumentKind, Settlement, TickLadder
from ivhedge.core.money import Currency
from ivhedge.core.units import NS_PER_DAY, NS_PER_SECOND
from ivhedge.risk.controls import (
    AuditState,
    ControlSettings,
    ControlState,
    ExplainState,
    Exposure,
    ExposureLimits,
    FillLimits,
    InstrumentState,
    KillSwitch,
    MarginChange,
    MarginState,
    Mode,
    OrderIntent,
    PnlState,
    RateState,
    Reconciliation,
    Scope,
    TradingState,
    UnderlyingState,
    VenueRules,
    VenueState,
    WorkingOrders,
)

D = Decimal
S = NS_PER_SECOND
NOW = 20_000 * NS_PER_DAY
BTC = Currency("BTC", 8)
CALL = Instrument(
    name="BTC-5DEC-100000-C",
    venue="deribit",
    underlying="BTC",
    kind=InstrumentKind.OPTION,
    settlement=Settlement.COIN,
    settle_currency=BTC,
    multiplier=D(1),
    lot=D("0.1"),
    min_size=D("0.1"),
    ticks=TickLadder.of(("0", "0.0001"), ("0.005", "0.0005")),
    expiry_ns=NOW + 13 * NS_PER_DAY,
    strike=D(100_000),
    is_call=True,
)
PERP = Instrument(
    name="BTC-PERPETUAL",
    venue="deribit",
    underlying="BTC",
    kind=InstrumentKind.PERPETUAL,
    settlement=Settlement.COIN,
    settle_currency=BTC,
    multiplier=D(10),
    lot=D(1),
    min_size=D(1),
    ticks=TickLadder.flat("0.5"),
)
CALL_UNIT = Exposure(delta=0.4, gamma_1pct=0.02, vega_usd_per_vol_point=60.0, theta_usd_per_day=-80.0)
PERP_UNIT = Exposure(delta=1e-4)
NO_MARGIN = MarginChange(
    currency="BTC", initial=0.0, equity=0.0, stressed_maintenance=0.0, stressed_equity=0.0
)
WIDE = VenueRules(lowest_price=D(0), highest_price=D("inf"), max_contracts=D("inf"))
UNDERLYING = Scope("BTC")


def settings(**changes):
    base = {
        "underlying_limits": {
            "BTC": ExposureLimits(
                delta=10.0, gamma_1pct=1.0, vega_usd_per_vol_point=2_000.0, theta_usd_per_day=3_000.0
            )
        },
        "fill_limits": {"*": FillLimits(quantity_coin=5.0, delta=2.0, vega_usd_per_vol_point=500.0)},
        "max_venue_share": 1.0,
    }
    return ControlSettings(**(base | changes))


def market(instrument=CALL):
    if instrument.is_option:
        return InstrumentState(
            ts_ns=NOW,
            bid=0.0395,
            ask=0.0405,
            mark=0.04,
            own_price=0.04,
            price_per_vol_point=0.001,
            depth=100.0,
            rules=WIDE,
        )
    return InstrumentState(
        ts_ns=NOW, bid=99_990.0, ask=100_010.0, mark=100_000.0, depth=500_000.0, rules=WIDE
    )


def venue(**changes):
    base = VenueState(
        margin=(
            MarginState(
                ts_ns=NOW,
                currency="BTC",
                equity=10.0,
                initial=3.0,
                stressed_equity=8.0,
                stressed_maintenance=2.0,
            ),
        ),
        rates={"orders": RateState(used=0.0, capacity=100.0)},
        clock_skew_ms=5.0,
        has_dead_man=True,
        dead_man_s=5.0,
        reconciliation=Reconciliation(ts_ns=NOW, matched=True),
        equity_share=0.7,
        adl_rank=0.2,
    )
    return replace(base, **changes)


def coin(**changes):
    base = UnderlyingState(
        index_price_usd=100_000.0,
        index_ns=NOW,
        greeks_ns=NOW,
        surface_ns=NOW,
        unpriced_legs=0,
        funding_cost_usd_per_day=0.0,
    )
    return replace(base, **changes)


def active(ts_ns=NOW):
    return TradingState(mode=Mode.ACTIVE, since_ns=ts_ns, updated_ns=ts_ns)


def in_mode(mode, ts_ns=NOW):
    return TradingState(mode=mode, since_ns=ts_ns, updated_ns=ts_ns)


def state(**changes):
    base = {
        "ts_ns": NOW,
        "trading": active(),
        "instruments": {CALL.key: market(CALL), PERP.key: market(PERP)},
        "underlyings": {"BTC": coin()},
        "venues": {"deribit": venue()},
        "exposures": {UNDERLYING: Exposure(delta=1.0)},
        "positions": {},
        "working": WorkingOrders(),
        "sent": (),
        "executed": (),
        "leg_groups": (),
        "btc_price_usd": 100_000.0,
        "kill_switch": KillSwitch(watcher_seen_ns=NOW),
        "pnl": PnlState(
            ts_ns=NOW,
            equity_usd=1e6,
            day_loss_usd=1e3,
            drawdown_usd=2e3,
            hedge_error_usd=100.0,
            fees_usd=300.0,
        ),
        "explain": ExplainState(ts_ns=NOW, residual_usd=100.0, gross_usd=20_000.0),
        "stablecoin_shares": {"USDC": 0.1},
        "audit": AuditState(chain_verified=True, proof_ns=NOW),
    }
    return ControlState(**(base | changes))


def with_market(instrument=CALL, **changes):
    instruments = {CALL.key: market(CALL), PERP.key: market(PERP)}
    instruments[instrument.key] = replace(instruments[instrument.key], **changes)
    return state(instruments=instruments)


def with_margin(**changes):
    return state(venues={"deribit": venue(margin=(replace(venue().margin[0], **changes),))})


def with_pnl(**changes):
    return state(pnl=replace(state().pnl, **changes))


def order(quantity="1", price="0.04", **changes):
    base = {
        "client_id": "a1",
        "instrument": CALL,
        "quantity": D(quantity),
        "price": D(price) if price is not None else None,
        "unit": CALL_UNIT,
        "margin": NO_MARGIN,
        "cost_usd": 20.0,
    }
    return OrderIntent(**(base | changes))


def perp(quantity="1000", price="100000", **changes):
    return order(quantity, price, **({"instrument": PERP, "unit": PERP_UNIT} | changes))


def found(decision):
    """Control and measure of what blocks."""
    return {(int(b.control), b.measure) for b in decision.blocking}


def warned(decision):
    return {(int(b.control), b.measure) for b in decision.warnings}
