"""Ten thousand fills of an inverse perpetual that is never flat, each at its own price."""

import time
from decimal import Decimal

from ivhedge.core import Money
from ivhedge.ledger import Fill, Ledger, Liquidity

from .conftest import START, make_future


def test_ten_thousand_fills() -> None:
    perp, ledger = make_future(), Ledger()
    fee = Money(1, perp.settle_currency)
    fills = [
        Fill(
            ts_ns=START + i,
            instrument=perp,
            quantity=Decimal(3 + i % 7 if i % 3 else -(5 + i % 5)),
            price=Decimal(200_001 + 2 * i) / 2,
            liquidity=Liquidity.TAKER,
            fee=fee,
            fill_id=str(i),
        )
        for i in range(10_000)
    ]
    begin = time.process_time()
    for fill in fills:
        ledger.fill(fill)
    taken = time.process_time() - begin
    begin = time.process_time()
    ledger.verify({perp.key: Decimal(100_000)})
    proven = time.process_time() - begin
    print(f"10,000 fills {taken:.3f} s, proof {proven:.3f} s")
    # Budget 1 s each; three times that, so that a busy machine does not fail the suite.
    assert taken < 3.0
    assert proven < 3.0
