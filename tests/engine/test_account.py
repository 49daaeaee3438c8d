from decimal import Decimal

import pytest

from ivhedge.core.money import Money
from ivhedge.engine.account import Account, SettlementLookup
from ivhedge.engine.board import QuoteBoard
from ivhedge.hedge import CostModel
from ivhedge.ledger import load_fees
from ivhedge.market import instrument_from_name
from ivhedge.surface import fit_surface


def test_unrealised_profit_of_an_inverse_future_is_coin_like_the_cash(looks):
    perpetual = instrument_from_name("aurora", "BTC-PERPETUAL")
    boards = [
        QuoteBoard.of([look], {"BTC": fit_surface(look.chain, futures=look.futures).published()})
        for look in looks[:2]
    ]
    account = Account("a", CostModel(fees={"aurora": load_fees("aurora")}))
    account.deposit(boards[0].ts_ns, Money.from_exact(Decimal(10), perpetual.settle_currency))
    account.advance(boards[0], SettlementLookup({}), {})
    fill = account.trade(perpetual, Decimal(-500), boards[0], "hedge", "").fill_price
    account.advance(boards[1], SettlementLookup({}), {perpetual.key: 0.0})
    (worth,) = account.worth().cash
    (cash,) = account.book().cash
    mark = boards[1].rows[perpetual.key].mark
    assert mark != float(fill)
    unrealised = -500 * float(perpetual.multiplier) * (1 / float(fill) - 1 / mark)
    assert (worth - cash).to_float() == pytest.approx(unrealised, abs=2e-8)
