"""What there is to see of a fit: the one source of the page, the figure and the terminal."""

from dataclasses import dataclass

import polars as pl

__all__ = ["FitView"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitView:
    """What there is to see of a fit; vols are decimals, tenors days.

    Parameters
    ----------
    underlying : str
    ts_ns : int
    model : str
        ``flexible`` or ``essvi``.
    verdict : str
        The certificate in one line of words.
    certified : bool
    facts, certificate : tuple of (name, value)
        Quality and certificate in words, in the order to show.
    notes : tuple of str
        What deserves attention: expiries that are only the backbone, expiries without a slice.
    by_tenor : pl.DataFrame
        ``tenor, n_quotes, inside_bid_ask, rmse_vol, median_error_vol``.
    by_expiry : pl.DataFrame
        ``expiry, tenor_days, fit`` (flexible | backbone | eSSVI), ``n_quotes, n_bounds, n_rejected,
        inside_bid_ask, rmse_vol``.
    forwards : pl.DataFrame
        ``expiry, tenor_days, forward, std_error, method, n_pairs, n_venues``, pooled over venues.
    worst : pl.DataFrame
        Largest errors: ``instrument_name, venue, bid_iv, ask_iv, fitted_iv, error_vol``.
    drops : pl.DataFrame
        ``reason, count``.
    smiles : pl.DataFrame
        `SMILES_SCHEMA` of `ivhedge.engine.result` with ``rejected, backbone_iv``.
    term : pl.DataFrame
        `TERM_SCHEMA` at the fitted expiries with ``expiry, forward_vol``.
    """

    underlying: str
    ts_ns: int
    model: str
    verdict: str
    certified: bool
    facts: tuple[tuple[str, str], ...]
    certificate: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    by_tenor: pl.DataFrame
    by_expiry: pl.DataFrame
    forwards: pl.DataFrame
    worst: pl.DataFrame
    drops: pl.DataFrame
    smiles: pl.DataFrame
    term: pl.DataFrame
