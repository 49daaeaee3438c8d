"""What the fits of a run looked like: quality per snapshot and tenor, term structure, last smiles."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ivhedge.core.units import DAYS_PER_YEAR, year_fraction
from ivhedge.engine.result import (
    DROPS_SCHEMA,
    FIT_BY_TENOR_SCHEMA,
    SMILES_SCHEMA,
    SURFACES_SCHEMA,
    TERM_SCHEMA,
    empty_table,
)
from ivhedge.market import MarketSnapshot, clean_chain, quote_vols
from ivhedge.surface import SurfaceFit
from ivhedge.surface.base import VolSurface
from ivhedge.surface.quoting import strikes_of_delta

__all__ = ["FitRecorder", "smile_table", "term_table"]

_TENORS_DAYS = (7.0, 14.0, 30.0, 60.0, 90.0, 180.0)
_MODEL_POINTS = 81


@dataclass(slots=True)
class FitRecorder:
    """Collects what the report shows about the surfaces of a run."""

    _surfaces: list[dict[str, object]] = field(default_factory=list)
    _tenors: list[pl.DataFrame] = field(default_factory=list)
    _term: list[pl.DataFrame] = field(default_factory=list)
    _drops: list[pl.DataFrame] = field(default_factory=list)
    _last: dict[str, tuple[MarketSnapshot, SurfaceFit]] = field(default_factory=dict)

    def add(self, snapshot: MarketSnapshot, fit: SurfaceFit) -> None:
        """Record one fit."""
        report, underlying = fit.report, snapshot.underlying
        self._surfaces.append(
            {
                "ts": snapshot.ts_ns,
                "underlying": underlying,
                "n_quotes": report.n_quotes,
                "rmse_vol": report.rmse_vol,
                "inside_bid_ask": report.inside_bid_ask,
                "certificate_valid": fit.certificate.valid,
                "iterations": report.iterations,
            }
        )
        self._tenors.append(report.by_tenor.with_columns(pl.lit(underlying).alias("underlying")))
        self._term.append(term_table(snapshot, fit.surface))
        self._drops.append(report.drops)
        self._last[underlying] = (snapshot, fit)

    def surfaces(self) -> pl.DataFrame:
        """Fit quality per snapshot, `SURFACES_SCHEMA`."""
        schema = {name: (pl.Int64() if name == "ts" else kind) for name, kind in SURFACES_SCHEMA.items()}
        table = pl.DataFrame(self._surfaces, schema=schema, orient="row")
        return table.with_columns(pl.from_epoch("ts", "ns").dt.replace_time_zone("UTC"))

    def by_tenor(self) -> pl.DataFrame:
        """Fit quality per tenor bucket over the run, weighted by quotes, `FIT_BY_TENOR_SCHEMA`."""
        if not self._tenors:
            return empty_table(FIT_BY_TENOR_SCHEMA)
        weight = pl.col("n_quotes")
        return (
            pl.concat(self._tenors)
            .filter(weight > 0)
            .group_by("underlying", "tenor", maintain_order=True)
            .agg(
                ((pl.col("inside_bid_ask") * weight).sum() / weight.sum()).alias("inside_bid_ask"),
                ((pl.col("rmse_vol") ** 2 * weight).sum() / weight.sum()).sqrt().alias("rmse_vol"),
                weight.sum().cast(pl.Int64),
            )
        )

    def term(self) -> pl.DataFrame:
        """At-the-money vol, risk reversal and butterfly at constant tenors, `TERM_SCHEMA`."""
        return pl.concat(self._term) if self._term else empty_table(TERM_SCHEMA)

    def drops(self) -> pl.DataFrame:
        """Quotes dropped or mended by reason over the run, `DROPS_SCHEMA`."""
        if not self._drops:
            return empty_table(DROPS_SCHEMA)
        counted = pl.concat([table.select("reason", "count") for table in self._drops])
        return (
            counted.group_by("reason")
            .agg(pl.col("count").cast(pl.Int64).sum())
            .filter(pl.col("count") > 0)
            .sort("count", descending=True)
        )

    def smiles(self) -> pl.DataFrame:
        """Quotes and model of each underlying's last snapshot, `SMILES_SCHEMA`."""
        tables = [smile_table(snapshot, fit) for snapshot, fit in self._last.values()]
        return pl.concat(tables) if tables else empty_table(SMILES_SCHEMA)


