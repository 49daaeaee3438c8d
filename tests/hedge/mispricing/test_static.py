"""Static arbitrage: planted ones are found, fair markets give none, every finding pays in the ledger."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.instruments import InstrumentKind
from ivhedge.hedge.mispricing import (
    ArbitrageKind,
    ArbitrageScan,
    OutcomeSettings,
    StaticArbitrage,
    StaticSettings,
    executable_offers,
    outcomes,
    static_arbitrages,
)
from ivhedge.ledger import Liquidity, delivery_fee, load_fees, settlement_value, trade_fee
from ivhedge.market import MarketSnapshot
from tests.hedge.mispricing._market import (
    COSTS,
    FAR,
    INDEX,
    NEAR,
    chain,
    expiry_ns,
    futures,
    moved,
    price,
    snapshot,
)

FREE = StaticSettings(outcome=OutcomeSettings(hurdle=0.0))


def scan(market: MarketSnapshot, rules: StaticSettings | None = None) -> ArbitrageScan:
    return static_arbitrages(executable_offers(market, COSTS), COSTS, settings=rules)


def realised(found: StaticArbitrage, settlement: Decimal, basis: dict[str, Decimal]) -> float:
    """USD at the settlement, by the ledger, with all fees; coins at the settlement price."""
    usd, coins = Fraction(0), Fraction(0)
    for leg in found.legs:
        offer, item = leg.offer, leg.offer.instrument
        assert item.expiry_ns == found.expiry_ns
        here = settlement * (1 + basis.get(item.venue, Decimal(0)))
        quantity = leg.contracts * offer.side
        paid = Decimal(repr(offer.price))
        schedule = COSTS.fees[item.venue]
        fee = trade_fee(schedule, item, paid, quantity, Decimal(str(INDEX)), Liquidity.TAKER)
        out = delivery_fee(schedule, item, quantity, here)
        if item.is_option:
            flow = settlement_value(item, quantity, here) - Fraction(quantity * item.multiplier * paid)
        elif item.is_inverse:
            flow = Fraction(quantity * item.multiplier) * (1 / Fraction(paid) - 1 / Fraction(here))
        else:
            flow = Fraction(quantity * item.multiplier) * (Fraction(here) - Fraction(paid))
        flow -= Fraction(fee.to_decimal()) + Fraction(out.to_decimal())
        if item.is_inverse:
            coins += flow
        else:
            usd += flow
    return float(usd + coins * Fraction(settlement))


@pytest.mark.parametrize("venues", [("aurora",), ("dune",), ("aurora", "borealis", "dune")])
def test_fair_quotes_hold_no_arbitrage(venues: tuple[str, ...]) -> None:
    found = scan(snapshot(chain(venues), futures(venues)))
    assert found.findings == ()
    assert found.programmes >= 2 * len(venues)


@pytest.mark.parametrize(
    ("venue", "name", "column", "factor"),
    [
        ("dune", f"BTC-{NEAR}-90000-C", "ask", 0.6),
        ("aurora", f"BTC-{NEAR}-90000-C", "ask", 0.6),
        ("dune", f"BTC-{NEAR}-90000-P", "bid", 1.5),
        ("aurora", f"BTC-{FAR}-95000-C", "bid", 1.6),
    ],
)
def test_a_moved_quote_is_found_and_pays_at_every_settlement(
    venue: str, name: str, column: str, factor: float
) -> None:
    quotes = chain([venue])
    was = price(quotes, venue, name, column)
    quotes = moved(quotes, venue, name, **{column: was * factor, ("bid" if column == "ask" else "ask"): None})
    found = scan(snapshot(quotes, futures([venue])), FREE).findings
    assert any(leg.offer.key == f"{venue}:{name}" for f in found for leg in f.legs)
    for f in found:
        if f.kind is ArbitrageKind.CALENDAR:
            continue
        for s in (1, 20_000, 70_000, 80_000, 85_000, 87_345, 90_000, 91_111, 95_000, 100_000, 250_000, 10**7):
            # Lots are exact, fees are rounded to the smallest unit.
            assert realised(f, Decimal(s), {}) >= f.profit_usd - 1e-3


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    basis=st.floats(-1.0, 1.0),
)
def test_profit_is_certain_for_any_settlement_and_any_index_distance(seed: int, basis: float) -> None:
    rng = np.random.default_rng(seed)
    venues = ["aurora", "borealis", "dune"]
    quotes = chain(venues, half=0.003)
    names = quotes.filter(quotes["venue"] == "aurora")["instrument_name"].to_list()
    for _ in range(3):
        venue, name = str(rng.choice(venues)), str(rng.choice(names))
        side = "ask" if rng.random() < 0.5 else "bid"
        was = price(quotes, venue, name, side)
        other = "bid" if side == "ask" else "ask"
        factor = rng.uniform(0.5, 0.95) if side == "ask" else rng.uniform(1.05, 1.6)
        quotes = moved(quotes, venue, name, **{side: was * factor, other: None})
    limit = OutcomeSettings().index_distance
    wide = {venue: Decimal(str(round(0.499 * limit * basis * s, 9))) for venue, s in
            zip(venues, (1.0, -1.0, 1.0), strict=True)}  # fmt: skip
    for f in scan(snapshot(quotes, futures(venues)), FREE).findings:
        if f.kind is ArbitrageKind.CALENDAR:
            continue
        bases = wide if len(f.venues) > 1 else {}
        for s in rng.uniform(1_000.0, 300_000.0, 12):
            assert realised(f, Decimal(str(round(s, 2))), bases) >= f.profit_usd - 1e-3


def test_sizes_and_lots_are_kept_and_not_used_twice() -> None:
    quotes = chain(["aurora", "borealis"])
    name = f"BTC-{NEAR}-90000-C"
    quotes = moved(quotes, "aurora", name, ask=0.03, bid=None, ask_size=0.3)
    found = scan(snapshot(quotes, futures(["aurora", "borealis"]))).findings
    used: dict[tuple[str, int], Decimal] = {}
    for f in found:
        for leg in f.legs:
            item = leg.offer.instrument
            assert leg.contracts % item.lot == 0
            assert leg.contracts >= item.min_size
            place = (leg.offer.key, leg.offer.side)
            used[place] = used.get(place, Decimal(0)) + leg.contracts
            assert float(used[place]) <= leg.offer.contracts * (1 + 1e-12)
    assert used[f"aurora:{name}", 1] == Decimal("0.3")


def test_same_contract_dearer_elsewhere() -> None:
    quotes = chain(["aurora", "borealis"], half=0.002)
    name = f"BTC-{NEAR}-95000-C"
    ask = price(quotes, "borealis", name, "ask")
    quotes = moved(quotes, "aurora", name, bid=ask + 0.006, ask=ask + 0.008)
    found = scan(snapshot(quotes)).findings
    assert any(set(f.venues) == {"aurora", "borealis"} for f in found)
    alone = scan(snapshot(quotes), StaticSettings(across_venues=False)).findings
    assert all(len(f.venues) == 1 for f in alone)
    # The distance of two settlement prices eats it up when it may be large.
    far = StaticSettings(outcome=OutcomeSettings(index_distance=0.05))
    assert not any(len(f.venues) > 1 for f in scan(snapshot(quotes), far).findings)


def test_a_later_option_below_an_earlier_one_is_a_calendar() -> None:
    quotes = chain(["dune"], strikes=(90_000,)).filter(pl.col("is_call"))
    near, far = f"BTC-{NEAR}-90000-C", f"BTC-{FAR}-90000-C"
    cheap = price(quotes, "dune", near, "bid") - 1_500.0
    quotes = moved(quotes, "dune", far, ask=cheap, bid=None)
    calm = OutcomeSettings(carry_low=0.0, carry_high=0.2)
    found = scan(snapshot(quotes), StaticSettings(outcome=calm)).findings
    assert any(f.kind is ArbitrageKind.CALENDAR and f.expiry_ns == expiry_ns(NEAR) for f in found)
    none = scan(snapshot(quotes), StaticSettings(outcome=calm, calendar_expiries=0)).findings
    assert not any(f.kind is ArbitrageKind.CALENDAR for f in none)
    # A call's least value falls with the carry that may come.
    backward = StaticSettings(outcome=OutcomeSettings(carry_low=-0.9, carry_high=0.2))
    gain = sum(f.profit_usd for f in found)
    assert sum(f.profit_usd for f in scan(snapshot(quotes), backward).findings) < gain


def test_costs_decide() -> None:
    quotes = chain(["dune"], half=0.0)
    name = f"BTC-{NEAR}-90000-C"
    was = price(quotes, "dune", name, "ask")
    for gap, worth in ((20.0, False), (400.0, True)):
        low = moved(quotes, "dune", name, ask=was - gap, bid=None)
        assert bool(scan(snapshot(low, futures(["dune"], half=0.0))).findings) is worth


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"ask": None}, "no_price"),
        ({"bid": 0.9, "ask": 0.1}, "crossed"),
        ({"ask_size": 0.0}, "no_size"),
        ({"ask": float("nan")}, "no_price"),
    ],
)
def test_what_cannot_be_traded_is_counted(columns: dict[str, float | None], reason: str) -> None:
    quotes = moved(chain(["aurora"]), "aurora", f"BTC-{NEAR}-90000-C", **columns)
    offers = executable_offers(snapshot(quotes), COSTS)
    assert offers.excluded["aurora"][reason] >= 1
    assert len(offers.offers) + sum(offers.excluded["aurora"].values()) == 2 * quotes.height


def test_a_future_without_a_known_delivery_fee_is_not_certain() -> None:
    offers = executable_offers(snapshot(chain(["deribit"]), futures(["deribit"])), COSTS).offers
    bare = load_fees("deribit")
    unknown = {
        key: replace(rule, delivery=None) if key[0] is InstrumentKind.FUTURE else rule
        for key, rule in bare.rules.items()
    }
    fees = {"deribit": replace(bare, rules=unknown, by_period={})}
    found = outcomes(
        offers, expiry_ns(NEAR), ts_ns=snapshot(chain(["deribit"])).ts_ns, index=INDEX, fees=fees,
        settings=OutcomeSettings(), one_index=True,
    )  # fmt: skip
    reasons = {o.instrument.kind: r for o, r in zip(offers, found.reason, strict=True)
               if o.instrument.expiry_ns == expiry_ns(NEAR)}  # fmt: skip
    assert reasons[InstrumentKind.FUTURE] == "no_delivery_fee"
    assert reasons[InstrumentKind.OPTION] == ""
