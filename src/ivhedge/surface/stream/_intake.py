"""Compiled intake of the stream: judge a quote, replace its slot, move its slice."""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing._implied_vol_scalar import implied_vol_item, price_in_dollars
from ivhedge.pricing.jit import njit
from ivhedge.surface.stream._kernel import (
    ACCEPTED,
    ASK,
    BAD_FORWARD,
    BID,
    CROSSED,
    DUPLICATE,
    EXPIRED,
    FLOOR,
    FULL_DEPTH,
    FUTURE,
    H0,
    H1,
    H2,
    IN_THE_MONEY,
    LATE,
    LOG_F,
    MAX_AGE,
    MAX_LAG,
    MAX_LEAD,
    MAX_MOVE,
    MAX_STEP,
    NO_VOL,
    NOISE,
    NOT_FINITE,
    NS_PER_YEAR,
    ONE_SIDED,
    OUT_OF_ORDER,
    RAW,
    RAW_NOISE,
    S_LOG_F,
    TARGET,
    UNCHANGED,
    UNKNOWN_INSTRUMENT,
    UNKNOWN_VENUE,
    WAITING,
    WAITING_NS,
    WAITING_SLOT,
    WEIGHT,
    K,
    _add,
    _drift,
    _enter,
    _move,
    correct,
)
from ivhedge.surface.stream._settling import settle_slice
from ivhedge.surface.stream._state import (
    EXPIRY_NS,
    FIRST,
    FORWARD_NS,
    IN_COIN,
    IS_CALL,
    LAST,
    NEWEST,
    SINCE,
    SLICE_OF,
    StreamState,
    views,
)

__all__ = ["consume", "consume_one"]

_AGREES = 0.25  # share of a jump by which two quotes' forwards may differ
_PATIENCE_NS = 10_000_000_000


@njit()
def _judge(
    venue: int,
    instrument: int,
    bid: float,
    ask: float,
    ts_event: int,
    ts_recv: int,
    forward: float,
    n_venues: int,
    listed: IntArray,
    cfg: FloatArray,
) -> int:
    """What is wrong with a quote by itself; `ACCEPTED` if nothing is."""
    if not 0 <= venue < n_venues:
        return UNKNOWN_VENUE
    if not 0 <= instrument < listed.shape[0] or listed[instrument, EXPIRY_NS] == 0:
        return UNKNOWN_INSTRUMENT
    # NaN fails every comparison; times that are not positive would overflow in differences.
    if not (bid >= 0.0 and ask >= 0.0 and bid < np.inf and ask < np.inf and min(ts_event, ts_recv) > 0):
        return NOT_FINITE
    if not (forward > 0.0 and forward < np.inf):
        return BAD_FORWARD
    if ts_event - ts_recv > cfg[MAX_LEAD]:
        return FUTURE
    if ts_recv - ts_event > cfg[MAX_LAG]:
        return LATE
    if listed[instrument, EXPIRY_NS] <= max(ts_event, ts_recv):
        return EXPIRED
    if bid > ask and ask > 0.0:
        return CROSSED
    return ACCEPTED


@njit()
def consume(
    venue: IntArray,
    instrument: IntArray,
    bid: FloatArray,
    ask: FloatArray,
    bid_size: FloatArray,
    ask_size: FloatArray,
    ts_event: IntArray,
    ts_recv: IntArray,
    forward: FloatArray,
    ints: IntArray,
    floats: FloatArray,
    outcome: IntArray,
) -> None:
    """Feed quotes one after the other into a state; writes the outcome of each."""
    state = views(ints, floats)
    for i in range(venue.size):
        depth = min(bid_size[i], ask_size[i])
        outcome[i] = _feed(
            state, venue[i], instrument[i], bid[i], ask[i], depth, ts_event[i], ts_recv[i], forward[i]
        )


@njit()
def consume_one(
    venue: int,
    instrument: int,
    bid: float,
    ask: float,
    bid_size: float,
    ask_size: float,
    ts_event: int,
    ts_recv: int,
    forward: float,
    ints: IntArray,
    floats: FloatArray,
) -> int:
    """Feed one quote into a state; its outcome."""
    depth = min(bid_size, ask_size)
    return _feed(views(ints, floats), venue, instrument, bid, ask, depth, ts_event, ts_recv, forward)


@njit()
def _feed(
    state: StreamState,
    venue: int,
    instrument: int,
    bid: float,
    ask: float,
    depth: float,
    ts_event: int,
    ts_recv: int,
    forward: float,
) -> int:
    n_venues = state.counts.shape[0] - 1
    reason = _judge(
        venue, instrument, bid, ask, ts_event, ts_recv, forward, n_venues, state.listed, state.cfg
    )
    if reason == ACCEPTED:
        reason = _take(state, venue, instrument, bid, ask, depth, ts_event, ts_recv, forward)
    state.counts[venue if 0 <= venue < n_venues else n_venues, reason] += 1
    return reason


