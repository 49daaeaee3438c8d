"""Quotes of several venues in, one certified surface and the venues' biases out."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR, format_ns
from ivhedge.surface.fit import FitSettings, SurfaceFit, fit_surface
from ivhedge.surface.fusion._displaced import displaced
from ivhedge.surface.fusion._pool import (
    corrected_quotes,
    fused_chain,
    fused_forwards,
    gone_quotes,
    merge_held,
    moved_quotes,
)
from ivhedge.surface.fusion.chain import venue_quotes
from ivhedge.surface.fusion.estimate import Estimate, estimate
from ivhedge.surface.fusion.model import HeldQuotes, VenueModel
from ivhedge.surface.fusion.quotes import VenueQuotes
from ivhedge.surface.fusion.settings import FusionSettings

__all__ = ["FusedSurface", "fuse"]

_CARRY_DOUBT = 0.02  # per year


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedSurface:
    """A fused surface and where it comes from.

    Parameters
    ----------
    fit : SurfaceFit
        Certified fit of the pooled quotes; `fit.published()` serves wherever a surface does.
    model : VenueModel
        Give it to the next call.
    quotes : VenueQuotes
        What was used.
    good : FloatArray, shape (q,)
        Probability that each quote is good.
    bias : FloatArray, shape (q,)
        Taken off each quote, decimal vol.
    pooled : pl.DataFrame
        The chain fitted, in `CHAIN_SCHEMA`; names begin with the venue.
    atm_error : FloatArray, shape (e,)
        Standard error of the vol at the money of each expiry of `quotes`, decimal.
    quarantined : tuple of str
        Venues left out on request.
    n_held : int
        Remembered quotes of venues that dropped, among the pooled.
    jumped : tuple of str
        Venues whose quotes as a whole left the place that their remembered bias gave them: estimated as if
        they were new, and no part of the consensus any more.
    """

    fit: SurfaceFit
    model: VenueModel
    quotes: VenueQuotes
    good: FloatArray
    bias: FloatArray
    pooled: pl.DataFrame
    atm_error: FloatArray
    quarantined: tuple[str, ...]
    n_held: int
    jumped: tuple[str, ...] = ()


def fuse(
    quotes: VenueQuotes | pl.DataFrame,
    model: VenueModel | None = None,
    *,
    settings: FusionSettings | None = None,
    fit: FitSettings | None = None,
    quarantine: Collection[str] = (),
    start: SurfaceFit | None = None,
) -> FusedSurface:
    """Estimate venues' biases and the surface jointly, and fit a certified surface to what is left.

    Parameters
    ----------
    quotes : VenueQuotes or pl.DataFrame
        A chain in `CHAIN_SCHEMA` goes through `venue_quotes` first.
    model : VenueModel, optional
        Memory of earlier snapshots.
    settings : FusionSettings, optional
    fit : FitSettings, optional
    quarantine : collection of str
        Venues to ignore now, such as those `StaleDetector` flags: their biases and, for a while, their last
        good quotes are remembered.
    start : SurfaceFit, optional
        Warm start of the fit.

    Raises
    ------
    EmptyData
        If no venue outside the quarantine has a usable quote.
    ConfigError
        If the model belongs to another underlying or anchor, or `quarantine` is a bare string.
    DataError
        If the quotes are older than the model: a clock that went back.
    CalibrationError
        If the pooled quotes do not carry a surface.
    """
    settings = settings or FusionSettings()
    if isinstance(quarantine, str):
        raise ConfigError(f"expected names in a collection, found the string {quarantine!r}; give a tuple")
    if isinstance(quotes, pl.DataFrame):
        quotes = venue_quotes(quotes, settings=fit)
    _check(quotes, model, settings)
    quotes = _prepared(quotes, model, settings, frozenset(quarantine))
    found, jumped = _estimated(quotes, model, settings)
    fresh = corrected_quotes(quotes, found)
    present = {
        (quotes.venues[v], int(quotes.expiry_ns[e]))
        for v, e in set(zip(quotes.venue, quotes.expiry, strict=True))
    }
    pooled, kept, n_held = fresh, fresh, 0
    if model is not None:
        gone = gone_quotes(model.held, present, quotes.ts_ns, settings)
        moved = moved_quotes(gone, model.held, fresh, quotes.ts_ns, settings)
        pooled, n_held = merge_held(fresh, moved), len(moved.venue)
        kept = merge_held(fresh, gone)
    forwards = fused_forwards(quotes.ts_ns, quotes.underlying, *_forwards(quotes, pooled))
    chain = fused_chain(pooled, forwards)
    fitted = fit_surface(chain, forwards=forwards, settings=fit, start=start)
    return FusedSurface(
        fit=fitted,
        model=_model(quotes, found, model, settings, kept),
        quotes=quotes,
        good=found.good,
        bias=found.bias,
        pooled=chain,
        atm_error=found.atm_error,
        quarantined=tuple(sorted(quarantine)),
        n_held=n_held,
        jumped=jumped,
    )


def _check(quotes: VenueQuotes, model: VenueModel | None, settings: FusionSettings) -> None:
    if model is None:
        return
    if model.underlying != quotes.underlying:
        raise ConfigError(f"expected a model of {quotes.underlying}, found one of {model.underlying}")
    if model.anchor != settings.anchor:
        raise ConfigError(
            f"expected the model's anchor {model.anchor}, found {settings.anchor}; biases "
            "relative to another venue need a new model"
        )
    if model.state.ts_ns > quotes.ts_ns:
        raise DataError(
            f"expected quotes at or after {format_ns(model.state.ts_ns)}, found {format_ns(quotes.ts_ns)}; "
            "keep snapshots in order"
        )


def _prepared(
    quotes: VenueQuotes, model: VenueModel | None, settings: FusionSettings, quarantine: frozenset[str]
) -> VenueQuotes:
    """Leave out the quarantine; keep a place for the anchor and for remembered venues."""
    remembered = () if model is None else model.venues
    anchor = () if settings.anchor is None else (settings.anchor,)
    venues = tuple(sorted({*quotes.venues, *remembered, *anchor}))
    names = np.array(quotes.venues)[quotes.venue]
    keep = ~np.isin(names, list(quarantine))
    excluded = {v: dict(c) for v, c in quotes.excluded.items()}
    for name in sorted(set(names[~keep].tolist())):
        excluded.setdefault(name, {})["quarantined"] = int((names == name).sum())
    if not keep.any():
        raise EmptyData(
            f"{quotes.underlying}: expected quotes of a venue outside the quarantine, found none "
            f"({excluded}); hold the last surface or lift the quarantine"
        )
    rows = np.flatnonzero(keep)
    used, at = np.unique(quotes.expiry[rows], return_inverse=True)
    order = [venues.index(v) for v in quotes.venues]
    error = np.zeros((len(venues), used.size))
    bias = np.full(error.shape, np.nan)
    error[order], bias[order] = quotes.forward_error[:, used], quotes.forward_bias[:, used]
    return VenueQuotes(
        ts_ns=quotes.ts_ns,
        underlying=quotes.underlying,
        venues=venues,
        expiry_ns=quotes.expiry_ns[used],
        taus=quotes.taus[used],
        atm_vol=quotes.atm_vol[used],
        forwards=quotes.forwards[used],
        venue=np.array(order, dtype=np.int64)[quotes.venue[rows]],
        expiry=at.astype(np.int64),
        instrument=quotes.instrument[rows],
        log_moneyness=quotes.log_moneyness[rows],
        vol=quotes.vol[rows],
        half_spread=quotes.half_spread[rows],
        variance=quotes.variance[rows],
        forward_slope=quotes.forward_slope[rows],
        forward_error=error,
        forward_bias=bias,
        excluded=excluded,
    )


def _estimated(
    quotes: VenueQuotes, model: VenueModel | None, settings: FusionSettings
) -> tuple[Estimate, tuple[str, ...]]:
    """Estimate, and the venues that had to be estimated anew."""
    if model is None:
        return estimate(quotes, settings), ()
    gap_s = (quotes.ts_ns - model.state.ts_ns) / 1e9
    share = min(max(gap_s / settings.error_memory_s, 1e-6), 1.0)
    n = len(quotes.venues)
    at = np.ix_(*[[quotes.venues.index(v) for v in model.venues]] * 2)
    cross, count = np.zeros((n, n)), np.zeros((n, n))
    # The memory of likeness fades like that of biases' evidence, so that a venue can become its own again.
    fade = 0.5 ** (share / 20.0)
    cross[at], count[at] = fade * model.cross, fade * model.count
    memory = (cross, count)
    found = estimate(quotes, settings, before=model.state, memory=memory, share=share)
    jumped = displaced(quotes, found, settings.anchor)
    if not jumped or set(model.venues) <= jumped:
        return found, ()
    again = estimate(quotes, settings, before=model.state, memory=memory, share=share, forget=jumped)
    return again, tuple(sorted(jumped))


def _forwards(quotes: VenueQuotes, pooled: HeldQuotes) -> tuple[IntArray, FloatArray, FloatArray]:
    """Consensus forwards; an expiry that only remembered quotes hold takes its neighbours' by tenor."""
    expiries = np.unique(np.concatenate((quotes.expiry_ns, pooled.expiry_ns)))
    at = (quotes.expiry_ns - quotes.ts_ns) / 1e9
    forwards = np.exp(np.interp((expiries - quotes.ts_ns) / 1e9, at, np.log(quotes.forwards)))
    # Nobody quotes it: the carry between it and the nearest quoted expiry is a guess.
    away = np.abs(expiries[:, None] - quotes.expiry_ns[None, :]).min(axis=1) / NS_PER_YEAR
    error = 1e-4 + _CARRY_DOUBT * away
    for e, stamp in enumerate(quotes.expiry_ns):
        mine = quotes.forward_error[np.isfinite(quotes.forward_bias[:, e]), e]
        if mine.size:
            error[expiries == stamp] = float(np.min(mine))
    return expiries, forwards, error


