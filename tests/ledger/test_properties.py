"""Random trading over mixed instruments: money is conserved exactly, whatever happens."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core import CURRENCIES, NS_PER_HOUR, Instrument, InstrumentKind, Money, currency
from ivhedge.ledger import Entry, EntryKind, Fill, Journal, Ledger, Liquidity, load_fees, rebuild, trade_fee
from ivhedge.ledger.exact import GRAINS_PER_UNIT
from ivhedge.ledger.valuation import contract_value

from .conftest import MONTHLY, START, make_future, make_option

D = Decimal
OKX_CALL = make_option(venue="okx", multiplier="0.01", lot="1")
INSTRUMENTS = (
    make_option("100000"),
    make_option("90000", call=False),
    OKX_CALL,
    make_option("100000", settle="USDC"),
    make_option("3000", settle="ETH", underlying="ETH", lot="1"),
    make_future(),
    make_future(settle="USDT", venue="bybit", multiplier="1", lot="0.001", tick="0.1"),
    make_future(expiry="2026-01-30T08:00Z"),
    make_future(expiry="2026-01-30T08:00Z", settle="USDT", venue="dune", multiplier="0.1", tick="0.1"),
)
BY_KEY = {instrument.key: instrument for instrument in INSTRUMENTS}
INDEX = {"BTC": D("97123.45"), "ETH": D("3217.7")}


def _price(instrument: Instrument, level: int) -> Decimal:
    if instrument.is_option and instrument.is_inverse:
        return D("0.0001") * level if level < 50 else D("0.0005") * level
    if instrument.is_option:
        return D("0.1") * level
    return 50_000 + instrument.ticks.tick_at(D(50_000)) * level


def _quantity(instrument: Instrument, lots: int) -> Decimal:
    return instrument.lot * lots


@st.composite
def histories(draw: st.DrawFn) -> Ledger:
    """A ledger after random fills, fundings, deposits and, for some, settlements."""
    ledger, now = Ledger(), START
    ledger.deposit(now, Money(draw(st.integers(1, 10**12)), currency("BTC")))
    steps = st.tuples(
        st.sampled_from(INSTRUMENTS),
        st.integers(-40, 40).filter(bool),
        st.integers(1, 400),
        st.integers(0, 10) | st.integers(0, 5 * NS_PER_HOUR),
        st.integers(-300, 300),
        st.sampled_from(Liquidity),
    )
    for instrument, lots, level, wait, rate, liquidity in draw(st.lists(steps, max_size=25)):
        now += wait
        _accrue(ledger, now, D(rate).scaleb(-6))
        price, quantity = _price(instrument, level), _quantity(instrument, lots)
        fees = load_fees(instrument.venue)
        fee = trade_fee(fees, instrument, price, quantity, INDEX[instrument.underlying], liquidity)
        ledger.fill(
            Fill(
                ts_ns=now, instrument=instrument, quantity=quantity, price=price, liquidity=liquidity, fee=fee
            )
        )
    return ledger


def _accrue(ledger: Ledger, now: int, rate: Decimal) -> None:
    while due := ledger.funding_due(now):
        item = due[0]
        index = INDEX[item.instrument.underlying]
        ledger.funding(now, item.instrument, rate_8h=rate, index_price=index, through_ns=item.due_ns)


def _settle_and_close(ledger: Ledger, price: Decimal) -> None:
    now = ledger.entries[-1].ts_ns
    for position in tuple(ledger.positions.values()):
        if position.instrument.kind is InstrumentKind.PERPETUAL:
            ledger.fill(
                Fill(
                    ts_ns=now,
                    instrument=position.instrument,
                    quantity=-position.quantity,
                    price=D(60_000),
                    liquidity=Liquidity.TAKER,
                    fee=Money.zero(position.instrument.settle_currency),
                )
            )
    for position in tuple(ledger.positions.values()):
        ledger.settle(
            MONTHLY, position.instrument, price, fee=Money.zero(position.instrument.settle_currency)
        )
    _accrue(ledger, MONTHLY, D("0.0001"))


marks_of = st.fixed_dictionaries(
    {key: st.integers(1, 500).map(lambda n, i=instrument: _price(i, n)) for key, instrument in BY_KEY.items()}
)


@given(histories(), marks_of)
@settings(max_examples=60)
def test_money_is_conserved_to_the_grain(ledger: Ledger, marks: Mapping[str, Decimal]) -> None:
    proofs = ledger.verify(marks)
    for code, equity in ledger.equity(marks).items():
        proof = proofs[code]
        assert proof.difference == 0
        assert equity.cash.units == sum(m.units for m in proof.by_kind.values())
        unit = Fraction(1, CURRENCIES[code].scale)
        assert abs(equity.total.to_fraction() + proof.residue - proof.flows) <= unit


@given(histories(), marks_of)
@settings(max_examples=60)
def test_the_total_is_the_rational_truth(ledger: Ledger, marks: Mapping[str, Decimal]) -> None:
    """Against sums of exact fractions: grains are off by half a grain per rounding at most."""
    proofs = ledger.verify(marks)
    truth = dict.fromkeys(proofs, Fraction(0))
    held: dict[str, Fraction] = {}
    for entry in ledger.entries:
        code = entry.amount.currency.code
        if entry.kind in (EntryKind.PREMIUM, EntryKind.REALISED_PNL):
            assert entry.quantity is not None
            assert entry.price is not None
            truth[code] -= contract_value(BY_KEY[entry.key], entry.price) * Fraction(entry.quantity)
            held[entry.key] = held.get(entry.key, Fraction(0)) + Fraction(entry.quantity)
        elif entry.kind is not EntryKind.FUNDING:
            truth[code] += entry.amount.to_fraction()
    for key, quantity in held.items():
        truth[BY_KEY[key].settle_currency.code] += contract_value(BY_KEY[key], marks[key]) * quantity
    funding = sum(1 for e in ledger.entries if e.kind is EntryKind.FUNDING)
    for code, proof in proofs.items():
        scale = CURRENCIES[code].scale
        roundings = Fraction(len(ledger.entries) + len(held), 2)
        posted = proof.by_kind[EntryKind.FUNDING].to_fraction()
        allowed = roundings / (scale * GRAINS_PER_UNIT) + Fraction(funding, 2 * scale)
        assert abs(proof.flows - truth[code] - posted) <= allowed


@given(histories(), st.integers(1, 300_000))
@settings(max_examples=60)
def test_closing_everything_leaves_the_flows_as_cash(ledger: Ledger, price: int) -> None:
    _settle_and_close(ledger, D(price))
    assert ledger.positions == {}
    proofs = ledger.verify({})
    for code, cash in ledger.cash.items():
        assert cash.units == sum(e.amount.units for e in ledger.entries if e.amount.currency.code == code)
        assert cash.to_fraction() + ledger.residue.get(code, Fraction(0)) == proofs[code].flows
        assert ledger.equity({})[code].total == cash


@given(histories())
@settings(max_examples=40)
def test_a_journal_rebuilds_the_same_books(ledger: Ledger) -> None:
    journal = Journal.from_json_lines(ledger.journal.to_json_lines())
    again = rebuild(journal, BY_KEY)
    assert again.entries == ledger.entries
    assert (again.cash, again.residue, again.positions) == (ledger.cash, ledger.residue, ledger.positions)
    assert again.average_prices == ledger.average_prices


@given(
    st.lists(
        st.tuples(st.sampled_from(INSTRUMENTS), st.integers(-9, 9).filter(bool), st.integers(1, 400)),
        max_size=12,
    ),
    st.randoms(),
    marks_of,
)
@settings(max_examples=40)
def test_the_order_of_fills_at_one_time_does_not_change_the_worth(
    trades: list[tuple[Instrument, int, int]], random: Random, marks: Mapping[str, Decimal]
) -> None:
    shuffled = list(trades)
    random.shuffle(shuffled)
    flows = []
    for order in (trades, shuffled):
        ledger = Ledger()
        for instrument, lots, level in order:
            ledger.fill(
                Fill(
                    ts_ns=START,
                    instrument=instrument,
                    quantity=_quantity(instrument, lots),
                    price=_price(instrument, level),
                    liquidity=Liquidity.MAKER,
                    fee=Money.zero(instrument.settle_currency),
                )
            )
        flows.append({code: proof.flows for code, proof in ledger.verify(marks).items()})
    assert flows[0] == flows[1]


def test_a_history_covers_every_kind_of_entry() -> None:
    """The strategy above must be able to make each entry; this pins that the kinds are known."""
    made: set[EntryKind] = set()

    @given(histories())
    @settings(max_examples=30, database=None)
    def collect(ledger: Ledger) -> None:
        entries: tuple[Entry, ...] = ledger.entries
        made.update(entry.kind for entry in entries)

    collect()
    assert made >= {
        EntryKind.DEPOSIT,
        EntryKind.PREMIUM,
        EntryKind.REALISED_PNL,
        EntryKind.TRADE_FEE,
        EntryKind.FUNDING,
    }
