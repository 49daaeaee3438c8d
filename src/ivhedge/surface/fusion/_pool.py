"""Bias-corrected quotes of all venues as one chain of values with error bars, ready for a fit.

A quote's error has its own part and one it shares with all quotes of its venue and expiry, the error of the
bias. n such quotes know the level no better than the shared part allows, so each carries ``n`` times it.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR
from ivhedge.market import CHAIN_SCHEMA, ForwardCurve, ForwardMethod
from ivhedge.pricing import black76_price
from ivhedge.surface.fusion.estimate import Estimate
from ivhedge.surface.fusion.model import HeldQuotes
from ivhedge.surface.fusion.quotes import VenueQuotes
from ivhedge.surface.fusion.settings import FusionSettings

__all__ = [
    "FUSED",
    "corrected_quotes",
    "fused_chain",
    "fused_forwards",
    "gone_quotes",
    "merge_held",
    "moved_quotes",
]

FUSED = "fused"
"""Venue name of pooled quotes: without contract specifications, hence without ticks."""
_LEAST_GOOD = 0.02
_WIDEST = 0.45  # two standard errors, as a share of the vol
_HELD_HALF_LIVES = 10.0
_JUMP = 4.0
_GROSS = 4.0
_SHAPE_SHARE = 0.3  # of a vol's own walk that its neighbours do not share
_LEAST_MATCHES = 3


def corrected_quotes(quotes: VenueQuotes, found: Estimate) -> HeldQuotes:
    """Quotes less their bias, with standard errors; bad and hopeless ones left out."""
    level_error = found.state.at(0)[1][quotes.venue, quotes.expiry + 1]
    information = found.good * found.discount / (found.noise.scale[quotes.venue] ** 2 * quotes.variance)
    size = (len(quotes.venues), quotes.expiry_ns.size)
    total, best = np.zeros(size), np.zeros(size)
    np.add.at(total, (quotes.venue, quotes.expiry), information)
    np.maximum.at(best, (quotes.venue, quotes.expiry), information)
    # Effective number of quotes that share the error of the bias.
    count = (total / np.maximum(best, 1e-300))[quotes.venue, quotes.expiry]
    with np.errstate(divide="ignore"):
        error = np.sqrt(1.0 / information + count * level_error**2)
    vol = quotes.vol - found.bias
    rows = np.flatnonzero((found.good > _LEAST_GOOD) & (vol > 0.0) & (2.0 * error < _WIDEST * vol))
    return HeldQuotes(
        venue=tuple(quotes.venues[v] for v in quotes.venue[rows]),
        expiry_ns=quotes.expiry_ns[quotes.expiry[rows]],
        seen_ns=np.full(rows.size, quotes.ts_ns, dtype=np.int64),
        log_moneyness=quotes.log_moneyness[rows],
        vol=vol[rows],
        std_error=error[rows],
    )


def moved_quotes(
    gone: HeldQuotes, held: HeldQuotes, fresh: HeldQuotes, ts_ns: int, settings: FusionSettings
) -> HeldQuotes:
    """Quotes of venues that are gone, moved with the others and widened by age.

    Parameters
    ----------
    gone : HeldQuotes
        From `gone_quotes`.
    held, fresh : HeldQuotes
        All remembered and all present quotes, between which the others moved.
    ts_ns : int
    settings : FusionSettings
    """
    vol, shared = gone.vol.copy(), np.zeros(gone.vol.size)
    for expiry in np.unique(gone.expiry_ns):
        mine = gone.expiry_ns == expiry
        move, move_error = _common_move(held, fresh, int(expiry), ts_ns, settings)
        vol[mine] += move
        for name in sorted({v for v, here in zip(gone.venue, mine, strict=True) if here}):
            rows = np.flatnonzero(mine & (np.array(gone.venue) == name))
            information = gone.std_error[rows] ** -2.0
            # The error of the move is shared by all quotes of the venue and expiry, as that of a bias.
            shared[rows] = float(information.sum() / information.max()) * move_error**2
    age_s = (ts_ns - gone.seen_ns) / 1e9
    walk = _SHAPE_SHARE * settings.vol_of_vol * vol * np.sqrt(age_s * 1e9 / NS_PER_YEAR)
    stretch = np.exp2(age_s / settings.hold_half_life_s)
    error = np.sqrt((gone.std_error**2 + walk**2) * stretch + shared)
    kept = np.flatnonzero(vol > 0.0)
    return take(replace(gone, vol=vol, std_error=error), kept)


def _common_move(
    held: HeldQuotes, fresh: HeldQuotes, expiry: int, ts_ns: int, settings: FusionSettings
) -> tuple[float, float]:
    """By how much the vols of one expiry moved since they were held, and the error of that.

    The mean of the others' own moves, each venue against its own earlier quotes, gross ones left out.

    Shrunk towards none as far as vols can have moved in the time, unless it is beyond doubt.
    """
    old_name, new_name = np.array(held.venue), np.array(fresh.venue)
    moves: list[FloatArray] = []
    errors: list[FloatArray] = []
    since = ts_ns
    for venue in np.unique(new_name[fresh.expiry_ns == expiry]):
        old = np.flatnonzero((old_name == venue) & (held.expiry_ns == expiry))
        new = np.flatnonzero((new_name == venue) & (fresh.expiry_ns == expiry))
        if old.size < _LEAST_MATCHES:
            continue
        old = old[np.argsort(held.log_moneyness[old], kind="stable")]
        k, at = fresh.log_moneyness[new], held.log_moneyness[old]
        within = (k >= at[0]) & (k <= at[-1])
        moves.append((fresh.vol[new] - np.interp(k, at, held.vol[old]))[within])
        errors.append(np.hypot(fresh.std_error[new], np.interp(k, at, held.std_error[old]))[within])
        since = min(since, int(held.seen_ns[old].min()))
    level = float(np.median(held.vol[held.expiry_ns == expiry]))
    if not moves:
        # Nobody is left who knows: the move may be anything that the time allows.
        since = int(held.seen_ns[held.expiry_ns == expiry].min())
        return 0.0, settings.vol_of_vol * level * (max(ts_ns - since, 0) / NS_PER_YEAR) ** 0.5
    move, error = np.concatenate(moves), np.concatenate(errors)
    walk = settings.vol_of_vol * level * (max(ts_ns - since, 0) / NS_PER_YEAR) ** 0.5
    centre = float(np.median(move))
    good = np.abs(move - centre) < _GROSS * error
    weight = np.where(good, error**-2.0, 0.0)
    if not good.any():
        return centre, float(np.hypot(walk, np.median(error)))
    mean, variance = float(np.sum(weight * move) / np.sum(weight)), float(1.0 / np.sum(weight))
    if abs(mean) > _JUMP * float(np.hypot(variance**0.5, walk)):
        return mean, variance**0.5
    share = walk**2 / (walk**2 + variance)
    return share * mean, (share * variance) ** 0.5


def merge_held(*parts: HeldQuotes) -> HeldQuotes:
    """Put sets of quotes behind each other."""
    return HeldQuotes(
        venue=tuple(name for part in parts for name in part.venue),
        expiry_ns=np.concatenate([part.expiry_ns for part in parts]),
        seen_ns=np.concatenate([part.seen_ns for part in parts]),
        log_moneyness=np.concatenate([part.log_moneyness for part in parts]),
        vol=np.concatenate([part.vol for part in parts]),
        std_error=np.concatenate([part.std_error for part in parts]),
    )


def take(quotes: HeldQuotes, rows: IntArray) -> HeldQuotes:
    """Some of the quotes."""
    return HeldQuotes(
        venue=tuple(quotes.venue[i] for i in rows),
        expiry_ns=quotes.expiry_ns[rows],
        seen_ns=quotes.seen_ns[rows],
        log_moneyness=quotes.log_moneyness[rows],
        vol=quotes.vol[rows],
        std_error=quotes.std_error[rows],
    )


def gone_quotes(
    held: HeldQuotes, present: set[tuple[str, int]], ts_ns: int, settings: FusionSettings
) -> HeldQuotes:
    """Remembered quotes of venues and expiries that are not quoted now and not too old, as they were seen."""
    gone = [(v, int(e)) not in present for v, e in zip(held.venue, held.expiry_ns, strict=True)]
    young = (ts_ns - held.seen_ns) / 1e9 <= _HELD_HALF_LIVES * settings.hold_half_life_s
    keep = np.array(gone, dtype=np.bool_) & young & (held.expiry_ns > ts_ns)
    return take(held, np.flatnonzero(keep))


def fused_chain(quotes: HeldQuotes, forwards: ForwardCurve) -> pl.DataFrame:
    """Chain in `CHAIN_SCHEMA` whose bid and ask vols lie two standard errors around each corrected quote."""
    half = np.minimum(2.0 * quotes.std_error, _WIDEST * quotes.vol)
    rows = np.flatnonzero(np.isin(quotes.expiry_ns, forwards.expiry_ns))
    forward = forwards.forwards[np.searchsorted(forwards.expiry_ns, quotes.expiry_ns[rows])]
    tau = (quotes.expiry_ns[rows] - forwards.ts_ns) / NS_PER_YEAR
    strike = forward * np.exp(quotes.log_moneyness[rows])
    call = strike >= forward
    bid, ask = (
        black76_price(forward, strike, tau, quotes.vol[rows] + side * half[rows], call)
        for side in (-1.0, 1.0)
    )
    n = rows.size
    data = {
        "ts": np.full(n, forwards.ts_ns),
        "venue": [FUSED] * n,
        "underlying": [forwards.underlying] * n,
        "instrument_name": [f"{quotes.venue[i]}:{number}" for number, i in enumerate(rows)],
        "expiry": quotes.expiry_ns[rows],
        "strike": strike,
        "is_call": call,
        "settlement": ["usd"] * n,
        "bid": bid,
        "ask": ask,
        "forward": forward,
    }
    times = ("ts", "expiry")
    table = pl.DataFrame(data).with_columns(
        pl.from_epoch(name, "ns").dt.replace_time_zone("UTC") for name in times
    )
    return table.select(
        pl.col(name).cast(dtype) if name in data else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in CHAIN_SCHEMA.items()
    )


def fused_forwards(
    ts_ns: int, underlying: str, expiry_ns: IntArray, forwards: FloatArray, relative_error: FloatArray
) -> ForwardCurve:
    """Consensus forwards as a curve of the pooled venue."""
    n = len(expiry_ns)
    error = np.maximum(relative_error, 2e-5) * forwards
    table = pl.DataFrame(
        {
            "venue": [FUSED] * n,
            "expiry": np.asarray(expiry_ns, dtype=np.int64),
            "forward": forwards,
            "std_error": error,
            "n_pairs": np.zeros(n, dtype=np.int64),
            "method": [ForwardMethod.VENUE.value] * n,
            "band_low": pl.Series([None] * n, dtype=pl.Float64()),
            "band_high": pl.Series([None] * n, dtype=pl.Float64()),
        }
    ).with_columns(pl.from_epoch("expiry", "ns").dt.replace_time_zone("UTC"))
    return ForwardCurve(
        ts_ns=ts_ns,
        underlying=underlying,
        table=table,
        expiry_ns=np.asarray(expiry_ns, dtype=np.int64),
        forwards=np.asarray(forwards, dtype=np.float64),
        std_errors=error,
    )
