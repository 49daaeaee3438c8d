"""No sequence of accepted plans, partial fills and cancels takes a book beyond a hard limit."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ivhedge.risk.controls import (
    ExecutedOrder,
    Exposure,
    ExposureLimits,
    MarginChange,
    MarginState,
    Mode,
    Scope,
    WorkingOrder,
    WorkingOrders,
    check_plan,
    check_state,
    closes_position,
)
from tests.risk.controls._case import CALL, NOW, PERP, D, in_mode, market, order, settings, state, venue

PUT = replace(CALL, name="BTC-5DEC-90000-P", is_call=False, strike=D(90_000))
LATE = replace(CALL, name="BTC-26DEC-100000-C", expiry_ns=CALL.expiry_ns + 21 * 86_400 * 10**9)
INSTRUMENTS = (CALL, PUT, LATE, PERP)
UNITS = {
    CALL.key: Exposure(delta=0.4, gamma_1pct=0.03, vega_usd_per_vol_point=60.0, theta_usd_per_day=-80.0),
    PUT.key: Exposure(delta=-0.3, gamma_1pct=0.02, vega_usd_per_vol_point=50.0, theta_usd_per_day=-70.0),
    LATE.key: Exposure(delta=0.5, gamma_1pct=0.01, vega_usd_per_vol_point=110.0, theta_usd_per_day=-40.0),
    PERP.key: Exposure(delta=1e-4),
}
LOT = {CALL.key: D("0.1"), PUT.key: D("0.1"), LATE.key: D("0.1"), PERP.key: D(1000)}
PRICE = {CALL.key: D("0.04"), PUT.key: D("0.04"), LATE.key: D("0.04"), PERP.key: D(100_000)}
MARGIN = {CALL.key: 0.25, PUT.key: 0.2, LATE.key: 0.3, PERP.key: 3e-7}
STRESS_LOSS = {CALL.key: 0.1, PUT.key: -0.2, LATE.key: 0.15, PERP.key: 3e-6}
SCOPES = {i.key: order(instrument=i).scopes for i in INSTRUMENTS}
EQUITY = 3.0
LIMITS = ExposureLimits(delta=2.0, gamma_1pct=0.12, vega_usd_per_vol_point=400.0, theta_usd_per_day=450.0)
TIGHT = ExposureLimits(
    delta=1.2, gamma_1pct=0.1, vega_usd_per_vol_point=300.0, theta_usd_per_day=float("inf")
)
SETTINGS = settings(
    underlying_limits={"BTC": LIMITS},
    expiry_limits={"*": TIGHT},
    venue_limits={"BTC deribit": LIMITS},
    duplicate_window_s=0.0,
    max_order_btc=1e9,
    depth_share=1.0,
    max_same_side_fills=float("inf"),
)
FEW_FILLS = replace(SETTINGS, max_same_side_fills=3.0)


class Desk:
    """A book whose margin adds up over instruments, with fills and cancels at the venue's whim."""

    def __init__(self, offset, mode=Mode.ACTIVE, limits=SETTINGS):
        self.offset, self.mode, self.limits = offset, mode, limits
        self.executed = []
        self.positions = {}
        self.working = []
        self.accepted = self.refused = self.sent = 0
        self.peak = 0.0
        self.start = self.exposures()

    def exposures(self):
        sums = {}
        for instrument in INSTRUMENTS:
            held = float(self.positions.get(instrument.key, 0))
            for scope in SCOPES[instrument.key]:
                mine = sums.setdefault(scope, [0.0] * 4)
                for i, unit in enumerate(UNITS[instrument.key].values):
                    mine[i] += unit * held
        total = sums[Scope("BTC")]
        sums[Scope("BTC")] = [a + b for a, b in zip(total, self.offset, strict=True)]
        return sums

    def account(self):
        held = {i.key: float(self.positions.get(i.key, 0)) for i in INSTRUMENTS}
        initial = sum(MARGIN[k] * abs(x) for k, x in held.items())
        loss = sum(STRESS_LOSS[k] * x for k, x in held.items())
        return MarginState(
            ts_ns=NOW,
            currency="BTC",
            equity=EQUITY,
            initial=initial,
            stressed_equity=EQUITY - loss,
            stressed_maintenance=0.7 * initial,
        )

    def state(self):
        names = ("delta", "gamma_1pct", "vega_usd_per_vol_point", "theta_usd_per_day")
        return state(
            trading=in_mode(self.mode),
            instruments={i.key: market(PERP if i is PERP else CALL) for i in INSTRUMENTS},
            venues={"deribit": venue(margin=(self.account(),))},
            exposures={s: Exposure(**dict(zip(names, v, strict=True))) for s, v in self.exposures().items()},
            positions=dict(self.positions),
            working=WorkingOrders(tuple(self.working)),
            executed=tuple(self.executed),
        )

    def intent(self, which, lots):
        instrument = INSTRUMENTS[which]
        key, quantity = instrument.key, lots * LOT[instrument.key]
        self.sent += 1
        return order(
            instrument=instrument,
            quantity=quantity,
            price=PRICE[key] + (1 if lots < 0 else -1) * instrument.ticks.tick_at(PRICE[key]),
            client_id=f"o{self.sent}",
            unit=UNITS[key],
            cost_usd=0.0,
        )

    def margin_of(self, intent, before, now):
        key, quantity = intent.instrument.key, float(intent.quantity)
        need = -1.0 if closes_position(intent, before, now) else 1.0
        need *= MARGIN[key] * abs(quantity)
        loss = -STRESS_LOSS[key] * quantity
        return MarginChange(
            currency="BTC",
            initial=need,
            equity=0.0,
            stressed_maintenance=0.7 * need,
            stressed_equity=min(loss, 0.0),
        )

    def submit(self, legs):
        now, plan = self.state(), []
        for which, lots in legs:
            intent = self.intent(which, lots)
            plan.append(replace(intent, margin=self.margin_of(intent, plan, now)))
        if check_plan(plan, now, self.limits).allowed:
            self.accepted += 1
            self.working += [WorkingOrder(intent=i, remaining=i.quantity) for i in plan]
        else:
            self.refused += 1

    def fill(self, which, tenths):
        if not self.working:
            return
        at = which % len(self.working)
        resting = self.working[at]
        key = resting.intent.instrument.key
        lots = resting.remaining / LOT[key]
        part = (lots * tenths / 10).to_integral_value(rounding="ROUND_UP") * LOT[key]
        self.positions[key] = self.positions.get(key, D(0)) + part
        self.executed.append(
            ExecutedOrder(
                ts_ns=NOW,
                client_id=resting.intent.client_id,
                key=key,
                underlying="BTC",
                quantity_coin=float(part),
                delta=0.0,
                vega_usd_per_vol_point=0.0,
            )
        )
        left = resting.remaining - part
        self.working[at : at + 1] = [replace(resting, remaining=left)] if left else []

    def cancel(self, which):
        if self.working:
            self.working.pop(which % len(self.working))

    def verify(self):
        for scope, values in self.exposures().items():
            limits = LIMITS if scope.expiry is None else TIGHT
            for value, limit, start in zip(values, limits.values, self.start[scope], strict=True):
                slack = 1e-9 * max(1.0, abs(value))
                assert min(-limit, start) - slack <= value <= max(limit, start) + slack, scope
                if limit < float("inf"):
                    self.peak = max(self.peak, abs(value) / limit)
        account = self.account()
        assert account.initial <= SETTINGS.initial_margin_use * account.equity * (1 + 1e-9)
        most = SETTINGS.stressed_margin_use * account.stressed_equity
        assert account.stressed_maintenance <= most * (1 + 1e-9)

    def play(self, actions):
        for kind, a, b in actions:
            if kind == "plan":
                self.submit(a)
            elif kind == "fill":
                self.fill(*b)
            else:
                self.cancel(b[0])
            self.verify()