def term_table(snapshot: MarketSnapshot, surface: VolSurface, *, listed: bool = False) -> pl.DataFrame:
    """At-the-money vol, 25-delta risk reversal and butterfly by tenor, `TERM_SCHEMA`.

    Parameters
    ----------
    snapshot : MarketSnapshot
    surface : VolSurface
    listed : bool
        At the fitted expiries instead of constant tenors, with two more columns: ``expiry``, and
        ``forward_vol``, the at-the-money vol from the expiry before (the first: from now) to this one, null
        where total variance falls.

    Returns
    -------
    pl.DataFrame
        Decimals; null where the smile has no strike of that delta.
    """
    if listed:
        taus = np.asarray(year_fraction(snapshot.ts_ns, surface.expiries))
        days = taus * DAYS_PER_YEAR
    else:
        longest = (surface.expiries[-1] - snapshot.ts_ns) / 86_400e9
        days = np.array([d for d in _TENORS_DAYS if d <= longest] or [_TENORS_DAYS[0]])
        taus = days / DAYS_PER_YEAR
    # One search for both wings: it costs the same for twice as many strikes.
    wings = strikes_of_delta(surface, np.tile(taus, 2), np.repeat([0.25, -0.25], days.size)).vol
    call, put = wings[: days.size], wings[days.size :]
    atm = np.asarray(surface.implied_vol(np.zeros_like(taus), taus))
    table = pl.DataFrame(
        {
            "underlying": [snapshot.underlying] * days.size,
            "ts": [snapshot.ts_ns] * days.size,
            "tenor_days": days,
            "atm_vol": atm,
            "risk_reversal_25": call - put,
            "butterfly_25": 0.5 * (call + put) - atm,
        }
    ).with_columns(pl.from_epoch("ts", "ns").dt.replace_time_zone("UTC"), pl.selectors.float().fill_nan(None))
    if not listed:
        return table
    rise = np.diff(surface.total_variance(0.0, taus), prepend=0.0) / np.diff(taus, prepend=0.0)
    forward_vol = np.sqrt(np.where(rise >= 0.0, rise, np.nan))
    return table.with_columns(
        pl.Series("expiry", surface.expiries).cast(pl.Datetime("ns", "UTC")),
        pl.Series("forward_vol", forward_vol).fill_nan(None),
    )


def smile_table(snapshot: MarketSnapshot, fit: SurfaceFit) -> pl.DataFrame:
    """Out-of-the-money quotes as vols with the model's vol beside them, and the model's lines.

    Returns
    -------
    pl.DataFrame
        `SMILES_SCHEMA` and ``instrument_name``, ``rejected`` (the fit did not believe the quote) and
        ``backbone_iv`` (null where the model is the backbone); rows without any quote belong to the lines.
    """
    cleaned = clean_chain(snapshot.chain).chain
    vols = quote_vols(cleaned, fit.forwards)
    fitted = np.isin(vols.expiry_ns, fit.surface.expiries) & vols.is_otm
    seen = np.flatnonzero(fitted & (np.isfinite(vols.bid_iv) | np.isfinite(vols.ask_iv)))
    doubted = set(fit.report.rejected.select("venue", "instrument_name").iter_rows())
    names = [(vols.venue[row], vols.instrument_name[row]) for row in seen.tolist()]
    quotes = pl.DataFrame(
        {
            "underlying": pl.Series([snapshot.underlying] * seen.size, dtype=pl.String()),
            "expiry": vols.expiry_ns[seen],
            "tau": vols.tau[seen],
            "strike": vols.strike[seen],
            "log_moneyness": vols.log_moneyness[seen],
            "bid_iv": vols.bid_iv[seen],
            "ask_iv": vols.ask_iv[seen],
            "mid_iv": vols.centre_iv[seen],
            "model_iv": fit.surface.implied_vol(vols.log_moneyness[seen], vols.tau[seen]),
            "venue": pl.Series([venue for venue, _ in names], dtype=pl.String()),
            "instrument_name": pl.Series([name for _, name in names], dtype=pl.String()),
            "rejected": pl.Series([name in doubted for name in names], dtype=pl.Boolean()),
        }
    )
    lines = [_model_line(snapshot, fit, int(expiry), quotes) for expiry in fit.surface.expiries]
    table = pl.concat([quotes, *lines], how="diagonal")
    return table.with_columns(
        pl.from_epoch("expiry", "ns").dt.replace_time_zone("UTC"),
        pl.col("bid_iv", "ask_iv", "mid_iv").fill_nan(None),
    )


def _model_line(
    snapshot: MarketSnapshot, fit: SurfaceFit, expiry_ns: int, quotes: pl.DataFrame
) -> pl.DataFrame:
    own = quotes.filter(pl.col("expiry") == expiry_ns)["log_moneyness"].to_numpy()
    low, high = (float(own.min()), float(own.max())) if own.size else (-0.1, 0.1)
    if low == high:  # one strike: draw the smile around it and the forward
        low, high = min(low, 0.0) - 0.05, max(high, 0.0) + 0.05
    k = np.linspace(low, high, _MODEL_POINTS)
    tau = (expiry_ns - snapshot.ts_ns) / (DAYS_PER_YEAR * 86_400e9)
    beneath = fit.backbone.implied_vol(k, tau) if fit.surface is not fit.backbone else np.full(k.size, np.nan)
    return pl.DataFrame(
        {
            "underlying": [snapshot.underlying] * k.size,
            "expiry": [expiry_ns] * k.size,
            "tau": [tau] * k.size,
            "strike": float(fit.surface.forward(tau)) * np.exp(k),
            "log_moneyness": k,
            "model_iv": fit.surface.implied_vol(k, tau),
            "backbone_iv": beneath,
        }
    ).with_columns(pl.col("backbone_iv").fill_nan(None))
