"""The intake of quotes against a twin in plain Python on whole columns; what it costs to compile."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.pricing import implied_vol
from ivhedge.pricing.jit import jit_available
from ivhedge.surface.stream import REASONS, QuoteColumns, StreamSettings, SurfaceStream, Universe
from ivhedge.surface.stream import _kernel as kernel
from ivhedge.surface.stream._intake import consume, consume_one
from tests.surface.stream._bed import DAY, FORWARD, PER, T0, quotes, truth, universe

SECOND = 1_000_000_000
RULES = StreamSettings(max_age_s=0.5)
UPPER = np.triu_indices(3)


def messy(market: Universe, rng: np.random.Generator, n: int = 400) -> QuoteColumns:
    """Quotes of few instruments at few times, many of them wrong in one way or another."""
    items = rng.choice(np.arange(0, market.strike.size, 5), n)
    seconds = np.sort(rng.integers(0, 9, n)) + rng.choice([0, -1], n, p=[0.9, 0.1])
    ts = T0 + SECOND + seconds * SECOND
    q = quotes(
        market, truth(), items, ts,
        half=rng.choice([0.0004, 0.005, 0.02], n), error=rng.choice([0.0, 0.01], n),
        forward=FORWARD * rng.choice([1.0, 1.001, 0.98, 1.4], n, p=[0.7, 0.1, 0.1, 0.1]), venue=0,
    )  # fmt: skip
    bid, ask, instrument = q.bid.copy(), q.ask.copy(), q.instrument.copy()
    wrong = rng.random(n)
    bid[wrong < 0.05] = 0.0
    ask[(wrong > 0.05) & (wrong < 0.08)] = 0.0
    bid[(wrong > 0.08) & (wrong < 0.1)] = np.nan
    bid[(wrong > 0.1) & (wrong < 0.12)] = 1.0
    instrument[(wrong > 0.12) & (wrong < 0.13)] = market.strike.size
    ask[(wrong > 0.13) & (wrong < 0.15)] = 5.0
    size = rng.choice([0.02, 0.5, 9.0, np.nan], n)
    return replace(
        q, bid=bid, ask=ask, instrument=instrument, venue=rng.choice([0, 1, 2], n, p=[0.5, 0.49, 0.01]),
        bid_size=size, ask_size=size,
        ts_recv=ts + rng.choice([0, SECOND // 10, -SECOND, 3 * SECOND], n, p=[0.7, 0.2, 0.05, 0.05]),
    )  # fmt: skip


def twin(market: Universe, q: QuoteColumns) -> tuple[list[str], dict[int, dict[str, float]], np.ndarray]:
    """Outcomes, slots in use by number, and ln forward by expiry."""
    expiries = truth().expiries
    log_forward, clock = np.log(truth().forwards), np.full(expiries.size, T0)
    seen: dict[int, tuple[int, int, float, float]] = {}
    used: dict[int, dict[str, float]] = {}
    waiting = (np.inf, -1, 0)
    outcomes = []
    with np.errstate(invalid="ignore"):
        log_f = np.log(q.forward)
        late = q.ts_recv - q.ts_event > RULES.max_lag_s * 1e9
        early = q.ts_event - q.ts_recv > RULES.max_lead_s * 1e9
        finite = np.isfinite(q.bid) & np.isfinite(q.ask)
        crossed = (q.bid > q.ask) & (q.ask > 0.0)
    item = np.minimum(q.instrument, market.strike.size - 1)
    tau = (market.expiry_ns[item] - q.ts_event) / (365.0 * DAY)
    call = market.is_call[item] == 1
    k = np.log(market.strike[item]) - log_f
    sides = [
        implied_vol(
            np.where(np.isfinite(side), side, 0.0) * q.forward, q.forward, market.strike[item], tau, call
        )
        for side in (q.bid, q.ask)
    ]
    for i in range(len(q)):
        j, e = (
            int(q.venue[i] * market.strike.size + item[i]),
            int(np.searchsorted(expiries, market.expiry_ns[item[i]])),
        )
        at, content = int(q.ts_event[i]), (int(q.ts_recv[i]), float(q.bid[i]), float(q.ask[i]))
        before = seen.get(j, (-1, -1, 0.0, 0.0))
        same = j in used and before[2:] == content[1:] and used[j]["log_f"] == log_f[i]
        newer = at > clock[e] or (at == clock[e] and log_f[i] > log_forward[e])
        move = log_f[i] - log_forward[e]
        found = next(
            (name for name, true in (
                ("unknown_venue", q.venue[i] > 1), ("unknown_instrument", q.instrument[i] != item[i]),
                ("not_finite", not finite[i]), ("future", early[i]), ("late", late[i]),
                ("crossed", crossed[i]),
                ("out_of_order", at < before[0]), ("duplicate", at == before[0] and same),
                ("out_of_order", at == before[0] and content <= before[1:]),
            ) if true),
            "",
        )  # fmt: skip
        if not found:
            believed = abs(move) <= RULES.max_forward_step
            if not believed:
                value, slot, since = waiting
                near = max(RULES.max_forward_step, 0.25 * abs(move))
                if abs(move - value) <= near and at - since <= RULES.max_age_s * SECOND:
                    believed = j != slot or at - since >= 10 * SECOND
                    waiting = (value, -1, max(since, at)) if believed else waiting
                elif at >= since:
                    waiting = (move, j, at)
            if abs(move) > RULES.max_forward_move and not (newer and believed):
                found = "bad_forward"
        if found:
            outcomes.append(found)
            continue
        seen[j] = (at, *content)
        if newer and believed:
            log_forward[e], clock[e] = log_f[i], at
        bid_vol, ask_vol = sides[0][i], sides[1][i]
        found = next(
            (name for name, true in (
                ("one_sided", min(content[1:]) <= 0.0), ("in_the_money", (k[i] < 0.0) == call[i]),
                ("no_vol", not np.isfinite(bid_vol + ask_vol)),
            ) if true),
            "",
        )  # fmt: skip
        if found:
            used.pop(j, None)
        else:
            half = max(0.5 * (ask_vol - bid_vol), RULES.spread_floor)
            share = 1.0 if np.isnan(q.bid_size[i]) else float(np.clip(q.bid_size[i], 0.1, 1.0))
            vol = 0.5 * (bid_vol + ask_vol)
            used[j] = {"k": k[i], "vol": vol, "noise": half**2 / share, "log_f": log_f[i]}
        outcomes.append(found or ("unchanged" if same else "accepted"))
    return outcomes, used, log_forward


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_intake_is_its_twin(seed: int) -> None:
    market = universe(("a", "b"))
    stream = SurfaceStream(market, start=truth(), settings=RULES)
    q = messy(market, np.random.default_rng(seed))
    # An exact copy, and the same prices a second later.
    again = replace(q, ts_event=q.ts_event + SECOND, ts_recv=q.ts_recv + SECOND)
    order = np.column_stack((np.arange(400), np.arange(400), np.arange(400) + 400))[::3].ravel()
    both = {n: np.concatenate([getattr(q, n), getattr(again, n)])[order] for n in QuoteColumns.__slots__}
    q = QuoteColumns(**both)
    outcomes, used, log_forward = twin(market, q)
    assert [REASONS[i] for i in stream.on_quotes(q)] == outcomes
    slots, slices = stream._state.slots, stream._state.slices
    np.testing.assert_array_equal(np.flatnonzero(slots[:, kernel.NOISE] > 0.0), sorted(used))
    np.testing.assert_allclose(slices[:, kernel.S_LOG_F], log_forward, rtol=1e-14)
    for column, name in (
        (kernel.K, "k"),
        (kernel.VOL, "vol"),
        (kernel.NOISE, "noise"),
        (kernel.LOG_F, "log_f"),
    ):
        wanted = [used[j][name] for j in sorted(used)]
        np.testing.assert_allclose(slots[sorted(used), column], wanted, rtol=1e-7, atol=1e-9)
    counted: dict[str, int] = {}
    for of_venue in stream.health().values():
        for name, count in of_venue.items():
            counted[name] = counted.get(name, 0) + count
    assert counted == {name: outcomes.count(name) for name in set(outcomes)}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_normal_equations_are_the_sum_over_the_slots(seed: int) -> None:
    market = universe(("a", "b"))
    stream = SurfaceStream(market, start=truth(), settings=RULES)
    stream.on_quotes(messy(market, np.random.default_rng(seed)))
    by_expiry = stream._state.slots.reshape(2, 4, PER, -1).swapaxes(0, 1).reshape(4, 2 * PER, -1)
    for slots, s in zip(by_expiry, stream._state.slices, strict=True):
        h, weight = slots[:, kernel.H0 : kernel.H2 + 1], slots[:, kernel.WEIGHT]
        full = (h.T * weight) @ h
        wanted = np.concatenate((full[UPPER], (h.T * weight) @ slots[:, kernel.TARGET]))
        # Parts taken out leave rounding of the size of the largest there has been.
        np.testing.assert_allclose(s[kernel.EQ : kernel.ANCHOR], wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(not jit_available(), reason="needs the compiler")
def test_every_kind_of_caller_shares_one_compilation() -> None:
    # A second one costs seconds at the first quote of that kind.
    market = universe()
    stream = SurfaceStream(market, start=truth())
    q = quotes(market, truth(), np.arange(8), T0 + SECOND)
    stream.on_quotes(q)
    frozen = {}
    for name in QuoteColumns.__slots__:
        values = getattr(q, name).copy()
        values.flags.writeable = False
        frozen[name] = values
    stream.on_quotes(QuoteColumns(**frozen))
    narrow = {"venue": q.venue.astype(np.int32), "bid": q.bid.astype(np.float32)}
    stream.on_quotes(replace(q, **narrow))
    row = {name: getattr(q, name)[0].item() for name in QuoteColumns.__slots__}
    stream.on_quote(**row)
    stream.on_quote(**{**row, "bid": np.float32(row["bid"]), "venue": np.int16(0)})
    assert len(consume.dispatcher().signatures) == 1
    assert len(consume_one.dispatcher().signatures) == 1
