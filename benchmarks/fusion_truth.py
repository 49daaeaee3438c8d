"""Simulated markets of known truth for `fusion.py`: the venue study's snapshots and second-wise tapes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ivhedge.surface import EssviSurface, PackedQuotes, calibrate_essvi, essvi_total_variance
from ivhedge.surface.fusion import FusionSettings, VenueModel, VenueQuotes

VENUES = ("anchor", "bravo", "charlie", "delta", "echo")
LEVEL = np.array([0.0, 0.0030, -0.0045, 0.0060, 0.0100])
SLOPE = np.array([0.0, 0.0020, 0.0, -0.0025, 0.0040])
HALF = np.array([0.006, 0.012, 0.012, 0.018, 0.03])
COVERAGE = np.array([1.0, 0.6, 0.6, 0.45, 0.3])
N_EXPIRIES = np.array([12, 9, 9, 8, 6])
DAYS = np.array([1, 2, 3, 7, 14, 21, 30, 60, 90, 180, 270, 365])
TAUS = DAYS / 365.0
TS_NS = 1_767_614_400_000_000_000
EXPIRIES = TS_NS + DAYS * 86_400_000_000_000
STRIKES = 60
TIGHT = HALF <= 0.012
TIGHT[0] = False  # the anchor has no bias to find
CASES = {
    "none": (0.0, 0.0, False),
    "5% outliers + 5% stale": (0.05, 0.05, False),
    "20% outliers": (0.2, 0.0, False),
    "20% stale one-sided": (0.0, 0.2, False),
    "20% stale one-sided, timestamps": (0.0, 0.2, True),
    "30% outliers + 10% stale": (0.3, 0.1, False),
}
ANCHORED = FusionSettings(anchor="anchor")
BP = 1e4


def slices(tau: np.ndarray) -> tuple[np.ndarray, ...]:
    """Truth of the venue study."""
    theta = 0.36 * tau * (1.0 + 0.10 * (1.0 - np.exp(-tau / 0.3)))
    rho = -0.05 - 0.25 * (1.0 - np.exp(-tau / 0.25))
    return theta, rho, 1.08 * np.sqrt(theta) / (1.0 + 0.4 * np.sqrt(theta))


def true_vol(k: np.ndarray, tau: float) -> np.ndarray:
    """Vol of the truth."""
    return np.sqrt(essvi_total_variance(k, *slices(np.asarray(tau))) / tau)


@dataclass(slots=True)
class Rows:
    """Quotes of the venue study."""

    venue: np.ndarray
    expiry: np.ndarray
    k: np.ndarray
    vol: np.ndarray
    half: np.ndarray
    age: np.ndarray

    def pick(self, mask: np.ndarray) -> "Rows":
        """Some of them."""
        return Rows(*(getattr(self, name)[mask] for name in self.__slots__))

    def quotes(self, ts_ns: int = TS_NS) -> VenueQuotes:
        """As input of the fusion."""
        half = np.minimum(self.half, 0.9 * self.vol)
        packed = VenueQuotes.from_arrays(
            ts_ns=TS_NS,
            underlying="BTC",
            venue=[VENUES[v] for v in self.venue],
            expiry_ns=EXPIRIES[self.expiry],
            log_moneyness=self.k,
            bid_vol=self.vol - half,
            ask_vol=self.vol + half,
            age_s=self.age,
        )
        # The design has no time: a later snapshot keeps its tenors.
        return replace(packed, ts_ns=ts_ns)


def draw(seed: int, outliers: float, stale: float, timestamps: bool, factor: float = 1.0) -> Rows:
    """One snapshot of the venue study; `factor` moves all vols."""
    rng = np.random.default_rng(seed)
    parts = []
    for e, tau in enumerate(TAUS):
        unit = 0.62 * np.sqrt(tau)
        k = np.linspace(-2.4 * unit, 2.4 * unit * 0.95, STRIKES)
        truth = factor * true_vol(k, tau)
        sd = float(np.interp(0.0, k, truth)) * np.sqrt(tau)
        for v in range(5):
            if e >= N_EXPIRIES[v]:
                continue
            here = rng.random(STRIKES) < COVERAGE[v]
            n = int(here.sum())
            z = k[here] / sd
            half = HALF[v] * (1.0 + 0.5 * z * z)
            vol = truth[here] + LEVEL[v] + SLOPE[v] * z + 0.35 * half * rng.standard_normal(n)
            vol += (rng.random(n) < outliers) * rng.choice([-1, 1], n) * rng.uniform(0.03, 0.25, n)
            old = rng.random(n) < stale
            age = np.zeros(n)
            if timestamps:  # overlapping: a few fresh quotes are older than a few stale ones
                age = np.exp(np.where(old, np.log(600.0), np.log(5.0)) + rng.standard_normal(n))
            vol = np.maximum(vol + 0.04 * old, 0.03)
            parts.append((np.full(n, v), np.full(n, e), k[here], vol, half, age))
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def error_bp(
    surface: EssviSurface, n_expiries: int = 12, other: EssviSurface | None = None, factor: float = 1.0
) -> float:
    """Root mean square distance in vol from the truth or another surface, over the quoted range."""
    gaps = []
    for e in range(n_expiries):
        # Slice by slice, at the tenor it has: the design's smiles do not age.
        unit, at = 0.62 * np.sqrt(TAUS[e]), surface.taus[e]
        k = np.linspace(-2.4 * unit, 2.4 * unit * 0.95, STRIKES)
        right = factor * true_vol(k, TAUS[e]) if other is None else other.implied_vol(k, other.taus[e])
        gaps.append(surface.implied_vol(k, at) - right)
    return BP * float(np.sqrt(np.mean(np.concatenate(gaps) ** 2)))


def pooled(quotes: VenueQuotes) -> EssviSurface:
    """Spread- and age-weighted pooling without biases: the surface's own robust fit."""
    offsets = np.searchsorted(quotes.expiry, np.arange(quotes.expiry_ns.size + 1))
    weight = 1.0 / np.sqrt(quotes.variance)
    fit = calibrate_essvi(
        PackedQuotes(
            log_moneyness=quotes.log_moneyness,
            vol=quotes.vol,
            weight=weight,
            offsets=offsets,
            taus=quotes.taus,
        )
    )
    return EssviSurface(
        underlying="BTC",
        ts_ns=TS_NS,
        expiries=quotes.expiry_ns,
        taus=quotes.taus,
        theta=fit.params[:, 0],
        rho=fit.params[:, 1],
        psi=fit.params[:, 2],
        forwards=np.ones(quotes.taus.size),
    )


