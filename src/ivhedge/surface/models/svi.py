"""Raw SVI, its natural and jump-wing forms, and the conversions between them.

    w(k) = a + b·(ρ(k − m) + √((k − m)² + σ²)),      b ≥ 0, |ρ| < 1, σ > 0, a + bσ√(1 − ρ²) > 0

References
----------
Gatheral, Jacquier (2014), Arbitrage-free SVI volatility surfaces, sections 3.1 to 3.3, lemmas 3.1 and 3.2.
"""

from dataclasses import asdict, dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.surface.models._checks import checked_points, require_params

__all__ = ["JumpWingSvi", "NaturalSvi", "RawSvi"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSvi:
    """Raw SVI slice of one expiry.

    Parameters
    ----------
    a : float
        Level of total variance.
    b : float
        Half the sum of the two wing slopes.
    rho : float
        Tilt.
    m, sigma : float
        Centre and width in log-moneyness.
    tau : float
        Years to the expiry of the slice.

    Raises
    ------
    ConfigError
        If tau > 0, b >= 0, sigma > 0, |rho| < 1 or a + b·sigma·√(1 − rho²) > 0 is violated. A slice may have
        butterfly arbitrage: `svi_arbitrage` decides.
    """

    a: float
    b: float
    rho: float
    m: float
    sigma: float
    tau: float

    def __post_init__(self) -> None:
        inside = abs(self.rho) < 1.0
        lowest = self.a + self.b * self.sigma * np.sqrt(1.0 - self.rho**2) if inside else np.inf
        require_params(
            "raw SVI",
            asdict(self),
            {
                "tau > 0": self.tau > 0.0,
                "b >= 0": self.b >= 0.0,
                "sigma > 0": self.sigma > 0.0,
                "|rho| < 1": inside,
                "a + b*sigma*sqrt(1 - rho^2) > 0": bool(lowest > 0.0),
            },
        )

    @property
    def min_variance(self) -> float:
        """Smallest total variance of the slice."""
        return self.a + self.b * self.sigma * float(np.sqrt((1.0 - self.rho) * (1.0 + self.rho)))

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike | None = None) -> FloatArray:
        """Total variance; at another `tau` the vol of the slice is kept.

        Raises
        ------
        DataError
            If a log-moneyness is not finite or a tau is not positive.
        """
        k, years = checked_points(log_moneyness, self.tau if tau is None else tau)
        return np.asarray(self.derivatives(k)[0] * (years / self.tau))

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike | None = None) -> FloatArray:
        """Implied vol, decimal; the same at every `tau`."""
        k, _ = checked_points(log_moneyness, self.tau if tau is None else tau)
        return np.asarray(np.sqrt(self.derivatives(k)[0] / self.tau))

    def derivatives(self, log_moneyness: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Total variance at the slice's own tau, its slope and its curvature in log-moneyness."""
        x = np.asarray(log_moneyness, dtype=np.float64) - self.m
        root = np.hypot(x, self.sigma)
        w = self.a + self.b * (self.rho * x + root)
        curvature = self.b * (self.sigma / root) ** 2 / root
        return np.asarray(w), np.asarray(self.b * (self.rho + x / root)), np.asarray(curvature)

    def natural(self) -> "NaturalSvi":
        """The same slice in natural parameters.

        Raises
        ------
        ConfigError
            If b = 0: the natural zeta of a flat smile is not determined.
        """
        if self.b == 0.0:
            raise ConfigError("raw SVI: expected b > 0 for natural parameters, found a flat smile, b = 0")
        root = float(np.sqrt((1.0 - self.rho) * (1.0 + self.rho)))
        omega = 2.0 * self.b * self.sigma / root
        return NaturalSvi(
            delta=self.a - 0.5 * omega * root * root,
            mu=self.m + self.rho * self.sigma / root,
            rho=self.rho,
            omega=omega,
            zeta=root / self.sigma,
            tau=self.tau,
        )

    def jump_wings(self) -> "JumpWingSvi":
        """The same slice in jump-wing parameters."""
        w, slope, _ = (float(x) for x in self.derivatives(0.0))
        root = float(np.sqrt(w))
        return JumpWingSvi(
            atm_variance=w / self.tau,
            atm_skew=0.5 * slope / root,
            put_slope=self.b * (1.0 - self.rho) / root,
            call_slope=self.b * (1.0 + self.rho) / root,
            min_variance=self.min_variance / self.tau,
            tau=self.tau,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalSvi:
    """Natural SVI: w = delta + omega/2·(1 + zeta·rho(k − mu) + √((zeta(k − mu) + rho)² + 1 − rho²)).

    Parameters
    ----------
    delta, omega : float
        Total variances.
    mu : float
        Log-moneyness at which w = delta + omega.
    rho, zeta : float
        Tilt and steepness.
    tau : float
        Years.

    Raises
    ------
    ConfigError
        If tau > 0, omega > 0, zeta > 0, |rho| < 1 or a positive smallest variance is violated.
    """

    delta: float
    mu: float
    rho: float
    omega: float
    zeta: float
    tau: float

    def __post_init__(self) -> None:
        require_params(
            "natural SVI",
            asdict(self),
            {
                "tau > 0": self.tau > 0.0,
                "omega > 0": self.omega > 0.0,
                "zeta > 0": self.zeta > 0.0,
                "|rho| < 1": abs(self.rho) < 1.0,
                "delta + omega*(1 - rho^2) > 0": self.delta + self.omega * (1.0 - self.rho**2) > 0.0,
            },
        )

    def raw(self) -> RawSvi:
        """The same slice in raw parameters (Gatheral, Jacquier 2014, equation 3.2)."""
        share = (1.0 - self.rho) * (1.0 + self.rho)
        return RawSvi(
            a=self.delta + 0.5 * self.omega * share,
            b=0.5 * self.omega * self.zeta,
            rho=self.rho,
            m=self.mu - self.rho / self.zeta,
            sigma=float(np.sqrt(share)) / self.zeta,
            tau=self.tau,
        )

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike | None = None) -> FloatArray:
        """As `RawSvi.total_variance`."""
        return self.raw().total_variance(log_moneyness, tau)

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike | None = None) -> FloatArray:
        """As `RawSvi.implied_vol`."""
        return self.raw().implied_vol(log_moneyness, tau)


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpWingSvi:
    """SVI by what a trader sees; vols and slopes are those of the annual vol.

    Parameters
    ----------
    atm_variance : float
        vol² at the money (v).
    atm_skew : float
        Slope of √w in k at the money (psi).
    put_slope, call_slope : float
        Wing slopes of w over √(w at the money) (p and c).
    min_variance : float
        Smallest vol² (ṽ).
    tau : float
        Years.

    Raises
    ------
    ConfigError
        If tau > 0, put_slope > 0, call_slope > 0, 0 < min_variance <= atm_variance or
        −put_slope < 2·atm_skew < call_slope is violated.
    """

    atm_variance: float
    atm_skew: float
    put_slope: float
    call_slope: float
    min_variance: float
    tau: float

    def __post_init__(self) -> None:
        require_params(
            "jump-wing SVI",
            asdict(self),
            {
                "tau > 0": self.tau > 0.0,
                "min_variance > 0": self.min_variance > 0.0,
                # To rounding: a slice that is lowest at the money gives equal numbers.
                "min_variance <= atm_variance": self.min_variance <= self.atm_variance * (1.0 + 1e-12),
                "put_slope >= 0": self.put_slope >= 0.0,
                "call_slope >= 0": self.call_slope >= 0.0,
            },
        )

    def raw(self) -> RawSvi:
        """The same slice in raw parameters.

        Raises
        ------
        ConfigError
            If no slice, or more than one, has these numbers: a smile that is lowest at the money
            (min_variance = atm_variance) does not determine sigma.

        Notes
        -----
        With sin β = m/√(m² + σ²) and sin r = ρ the depth of the smile is
        (v − ṽ)·tau = 2b√(m² + σ²)·sin²((β − r)/2), free of cancellation; this is lemma 3.2 of Gatheral and
        Jacquier (2014) in angles.
        """
        root = float(np.sqrt(self.atm_variance * self.tau))
        b = 0.5 * root * (self.put_slope + self.call_slope)
        if b == 0.0:
            raise ConfigError("jump-wing SVI: expected put_slope + call_slope > 0, found a flat smile")
        rho = (self.call_slope - self.put_slope) / (self.call_slope + self.put_slope)
        sine = rho - 2.0 * self.atm_skew * root / b
        if not (abs(sine) < 1.0 and abs(rho) < 1.0):
            raise ConfigError(
                "jump-wing SVI: expected -put_slope < 2*atm_skew < call_slope and positive slopes, found "
                f"{self.put_slope}, {self.atm_skew}, {self.call_slope}"
            )
        # The sign: the slope at the money is b·(ρ − sin(angle of −m)).
        depth = 2.0 * np.sin(0.5 * (np.arcsin(sine) - np.arcsin(rho))) ** 2
        fall = (self.atm_variance - self.min_variance) * self.tau
        if not (depth > 0.0 and fall > 0.0):
            raise ConfigError(
                "jump-wing SVI: expected min_variance < atm_variance and atm_skew != 0, found a smile "
                "that is lowest at the money, which does not determine sigma; keep the raw parameters"
            )
        radius = fall / (b * float(depth))
        sigma = radius * float(np.sqrt((1.0 - sine) * (1.0 + sine)))
        return RawSvi(
            a=self.min_variance * self.tau - b * sigma * float(np.sqrt((1.0 - rho) * (1.0 + rho))),
            b=b,
            rho=rho,
            m=radius * sine,
            sigma=sigma,
            tau=self.tau,
        )

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike | None = None) -> FloatArray:
        """As `RawSvi.total_variance`."""
        return self.raw().total_variance(log_moneyness, tau)

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike | None = None) -> FloatArray:
        """As `RawSvi.implied_vol`."""
        return self.raw().implied_vol(log_moneyness, tau)