def _model(
    quotes: VenueQuotes,
    found: Estimate,
    before: VenueModel | None,
    settings: FusionSettings,
    kept: HeldQuotes,
) -> VenueModel:
    n_v, n_e = len(quotes.venues), quotes.expiry_ns.size
    counts = np.bincount(quotes.venue, minlength=n_v)
    scale = dict(before.noise_scale) if before is not None else {}
    bad = dict(before.bad_share) if before is not None else {}
    for v, name in enumerate(quotes.venues):
        if counts[v]:
            scale[name], bad[name] = float(found.noise.scale[v]), float(found.noise.bad_share[v])
    present: BoolArray = np.zeros((n_v, n_e), dtype=np.bool_)
    present[quotes.venue, quotes.expiry] = True
    measured = found.seen.copy()
    if before is not None:
        place = {int(e): i for i, e in enumerate(before.state.expiry_ns)}
        for v, name in enumerate(quotes.venues):
            if name in before.venues:
                u = before.venues.index(name)
                for e, stamp in enumerate(quotes.expiry_ns.tolist()):
                    if stamp in place:
                        measured[v, e] |= before.measured[u, place[stamp]]
    shift, shift_error = found.state.at(2)
    return VenueModel(
        underlying=quotes.underlying,
        anchor=settings.anchor,
        state=found.state,
        inflation=settings.inflation,
        noise_scale=scale,
        bad_share=bad,
        measured=measured,
        present=present,
        cross=found.cross,
        count=found.count,
        correlation=found.correlation,
        forward_bias=quotes.forward_bias - shift[:, 1:],
        forward_error=np.hypot(shift_error[:, 1:], 1e-6) * settings.inflation,
        held=kept,
        lags={} if before is None else before.lags,
    )