def rms(values: list[np.ndarray]) -> list[float]:
    """Per column."""
    return [round(float(x), 2) for x in np.sqrt(np.mean(np.square(values), axis=0))]


def bias_errors(
    model: VenueModel, truth: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, list, list]:
    """Errors of the common parts (bp) and standardised errors of common parts and of expiries."""
    level, level_error = model.state.at(0)
    slope, slope_error = model.state.at(1)
    scores, by_expiry = [], []
    for value, error, right in ((level, level_error, truth[0]), (slope, slope_error, truth[1])):
        error = error * model.inflation
        for v in range(len(model.venues)):
            if error[v, 0] > 0.0:
                scores.append((value[v, 0] - right[v]) / error[v, 0])
                by_expiry += [
                    (value[v, e + 1] - right[v]) / error[v, e + 1]
                    for e in range(model.state.expiry_ns.size)
                    if model.present[v, e]
                ]
    return BP * (level[:, 0] - truth[0]), BP * (slope[:, 0] - truth[1]), scores, by_expiry


def band(
    statistic: Callable[[np.ndarray], float], n: int, *, block: int = 1, draws: int = 500
) -> list[float]:
    """95 % interval of a statistic of rows 0..n-1, by a circular bootstrap of blocks of `block` rows.

    A row is a seed (independent, block 1) or a snapshot of a recording.
    """
    rng = np.random.default_rng(20260408)
    found = []
    for _ in range(draws):
        starts = rng.integers(0, n, -(-n // block))
        rows = ((starts[:, None] + np.arange(block)) % n).ravel()[:n]
        found.append(statistic(rows))
    return [round(float(x), 3) for x in np.quantile(found, (0.025, 0.975))]


def rmse_band(values: Sequence[np.ndarray], *, block: int = 1) -> dict:
    """Root mean square of rows of errors, with its interval."""
    squares = np.array([float(np.mean(np.square(v))) for v in values])

    def root(rows: np.ndarray) -> float:
        return float(np.sqrt(squares[rows].mean()))

    return {"rmse": round(root(np.arange(squares.size)), 2), "95%": band(root, squares.size, block=block)}


def inside_band(scores: Sequence[Sequence[float]], *, block: int = 1) -> dict:
    """Share of standardised errors inside the 95 % interval, rows by seed, with its own interval."""
    hit = np.array([float(np.sum(np.abs(s) < 1.96)) for s in scores])
    size = np.array([len(s) for s in scores], dtype=float)

    def share(rows: np.ndarray) -> float:
        return float(hit[rows].sum() / size[rows].sum())

    return {
        "share": round(share(np.arange(hit.size)), 4),
        "95%": band(share, hit.size, block=block),
        "n": int(size.sum()),
    }


def gain_band(ours: Sequence[float], theirs: Sequence[float]) -> dict:
    """``1 - mean(ours) / mean(theirs)`` with its interval, paired by seed."""
    a, b = np.array(ours), np.array(theirs)

    def gain(rows: np.ndarray) -> float:
        return float(1.0 - a[rows].mean() / b[rows].mean())

    return {"gain": round(gain(np.arange(a.size)), 3), "95%": band(gain, a.size)}


def max_mean(values: Sequence[float]) -> list[float]:
    """Mean and largest."""
    return [round(float(np.mean(values)), 2), round(float(np.max(values)), 2)]


def later(rows: Rows, seconds: float) -> VenueQuotes:
    return rows.quotes(TS_NS + int(seconds * 1e9))


def walked(rng: np.random.Generator, seconds: float) -> float:
    """Common factor by which vols move in a time, with a vol of vol of 100 % a year."""
    return float(np.exp(np.sqrt(seconds / 31_536_000.0) * rng.standard_normal()))


def tape(
    rng: np.random.Generator, seconds: int, start: int, *, renew: tuple[float, ...], jump: float
) -> list[np.ndarray]:
    """Second-wise mids of 60 instruments on five venues: a common walk, own noise, quotes renewed at random.

    With a jump, vols jump at `start` and venues renew half of their quotes a second from then on.
    """
    level = 0.6 + np.cumsum(0.6 * 1.0 / np.sqrt(31_536_000.0) * rng.standard_normal(seconds))
    level[start:] += jump
    shown = np.full((5, STRIKES), np.nan)
    shots = []
    for t in range(seconds):
        noise = 0.1 * HALF[:, None] * rng.standard_normal((5, STRIKES))
        rate = np.full(5, 0.5) if jump and t >= start else np.array(renew)
        new = rng.random((5, STRIKES)) < rate[:, None]
        shown = np.where(new | np.isnan(shown), level[t] + LEVEL[:, None] + noise, shown)
        shots.append(shown.copy())
    return shots
