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
    WEIGHT,
    K,
    _add,
    _drift,
    _enter,
    _move,
    correct,
    settle_slice,
)

__all__ = ["consume", "consume_one"]


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
    expiry_ns: IntArray,
    cfg: FloatArray,
) -> int:
    """What is wrong with a quote by itself; `ACCEPTED` if nothing is."""
    if not 0 <= venue < n_venues:
        return UNKNOWN_VENUE
    if not 0 <= instrument < expiry_ns.size or expiry_ns[instrument] == 0:
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
    if expiry_ns[instrument] <= max(ts_event, ts_recv):
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
    strike: FloatArray,
    is_call: IntArray,
    coin: IntArray,
    expiry_ns: IntArray,
    slice_of: IntArray,
    slots: FloatArray,
    times: IntArray,
    members: IntArray,
    offsets: IntArray,
    slices: FloatArray,
    clocks: IntArray,
    counts: IntArray,
    biases: FloatArray,
    cfg: FloatArray,
    outcome: IntArray,
) -> None:
    """Feed quotes one after the other; writes slots, slices, clocks, counts and the outcome of each."""
    n_venues = counts.shape[0] - 1
    for i in range(venue.size):
        v, q = venue[i], instrument[i]
        reason = _judge(v, q, bid[i], ask[i], ts_event[i], ts_recv[i], forward[i], n_venues, expiry_ns, cfg)
        if reason == ACCEPTED:
            reason = _take(
                v * expiry_ns.size + q,
                q,
                bid[i],
                ask[i],
                min(bid_size[i], ask_size[i]),
                ts_event[i],
                ts_recv[i],
                forward[i],
                strike,
                is_call,
                coin,
                expiry_ns,
                slice_of,
                slots,
                times,
                members,
                offsets,
                slices,
                clocks,
                biases[v, slice_of[q]],
                cfg,
            )
        outcome[i] = reason
        counts[v if 0 <= v < n_venues else n_venues, reason] += 1


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
    strike: FloatArray,
    listed: IntArray,
    slots: FloatArray,
    times: IntArray,
    members: IntArray,
    offsets: IntArray,
    slices: FloatArray,
    clocks: IntArray,
    counts: IntArray,
    biases: FloatArray,
    cfg: FloatArray,
) -> int:
    """Feed one quote; its outcome. Each array handed over costs a third of a microsecond, so there are few.

    Rows of `listed`: is_call, coin, expiry_ns, slice_of.
    """
    n_venues = counts.shape[0] - 1
    expiry_ns = listed[2]
    reason = _judge(venue, instrument, bid, ask, ts_event, ts_recv, forward, n_venues, expiry_ns, cfg)
    if reason == ACCEPTED:
        reason = _take(
            venue * expiry_ns.size + instrument,
            instrument,
            bid,
            ask,
            min(bid_size, ask_size),
            ts_event,
            ts_recv,
            forward,
            strike,
            listed[0],
            listed[1],
            expiry_ns,
            listed[3],
            slots,
            times,
            members,
            offsets,
            slices,
            clocks,
            biases[venue, listed[3, instrument]],
            cfg,
        )
    counts[venue if 0 <= venue < n_venues else n_venues, reason] += 1
    return reason


@njit()
def _drop(slot: FloatArray, s: FloatArray) -> None:
    if slot[WEIGHT] > 0.0:
        _add(s, slot[H0], slot[H1], slot[H2], -slot[WEIGHT], slot[TARGET])
    slot[WEIGHT], slot[NOISE] = 0.0, 0.0


@njit()
def _take(
    j: int,
    q: int,
    bid: float,
    ask: float,
    depth: float,
    ts_event: int,
    ts_recv: int,
    forward: float,
    strike: FloatArray,
    is_call: IntArray,
    coin: IntArray,
    expiry_ns: IntArray,
    slice_of: IntArray,
    slots: FloatArray,
    times: IntArray,
    members: IntArray,
    offsets: IntArray,
    slices: FloatArray,
    clocks: IntArray,
    bias: FloatArray,
    cfg: FloatArray,
) -> int:
    """Put one quote that is sound by itself into its slot."""
    e = slice_of[q]
    slot, s = slots[j], slices[e]
    log_f = math.log(forward)
    # An old forward refuses nothing: else one true gap would shut the slice for good.
    if abs(log_f - s[S_LOG_F]) > cfg[MAX_MOVE] and ts_event - clocks[e, 2] <= cfg[MAX_AGE]:
        return BAD_FORWARD
    if ts_event < times[j, 0]:
        return OUT_OF_ORDER
    same = slot[NOISE] > 0.0 and bid == slot[BID] and ask == slot[ASK] and log_f == slot[LOG_F]
    if ts_event == times[j, 0]:
        if same:
            return DUPLICATE
        # Two contents of one instant: the same one wins in any order.
        if (ts_recv, bid, ask) <= (times[j, 1], slot[BID], slot[ASK]):
            return OUT_OF_ORDER
    times[j, 0], times[j, 1] = ts_event, ts_recv
    slot[BID], slot[ASK] = bid, ask
    # Quotes without a vol bring their forward too. Of forwards at one instant the largest stands, whatever
    # their order.
    if ts_event > clocks[e, 2] or (ts_event == clocks[e, 2] and log_f > s[S_LOG_F]):
        s[S_LOG_F], clocks[e, 2] = log_f, ts_event
    k = math.log(strike[q]) - log_f
    if bid <= 0.0 or ask <= 0.0:
        _drop(slot, s)
        return ONE_SIDED
    if (k < 0.0) == (is_call[q] == 1):
        _drop(slot, s)
        return IN_THE_MONEY
    tau_ns = float(expiry_ns[q] - ts_event)
    tau = tau_ns / NS_PER_YEAR
    high, low = price_in_dollars(bid, forward, coin[q] == 1)
    bid_vol, bid_status = implied_vol_item(high, low, forward, strike[q], tau, is_call[q] == 1)
    high, low = price_in_dollars(ask, forward, coin[q] == 1)
    ask_vol, ask_status = implied_vol_item(high, low, forward, strike[q], tau, is_call[q] == 1)
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
    correct(slot, bias, tau)
    clocks[e, 0] = max(clocks[e, 0], ts_event)
    _enter(slot, s, _drift(slot, clocks[e, 0] - ts_event, s[S_LOG_F], cfg), cfg, False)
    _move(s, tau)
    clocks[e, 1] += 1
    block = members[offsets[e] : offsets[e + 1]]
    if clocks[e, 1] >= max(8, block.size // 4):
        clocks[e, 1] = 0
        settle_slice(slots, times, block, s, tau, clocks[e, 0], cfg, 1, False, np.empty(block.size))
    # The same price at less time is another vol, so it was taken anew.
    return UNCHANGED if same else ACCEPTED