@njit()
def _drop(slot: FloatArray, s: FloatArray) -> None:
    if slot[WEIGHT] > 0.0:
        _add(s, slot[H0], slot[H1], slot[H2], -slot[WEIGHT], slot[TARGET])
    slot[WEIGHT], slot[NOISE] = 0.0, 0.0


@njit()
def _seconded(cfg: FloatArray, j: int, move: float, ts_event: int) -> bool:
    """Whether another slot, of this slice or of another one, has moved alike; if not the move waits.

    A slot that keeps to its word is believed in the end. What is seconded stays so while it is repeated.
    """
    near = max(cfg[MAX_STEP], _AGREES * abs(move))
    age = ts_event - cfg[WAITING_NS]
    if cfg[WAITING_NS] > 0.0 and abs(move - cfg[WAITING]) <= near and age <= cfg[MAX_AGE]:
        if cfg[WAITING_SLOT] == j and age < _PATIENCE_NS:
            return False
        cfg[WAITING_SLOT], cfg[WAITING_NS] = -1.0, max(cfg[WAITING_NS], float(ts_event))
        return True
    if age >= 0.0:
        cfg[WAITING], cfg[WAITING_SLOT], cfg[WAITING_NS] = move, j, ts_event
    return False


@njit()
def _take(
    state: StreamState,
    venue: int,
    q: int,
    bid: float,
    ask: float,
    depth: float,
    ts_event: int,
    ts_recv: int,
    forward: float,
) -> int:
    """Put one quote that is sound by itself into its slot."""
    listed = state.listed[q]
    e, j = listed[SLICE_OF], venue * state.strike.size + q
    slot, s = state.slots[j], state.slices[e]
    times, clock, cfg = state.times, state.clocks[e], state.cfg
    strike, is_call, in_coin = state.strike[q], listed[IS_CALL] == 1, listed[IN_COIN] == 1
    log_f = math.log(forward)
    if ts_event < times[j, 0]:
        return OUT_OF_ORDER
    same = slot[NOISE] > 0.0 and bid == slot[BID] and ask == slot[ASK] and log_f == slot[LOG_F]
    if ts_event == times[j, 0]:
        if same:
            return DUPLICATE
        # Two contents of one instant: the same one wins in any order.
        if (ts_recv, bid, ask) <= (times[j, 1], slot[BID], slot[ASK]):
            return OUT_OF_ORDER
    # Of forwards at one instant the largest stands, whatever their order.
    newer = ts_event > clock[FORWARD_NS] or (ts_event == clock[FORWARD_NS] and log_f > s[S_LOG_F])
    move = log_f - s[S_LOG_F]
    believed = abs(move) <= cfg[MAX_STEP] or _seconded(cfg, j, move, ts_event)
    if abs(move) > cfg[MAX_MOVE] and not (newer and believed):
        return BAD_FORWARD
    times[j, 0], times[j, 1] = ts_event, ts_recv
    slot[BID], slot[ASK] = bid, ask
    # Quotes without a vol bring their forward too.
    if newer and believed:
        s[S_LOG_F], clock[FORWARD_NS] = log_f, ts_event
    k = math.log(strike) - log_f
    if bid <= 0.0 or ask <= 0.0:
        _drop(slot, s)
        return ONE_SIDED
    if (k < 0.0) == is_call:
        _drop(slot, s)
        return IN_THE_MONEY
    tau_ns = float(listed[EXPIRY_NS] - ts_event)
    tau = tau_ns / NS_PER_YEAR
    high, low = price_in_dollars(bid, forward, in_coin)
    bid_vol, bid_status = implied_vol_item(high, low, forward, strike, tau, is_call)
    high, low = price_in_dollars(ask, forward, in_coin)
    ask_vol, ask_status = implied_vol_item(high, low, forward, strike, tau, is_call)
    if bid_status != 0 or ask_status != 0:
        _drop(slot, s)
        return NO_VOL
    _drop(slot, s)
    half = max(0.5 * (ask_vol - bid_vol), cfg[FLOOR])
    share = 1.0
    if cfg[FULL_DEPTH] > 0.0 and depth < cfg[FULL_DEPTH]:
        share = max(depth / cfg[FULL_DEPTH], 0.1)
    slot[K], slot[RAW], slot[RAW_NOISE], slot[LOG_F] = (
        k,
        0.5 * (bid_vol + ask_vol),
        half * half / share,
        log_f,
    )
    correct(slot, state.biases[venue, e], tau)
    clock[NEWEST] = max(clock[NEWEST], ts_event)
    _enter(slot, s, _drift(slot, clock[NEWEST] - ts_event, s[S_LOG_F], cfg), cfg)
    _move(s, tau)
    clock[SINCE] += 1
    block = state.members[clock[FIRST] : clock[LAST]]
    if clock[SINCE] >= max(8, block.size // 4):
        clock[SINCE] = 0
        settle_slice(state.slots, times, block, s, tau, clock[NEWEST], cfg, 1, False, np.empty(block.size))
    # The same price at less time is another vol, so it was taken anew.
    return UNCHANGED if same else ACCEPTED
