"""A book with trades, fees, funding and a settlement: the explanation adds up to the ledger's profit."""

from decimal import Decimal

import numpy as np
import pytest

from ivhedge.core import NS_PER_HOUR, Money, currency
from ivhedge.ledger import EntryKind, Fill, Ledger, Liquidity
from ivhedge.pricing import black76_price
from ivhedge.risk.attribution import ExplainSettings, Flows, HeldLegs, explain, mark_legs, trading_profit

from .._stub import NOW, StubSurface, option, perpetual

T1 = NOW + 8 * NS_PER_HOUR
BTC, USDC = currency("BTC"), currency("USDC")
SHORT, LONG = option(days=0.25), option(days=30, strike="90000")
DOLLARS, PERP, LINEAR = option(days=7, coin=False), perpetual(), perpetual(coin=False)
HELD = {
    SHORT: Decimal("-1"),
    LONG: Decimal("2"),
    DOLLARS: Decimal("-0.5"),
    PERP: Decimal("-300"),
    LINEAR: Decimal("2000"),
}
SPOTS, SETTLEMENT = (80_000.0, 81_200.0), Decimal("81000.5")


def mark(item, seen):
    if not item.is_option:
        return Decimal(str(seen.spot + 7.5))
    usd = black76_price(seen.spot, float(item.strike), item.tau(seen.ts_ns), seen.level, item.is_call)
    return Decimal(f"{float(usd) / (seen.spot if item.is_inverse else 1.0):.6f}")


@pytest.mark.parametrize("method", ["taylor", "revaluation"])
def test_the_parts_are_the_ledgers_profit_in_every_currency(method):
    first = StubSurface(ts_ns=NOW, spot=SPOTS[0])
    last = StubSurface(ts_ns=T1, spot=SPOTS[1], level=0.53)
    marks = [{i: mark(i, s) for i in HELD if s is first or i is not SHORT} for s in (first, last)]
    ledger = Ledger()
    for unit in (BTC, USDC):
        ledger.deposit(NOW, Money.from_exact(100_000, unit), venue="deribit")
    for item, contracts in HELD.items():
        price = item.ticks.round(marks[0][item])
        ledger.fill(fill(item, contracts, price, NOW, "0"))
    before = ledger.equity({i.key: m for i, m in marks[0].items()}, ts_ns=NOW)
    entries = ledger.next_seq

    ledger.fill(fill(LONG, Decimal("1.5"), Decimal("0.0215"), NOW + NS_PER_HOUR, "0.00045"))
    ledger.fill(fill(PERP, Decimal("100"), Decimal("80500"), NOW + NS_PER_HOUR, "0.000006"))
    ledger.settle(SHORT.expiry_ns, SHORT, SETTLEMENT)
    for item in (PERP, LINEAR):
        ledger.funding(T1, item, rate_8h=Decimal("0.0002"), index_price=Decimal("81000"))
    after = ledger.equity({i.key: m for i, m in marks[1].items()}, ts_ns=T1)

    posted = {kind: np.zeros(len(HELD)) for kind in ("funding", "fees")}
    names = [i.name for i in HELD]
    kinds = {EntryKind.FUNDING: "funding", EntryKind.TRADE_FEE: "fees", EntryKind.DELIVERY_FEE: "fees"}
    for entry in ledger.entries_since(entries):
        if entry.kind in kinds:
            posted[kinds[entry.kind]][names.index(entry.instrument)] += entry.amount.to_float()
    trading = np.zeros(len(HELD))
    trading[1] = trading_profit(1.5, 0.0215, float(marks[1][LONG]))
    trading[3] = trading_profit(1_000.0, 80_500.0, float(marks[1][PERP]), True)
    legs = HeldLegs.of(list(HELD.items()))
    start, end = (
        mark_legs(
            legs,
            ts_ns=seen.ts_ns,
            spot=seen.spot,
            price=[float(known.get(i, "nan")) for i in HELD],
            forward=np.nan,
            surface=seen,
            settlement=float(SETTLEMENT),
        )
        for seen, known in zip((first, last), marks, strict=True)
    )
    done = explain(
        legs, start, end, flows=Flows(trading=trading, **posted), settings=ExplainSettings(method=method)
    )
    totals = {row["currency"]: row for row in done.totals().to_dicts()}
    for code, grain in (("BTC", 1e-8), ("USDC", 1e-6)):
        profit = after[code].total.to_float() - before[code].total.to_float()
        # The ledger rounds each posting and each mark to the smallest unit.
        assert totals[code]["total"] == pytest.approx(profit, abs=8 * grain)
        assert totals[code]["funding"] != 0.0
    assert totals["BTC"]["fees"] == pytest.approx(-0.000456, rel=1e-9)
    assert abs(totals["BTC"]["unexplained"]) < 1e-9
    assert set(done.status) == {"ok", "settled"}


def fill(item, contracts, price, ts_ns, fee):
    return Fill(
        ts_ns=ts_ns,
        instrument=item,
        quantity=contracts,
        price=price,
        liquidity=Liquidity.TAKER,
        fee=Money.from_exact(Decimal(fee), item.settle_currency),
    )
