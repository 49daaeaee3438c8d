"""Publications of a stream as JSON values and as tables on disk."""

import json
from pathlib import Path

import polars as pl

from ivhedge.app.streamview import Tally
from ivhedge.core.atomic import write_text
from ivhedge.core.errors import ConfigError
from ivhedge.core.units import format_ns
from ivhedge.engine.streaming import StreamFrame, VenueState
from ivhedge.surface.fusion import VenueHealth

__all__ = ["FrameTables", "frame_to_dict"]


def frame_to_dict(frame: StreamFrame) -> dict[str, object]:
    """A publication as JSON takes it; the same at any speed."""
    return {
        "number": frame.number,
        "ts_ns": frame.ts_ns,
        "time": format_ns(frame.ts_ns),
        "status": frame.status,
        "arbitrage_free": frame.arbitrage_free,
        "messages": frame.messages,
        "fits": frame.fits,
        "failed_fits": frame.failed_fits,
        "note": frame.note,
        "clock_back": frame.clock_back,
        "waiting_expiries": [format_ns(expiry) for expiry in frame.waiting_expiries],
        "expiries": [_expiry_to_dict(frame, i) for i in range(len(frame.expiries))],
        "venues": [_venue_to_dict(venue) for venue in frame.venues],
    }


def _expiry_to_dict(frame: StreamFrame, i: int) -> dict[str, object]:
    assert frame.snapshot is not None
    e, surface = frame.expiries[i], frame.snapshot.surface
    return {
        "expiry": format_ns(e.expiry_ns),
        "expiry_ns": e.expiry_ns,
        "tau": e.tau,
        "forward": e.forward,
        "atm_vol": e.atm_vol,
        "atm_error": e.atm_error,
        "skew_25d": e.skew,
        "quotes": e.quotes,
        "age_s": e.age_s,
        "stale": e.stale,
        "trust": e.trust.value,
        "reasons": list(e.reasons),
        "theta": float(surface.theta[i]),
        "rho": float(surface.rho[i]),
        "psi": float(surface.psi[i]),
    }


def _venue_to_dict(v: VenueState) -> dict[str, object]:
    seq = v.sequence
    return {
        "venue": v.name,
        "messages": v.messages,
        "used": v.used,
        "outcomes": dict(v.outcomes),
        "rate": v.rate,
        "lag_s": v.lag_s,
        "newest_ns": v.newest_ns,
        "health": None if v.health is None else _health_to_dict(v.health),
        "sequence": {
            "numbered": seq.numbered,
            "missing": seq.missing,
            "repeated": seq.repeated,
            "filled": seq.filled,
            "restarts": seq.restarts,
        },
    }


def _health_to_dict(health: VenueHealth) -> dict[str, object]:
    return {
        "state": health.state,
        "bias_status": health.bias_status,
        "level_bias": health.level_bias,
        "level_interval": None if health.level_interval is None else list(health.level_interval),
        "slope_bias": health.slope_bias,
        "slope_interval": None if health.slope_interval is None else list(health.slope_interval),
        "noise_scale": health.noise_scale,
        "copies": [{"venue": other, "correlation": share} for other, share in health.copies.items()],
    }


class FrameTables:
    """Collects publications; writes `surfaces.parquet`, `venues.parquet` and `summary.json`.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.

    Raises
    ------
    ConfigError
        If the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigError(
                f"--save: expected a folder, found: {folder}: {exc.strerror or exc}; choose another"
            ) from exc
        self._folder = folder
        self._surfaces: list[dict[str, object]] = []
        self._venues: list[dict[str, object]] = []

    def take(self, frame: StreamFrame) -> None:
        """Keep one publication."""
        whole = frame_to_dict(frame)
        stamp = {"number": frame.number, "ts_ns": frame.ts_ns, "status": frame.status}
        expiries, venues = whole["expiries"], whole["venues"]
        assert isinstance(expiries, list)
        assert isinstance(venues, list)
        self._surfaces += [{**stamp, **row} for row in expiries]
        for row in venues:
            flat = {**row, **{f"seq_{name}": count for name, count in row["sequence"].items()}}
            outcomes = {f"n_{name}": count for name, count in row["outcomes"].items()}
            del flat["sequence"], flat["outcomes"]
            self._venues.append({**stamp, **flat, **outcomes})

    def write(self, last: StreamFrame, tally: Tally) -> None:
        """Write what was kept.

        Raises
        ------
        ConfigError
            If a file cannot be written.
        """
        time = pl.col("ts_ns").cast(pl.Datetime("ns", "UTC")).alias("ts")
        try:
            for name, rows in (("surfaces", self._surfaces), ("venues", self._venues)):
                if rows:
                    table = pl.DataFrame(rows, infer_schema_length=None)
                    counts = [pl.col(c).fill_null(0) for c in table.columns if c.startswith("n_")]
                    table.with_columns(time, *counts).write_parquet(self._folder / f"{name}.parquet")
        except OSError as exc:
            raise ConfigError(
                f"--save: expected a place to write, found: {exc.strerror or exc}; choose another"
            ) from exc
        summary = {
            "publications": tally.frames,
            "certified": tally.certified,
            "held": tally.held,
            "waiting": tally.waiting,
            "failed_checks": tally.failed_checks,
            "last": frame_to_dict(last),
        }
        write_text(self._folder / "summary.json", json.dumps(summary, ensure_ascii=False, indent=2) + "\n")
