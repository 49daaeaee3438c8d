"""Small generators of quotes with a known truth: eSSVI, Heston and Bates smiles, and whole chains."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from ivhedge.core.units import NS_PER_DAY, to_ns
from ivhedge.market import CHAIN_SCHEMA
from ivhedge.pricing import black76_price, implied_vol
from ivhedge.surface import EssviSurface, PackedQuotes, essvi_total_variance

DAYS = np.array([1, 2, 3, 7, 14, 30, 60, 90, 180, 365])
TS_NS = to_ns(datetime(2026, 1, 5, 12, tzinfo=UTC))
MODELS = {
    # v0, kappa, theta, xi, rho, jump intensity, mean and deviation
    "heston": (0.36, 3.0, 0.42, 1.8, -0.25, 0.0, 0.0, 0.0),
    "bates": (0.30, 3.0, 0.36, 1.6, -0.25, 6.0, -0.03, 0.09),
}


def bates_vols(model: str, k: np.ndarray, tau: float) -> np.ndarray:
    """Implied vols by Lewis' integral of the characteristic function (forward 1)."""
    v0, kappa, theta, xi, rho, lam, jump, jump_sd = MODELS[model]
    nodes, weights = np.polynomial.legendre.leggauss(64)
    edges = np.linspace(0.0, 60.0 / np.sqrt(max(v0, theta) * tau), 41)
    half = 0.5 * np.diff(edges)[:, None]
    u = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * nodes).ravel()
    z = 1j * (u - 0.5j)
    d = np.sqrt((rho * xi * z - kappa) ** 2 + xi * xi * (z - z * z))
    g = (kappa - rho * xi * z - d) / (kappa - rho * xi * z + d)
    decay = np.exp(-d * tau)
    level = kappa * theta / xi**2 * ((kappa - rho * xi * z - d) * tau - 2 * np.log((1 - g * decay) / (1 - g)))
    slope = (kappa - rho * xi * z - d) / xi**2 * (1 - decay) / (1 - g * decay)
    mean = np.exp(jump + 0.5 * jump_sd**2) - 1
    jumps = lam * tau * (np.exp(z * jump + 0.5 * z * z * jump_sd**2) - 1 - z * mean)
    phi = np.exp(level + slope * v0 + jumps) * (half * weights).ravel() / (u * u + 0.25)
    call = 1.0 - np.exp(0.5 * k) / np.pi * (np.exp(-1j * np.outer(k, u)) @ phi).real
    price = np.where(k >= 0, call, call - 1.0 + np.exp(k))
    return implied_vol(price, 1.0, np.exp(k), tau, k >= 0)


@dataclass(frozen=True, slots=True)
class Noisy:
    """Packed quotes, and what they were made from."""

    quotes: PackedQuotes
    truth: np.ndarray
    half_spread: np.ndarray
    bad: np.ndarray

    def rmse(self, params: np.ndarray) -> float:
        """Error of fitted slices against the truth, decimal vol."""
        owner = self.quotes.owner
        variance = essvi_total_variance(self.quotes.log_moneyness, *params[owner].T)
        fitted = np.sqrt(variance / self.quotes.taus[owner])
        return float(np.sqrt(np.mean((fitted - self.truth) ** 2)))


def essvi_params(taus: np.ndarray) -> np.ndarray:
    """A crypto-like term structure of slices without arbitrage."""
    theta = 0.36 * taus * (1.0 + 0.1 * (1.0 - np.exp(-taus / 0.3)))
    rho = -0.05 - 0.2 * (1.0 - np.exp(-taus / 0.25))
    psi = 1.08 * np.sqrt(theta) / (1.0 + 0.4 * np.sqrt(theta))
    return np.column_stack((theta, rho, psi))


@pytest.fixture(scope="session")
def noisy() -> Callable[..., Noisy]:
    """Maker of noisy quotes: model, share of outliers, seed, noise in half-spreads."""
    truths: dict[str, list[np.ndarray]] = {}
    taus = DAYS / 365.0
    moneyness = [0.62 * np.sqrt(tau) * np.linspace(-2.6, 2.4, 40) for tau in taus]

    def make(model: str, *, outliers: float = 0.0, seed: int = 0, noise: float = 0.5) -> Noisy:
        rng = np.random.default_rng(seed)
        if model not in truths:
            truths[model] = [
                np.sqrt(essvi_total_variance(k, *row) / tau)
                if model == "essvi"
                else bates_vols(model, k, tau)
                for k, tau, row in zip(moneyness, taus, essvi_params(taus), strict=True)
            ]
        truth, k = np.concatenate(truths[model]), np.concatenate(moneyness)
        half = 0.006 * (1.0 + np.abs(k) / np.repeat(0.62 * np.sqrt(taus), 40))
        vol = truth + noise * half * rng.uniform(-1.0, 1.0, k.size)
        bad = rng.random(k.size) < outliers
        vol = np.where(bad, vol + rng.choice([-1.0, 1.0], k.size) * rng.uniform(0.05, 0.25, k.size), vol)
        quotes = PackedQuotes(
            log_moneyness=k,
            vol=np.maximum(vol, 0.05),
            weight=1.0 / half,
            offsets=np.arange(taus.size + 1) * 40,
            taus=taus,
        )
        return Noisy(quotes, truth, half, bad)

    return make


