"""What is remembered of the venues between snapshots, and the tables read from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import polars as pl

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.surface.fusion.state import BiasState

__all__ = ["BiasStatus", "HeldQuotes", "VenueModel"]

_LEVEL, _SLOPE, _FORWARD = range(3)


class BiasStatus(StrEnum):
    """How the bias of a venue in an expiry is known."""

    REFERENCE = "reference"
    MEASURED = "measured"
    BORROWED = "borrowed"
    REMEMBERED = "remembered"
    UNIDENTIFIED = "unidentified"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldQuotes:
    """Last bias-corrected quotes of every venue, kept for when it drops; all of shape (q,).

    Parameters
    ----------
    venue : tuple of str
    expiry_ns, seen_ns : IntArray
    log_moneyness, vol, std_error : FloatArray
        Decimal vols.
    """

    venue: tuple[str, ...]
    expiry_ns: IntArray
    seen_ns: IntArray
    log_moneyness: FloatArray
    vol: FloatArray
    std_error: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueModel:
    """Venues' biases, noise and likeness: the memory of the fusion. Immutable; each snapshot makes a new one.

    Parameters
    ----------
    underlying : str
    anchor : str or None
    state : BiasState
    inflation : float
        Factor on the standard errors it shows.
    noise_scale, bad_share : Mapping of venue to float
        Error of good quotes in half-spreads (as quoted, aged and weighted by depth), and share of bad quotes.
    measured : BoolArray, shape (v, e)
        Ever measured beside another venue.
    present : BoolArray, shape (v, e)
        Quoted in the last snapshot.
    cross, count : FloatArray, shape (v, v)
        Sums behind the error correlations.
    correlation : FloatArray, shape (v, v)
        Of venues that count as copies, else 0.
    forward_bias, forward_error : FloatArray, shape (v, e)
        Log of the venue's forward over the consensus and its standard error; NaN where it has none.
    held : HeldQuotes
    lags : Mapping of venue to (lag, standard error)
        Seconds behind the leader, where `with_lags` gave them.
    """

    underlying: str
    anchor: str | None
    state: BiasState
    inflation: float
    noise_scale: Mapping[str, float]
    bad_share: Mapping[str, float]
    measured: BoolArray
    present: BoolArray
    cross: FloatArray
    count: FloatArray
    correlation: FloatArray
    forward_bias: FloatArray
    forward_error: FloatArray
    held: HeldQuotes
    lags: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def venues(self) -> tuple[str, ...]:
        """Venues known, sorted by name."""
        return self.state.venues

    def with_lags(self, lags: Mapping[str, tuple[float, float]]) -> "VenueModel":
        """Take over lags in seconds with standard errors, as from `lead_lag`."""
        return replace(self, lags=dict(lags))

    def status(self) -> list[list[BiasStatus]]:
        """Status of each venue (rows) and expiry (columns)."""
        known = self.measured.any()
        rows = []
        for v, name in enumerate(self.venues):
            row = []
            for e in range(self.state.expiry_ns.size):
                if name == self.anchor:
                    row.append(BiasStatus.REFERENCE)
                elif not known or not self.measured[v].any():
                    row.append(BiasStatus.UNIDENTIFIED)
                elif not self.present[v, e]:
                    row.append(BiasStatus.REMEMBERED)
                else:
                    row.append(BiasStatus.MEASURED if self.measured[v, e] else BiasStatus.BORROWED)
            rows.append(row)
        return rows

    def biases(self) -> pl.DataFrame:
        """Biases of every venue and expiry with standard errors.

        Returns
        -------
        pl.DataFrame
            ``venue, expiry, status, level_bias, level_error, slope_bias, slope_error, forward_bias,
            forward_error, noise_scale, lag_s, lag_error_s``. `expiry` is null for the venue's common part.
            Vols are decimals; the slope is per standard deviation ``ln(K/F) / (atm vol sqrt(tau))``
            limited to ±3; the forward bias is a log ratio, null where there is none. An ``unidentified``
            bias is its prior: mean 0, error the prior's standard deviation.
        """
        level, level_error = self.state.at(_LEVEL)
        slope, slope_error = self.state.at(_SLOPE)
        statuses = self.status()
        rows = []
        for v, name in enumerate(self.venues):
            lag, lag_error = self.lags.get(name, (None, None))
            common = _overall(statuses[v])
            for s in range(self.state.expiry_ns.size + 1):
                forward: float | None = None
                forward_error: float | None = None
                if s and np.isfinite(self.forward_bias[v, s - 1]):
                    forward = float(self.forward_bias[v, s - 1])
                    forward_error = float(self.forward_error[v, s - 1])
                rows.append(
                    (
                        name,
                        int(self.state.expiry_ns[s - 1]) if s else None,
                        (statuses[v][s - 1] if s else common).value,
                        float(level[v, s]),
                        float(level_error[v, s] * self.inflation),
                        float(slope[v, s]),
                        float(slope_error[v, s] * self.inflation),
                        forward,
                        forward_error,
                        self.noise_scale.get(name),
                        lag,
                        lag_error,
                    )
                )
        names = ["venue", "expiry", "status", "level_bias", "level_error", "slope_bias", "slope_error"]
        names += ["forward_bias", "forward_error", "noise_scale", "lag_s", "lag_error_s"]
        types: list[pl.DataType] = [pl.String(), pl.Int64(), pl.String(), *[pl.Float64()] * 9]
        table = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
        return table.with_columns(pl.from_epoch("expiry", "ns").dt.replace_time_zone("UTC"))

    def copies(self) -> dict[tuple[str, str], float]:
        """Pairs of venues that count as one opinion, with the correlation of their errors."""
        found = np.argwhere(np.triu(self.correlation) > 0.0)
        return {(self.venues[i], self.venues[j]): float(self.correlation[i, j]) for i, j in found}


def _overall(statuses: list[BiasStatus]) -> BiasStatus:
    for status in (BiasStatus.REFERENCE, BiasStatus.MEASURED, BiasStatus.BORROWED, BiasStatus.REMEMBERED):
        if status in statuses:
            return status
    return BiasStatus.UNIDENTIFIED