_LEGS = st.lists(st.tuples(st.integers(0, 3), st.integers(-12, 12).filter(bool)), min_size=1, max_size=3)
_FILL = st.tuples(st.integers(0, 20), st.integers(1, 10))
_ACTIONS = st.lists(
    st.tuples(st.sampled_from(["plan", "plan", "fill", "fill", "cancel"]), _LEGS, _FILL),
    min_size=5,
    max_size=25,
)
_OFFSET = st.tuples(
    st.floats(-4.0, 4.0), st.floats(-0.3, 0.3), st.floats(-900.0, 900.0), st.floats(-900.0, 900.0)
)


@examples(deadline=None)
@given(actions=_ACTIONS)
def test_no_sequence_of_accepted_plans_exceeds_a_limit(actions):
    desk = Desk((0.0,) * 4)
    desk.play(actions)
    breaches = check_state(desk.state(), SETTINGS).blocking
    assert {b.control for b in breaches} & {4, 5} == set()


@examples(deadline=None)
@given(actions=_ACTIONS)
def test_no_burst_executes_more_orders_on_one_side_than_allowed(actions):
    desk = Desk((0.0,) * 4, limits=FEW_FILLS)
    desk.play(actions)
    sides = {}
    for fill in desk.executed:
        sides.setdefault((fill.key, fill.quantity_coin > 0), set()).add(fill.client_id)
    assert all(len(orders) <= 3 for orders in sides.values())


@examples(deadline=None)
@given(actions=_ACTIONS, offset=_OFFSET, mode=st.sampled_from([Mode.ACTIVE, Mode.REDUCING]))
def test_a_book_beyond_its_limits_is_never_taken_further_out(actions, offset, mode):
    Desk(offset, mode).play(actions)


@examples(max_examples=20, deadline=None)
@given(actions=_ACTIONS)
def test_nothing_passes_while_halted(actions):
    desk = Desk((0.0,) * 4, Mode.HALTED)
    desk.play(actions)
    assert desk.accepted == 0


@pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.REDUCING])
def test_the_sequences_press_against_the_limits(mode):
    draw = random.Random(7)
    accepted = refused = 0
    peak = 0.0
    for _ in range(12):
        desk = Desk((0.0,) * 4 if mode is Mode.ACTIVE else (3.0, 0.0, 0.0, 0.0), mode)
        for _ in range(60):
            legs = [
                (draw.randrange(4), draw.choice([-8, -4, -2, 2, 4, 8])) for _ in range(draw.randint(1, 3))
            ]
            kind = draw.choice(["plan", "plan", "fill", "fill", "fill"])
            desk.play([(kind, legs, (draw.randrange(20), draw.randint(1, 10)))])
        accepted, refused, peak = accepted + desk.accepted, refused + desk.refused, max(peak, desk.peak)
    assert accepted > 40
    assert refused > 40
    assert peak > 0.95