@pytest.fixture(scope="session")
def truth_surface() -> EssviSurface:
    """An arbitrage-free surface from 1 day to 1 year, forwards rising at 5 % a year."""
    taus = DAYS / 365.0
    params = essvi_params(taus)
    return EssviSurface(
        underlying="BTC",
        ts_ns=TS_NS,
        expiries=TS_NS + DAYS * NS_PER_DAY,
        taus=taus,
        theta=params[:, 0],
        rho=params[:, 1],
        psi=params[:, 2],
        forwards=90_000.0 * np.exp(0.05 * taus),
        index=90_000.0,
    )


@pytest.fixture(scope="session")
def chain_of() -> Callable[..., pl.DataFrame]:
    """Maker of an option chain quoted around a surface, in coin."""

    def make(
        surface: EssviSurface,
        *,
        venue: str = "aurora",
        half_spread: float = 0.005,
        bias: float = 0.0,
        age_s: float | None = None,
        n_strikes: int = 25,
    ) -> pl.DataFrame:
        parts = []
        for expiry, tau in zip(surface.expiries.tolist(), surface.taus.tolist(), strict=True):
            forward = float(surface.forward(tau))
            k = np.linspace(-2.2, 2.2, n_strikes) * float(np.sqrt(surface.total_variance(0.0, tau)))
            strike = np.repeat(forward * np.exp(k), 2)
            is_call = np.tile([True, False], k.size)
            vol = np.repeat(surface.implied_vol(k, tau), 2) + bias
            bid, ask = (
                black76_price(forward, strike, tau, vol + side, is_call) / forward
                for side in (-half_spread, half_spread)
            )
            kind = np.where(is_call, "C", "P")
            names = [f"{surface.underlying}-{expiry}-{i // 2}-{c}" for i, c in enumerate(kind)]
            count = strike.size
            parts.append(
                pl.DataFrame(
                    {
                        "ts": [surface.ts_ns] * count,
                        "venue": [venue] * count,
                        "underlying": [surface.underlying] * count,
                        "instrument_name": names,
                        "expiry": [expiry] * count,
                        "strike": strike,
                        "is_call": is_call,
                        "settlement": ["coin"] * count,
                        "bid": bid,
                        "ask": ask,
                        "bid_size": [1.0] * count,
                        "ask_size": [1.0] * count,
                        "mark": 0.5 * (bid + ask),
                        "mark_iv": vol,
                        "forward": [forward] * count,
                        "index": [surface.index] * count,
                        "open_interest": [1.0] * count,
                        "ts_event": [None if age_s is None else surface.ts_ns - round(age_s * 1e9)] * count,
                        "ts_recv": [None] * count,
                    },
                    schema_overrides={
                        "ts_event": pl.Int64(),
                        "ts_recv": pl.Int64(),
                        "index": pl.Float64(),
                    },
                )
            )
        table = pl.concat(parts).with_columns(
            (pl.from_epoch(pl.col(name), time_unit="ns").dt.replace_time_zone("UTC"))
            for name in ("ts", "expiry", "ts_event", "ts_recv")
        )
        return table.select(pl.col(name).cast(kind) for name, kind in CHAIN_SCHEMA.items())

    return make


@pytest.fixture(scope="session")
def small(truth_surface: EssviSurface) -> EssviSurface:
    """Three expiries close to each other: twenty days, and two and five days more."""
    taus = np.array([20.0, 22.0, 25.0]) / 365.0
    theta, rho, psi = truth_surface.slice_parameters(taus)
    return replace(
        truth_surface,
        expiries=truth_surface.ts_ns + np.array([20, 22, 25]) * NS_PER_DAY,
        taus=taus,
        theta=theta,
        rho=rho,
        psi=psi,
        forwards=truth_surface.forward(taus),
    )
