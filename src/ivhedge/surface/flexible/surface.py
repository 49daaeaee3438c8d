"""The flexible surface: mixtures of lognormal kernels per expiry, joined in price."""

from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.errors import CalibrationError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.pricing import implied_vol
from ivhedge.surface.essvi import SHORTEST_TAU, EssviSurface
from ivhedge.surface.flexible._mixture import (
    atm_prices,
    backbone_parts,
    blend,
    kernel_parts,
    smile_from_parts,
    total_vols,
)

__all__ = ["FlexibleSurface", "smile_of_parts"]

FAR_LOG_PRICE, FAR_MONEYNESS = -600.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibleSurface:
    """Prices of each expiry: ``(1 - mix)·Σ_j weight_j·Black(mean_j, y, width_j) + mix·backbone``.

    Parameters
    ----------
    weight, mean, width : FloatArray, shape (n, m)
        Kernels on a forward of 1: weights >= 0, adding to 1 with mean 1 per expiry.
    mix : float
        Share of the backbone's price, in (0, 1].
    backbone : EssviSurface
        Gives wings, forwards and what lies beyond the last expiry.
    expiries : IntArray, shape (n,)
    taus : FloatArray, shape (n,)

    Raises
    ------
    CalibrationError
        If shapes differ, a number is out of its domain, or weights do not add up.

    Notes
    -----
    Between expiries prices are mixed at equal forward moneyness, with the weight that makes the total
    variance at the money linear in time; a mixture of two prices without arbitrage has none, and it rises
    from the earlier to the later one. Before the first expiry total variance is proportional to time. After
    the last each kernel is widened by the last forward variance. Time is that of the backbone's clock, if it
    has one: the surface is read at `VarianceClock.warped_tau`, which never falls and leaves expiries where
    they are. `proof` has the proofs.
    """

    weight: FloatArray
    mean: FloatArray
    width: FloatArray
    mix: float
    backbone: EssviSurface
    expiries: IntArray
    taus: FloatArray
    _log_weight: FloatArray = field(init=False, repr=False)
    _centre: FloatArray = field(init=False, repr=False)
    _slices: FloatArray = field(init=False, repr=False)
    _atm: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        taus = np.array(self.taus, dtype=np.float64)
        expiries = np.array(self.expiries, dtype=np.int64)
        shape = (taus.size, np.shape(self.weight)[-1] if np.ndim(self.weight) == 2 else 0)
        for name in ("weight", "mean", "width"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != shape or taus.size == 0 or not np.isfinite(values).all():
                raise CalibrationError(f"expected finite {name} of shape (n, m), found shape {values.shape}")
            if (values < 0.0).any() or (name != "weight" and (values == 0.0).any()):
                raise CalibrationError(f"expected {name} that is not negative, found {values.min()}")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        off = np.abs(np.stack((self.weight.sum(axis=1), (self.weight * self.mean).sum(axis=1))) - 1.0)
        if off.max() > 1e-9:
            raise CalibrationError(
                f"expected weights that add to 1 with mean 1, found them off by {off.max()}"
            )
        if not 0.0 < self.mix <= 1.0:
            raise CalibrationError(f"expected a mix in (0, 1], found {self.mix}")
        if expiries.shape != taus.shape or (np.diff(taus) <= 0.0).any() or not (taus > 0.0).all():
            raise CalibrationError("expected positive taus in ascending order and as many expiries")
        for name, array in (("taus", taus), ("expiries", expiries)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        with np.errstate(divide="ignore"):
            object.__setattr__(self, "_log_weight", np.log(self.weight))
        object.__setattr__(self, "_centre", np.log(self.mean))
        object.__setattr__(self, "_slices", np.column_stack(self.backbone.slice_parameters(taus)))
        at, zero = np.arange(taus.size), np.zeros(taus.size)
        parts = self._parts_at(zero, at, zero, self._slices)
        price = parts[0] * np.exp(parts[3])
        variance = implied_vol(price, 1.0, 1.0, 1.0, True) ** 2
        object.__setattr__(self, "_atm", np.column_stack((variance, price)))

    @property
    def underlying(self) -> str:
        """Coin the surface belongs to."""
        return self.backbone.underlying

    @property
    def ts_ns(self) -> int:
        """Time of the surface, nanoseconds since the epoch, UTC."""
        return self.backbone.ts_ns

    def own_time(self, tau: FloatArray) -> FloatArray:
        """Time in which the surface interpolates: years, on the clock of the backbone."""
        clock = self.backbone.clock
        return tau if clock is None else clock.warped_tau(self.ts_ns, self.expiries, tau)

    def _parts_at(self, k: FloatArray, row: IntArray, extra: FloatArray, slices: FloatArray) -> FloatArray:
        """Parts of the prices of expiries by number, kernels widened by `extra`, shape (4, k)."""
        parts, own = np.empty((4, k.size)), np.empty((4, k.size))
        kernel_parts(k, row, extra, self._log_weight, self._centre, self.width, parts)
        theta, rho, psi = np.ascontiguousarray(slices.T)
        backbone_parts(k, theta, rho, psi, own)
        with np.errstate(divide="ignore"):
            shares = np.log(np.array([1.0 - self.mix, self.mix]))
        blend(parts, np.full(k.size, shares[0]), own, np.full(k.size, shares[1]), parts)
        return parts

    def price_parts(self, k: FloatArray, held: FloatArray, tau: FloatArray) -> FloatArray:
        """Parts of prices out of the money, see `_mixture`, shape (4, k), from the first expiry on.

        Parameters
        ----------
        k, held, tau : FloatArray, shape (k,)
            Log-moneyness, own time at or after the first expiry, and years in the calendar.
        """
        last = self.taus.size - 1
        row = np.clip(np.searchsorted(self.taus, held, side="right") - 1, 0, last)
        beyond = held > self.taus[-1]
        extra = np.where(beyond, self._growth(held), 0.0)
        slices = self._slices[row]
        if beyond.any():
            slices[beyond] = np.column_stack(self.backbone.slice_parameters(tau[beyond]))
        parts = self._parts_at(k, row, extra, slices)
        share = self.later_share(held, row)
        mixed = np.flatnonzero(share > 0.0)
        if mixed.size:
            after = row[mixed] + 1
            later = self._parts_at(k[mixed], after, np.zeros(mixed.size), self._slices[after])
            both = parts[:, mixed]
            with np.errstate(divide="ignore"):
                blend(both, np.log1p(-share[mixed]), later, np.log(share[mixed]), both)
            parts[:, mixed] = both
        return parts

    def later_share(self, held: FloatArray, row: IntArray) -> FloatArray:
        """Share of the later expiry's price in that of a time after expiry `row`: rises with time."""
        share = np.zeros(held.size)
        inside = np.flatnonzero((row < self.taus.size - 1) & (held > self.taus[row]))
        e = row[inside]
        linear = (held[inside] - self.taus[e]) / (self.taus[e + 1] - self.taus[e])
        (first, low), (second, high) = self._atm[e].T, self._atm[e + 1].T
        rising = high > low * (1.0 + 1e-12)
        price = _atm_price(np.where(rising, first + linear * (second - first), first))
        share[inside] = np.where(rising, (price - low) / np.where(rising, high - low, 1.0), linear)
        return np.clip(share, 0.0, 1.0)

    def _growth(self, held: FloatArray) -> FloatArray:
        """Variance added to every kernel after the last expiry."""
        variance = self._atm[:, 0]
        if self.taus.size == 1:
            rate = float(variance[0] / self.taus[0])
        else:
            rate = max(float((variance[-1] - variance[-2]) / (self.taus[-1] - self.taus[-2])), 0.0)
        return np.maximum(rate * (held - float(self.taus[-1])), 0.0)

    def derivatives(
        self, log_moneyness: ArrayLike, tau: ArrayLike
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Total variance and its first two derivatives in log-moneyness, from those of the price.

        Raises
        ------
        DataError
            If a log-moneyness is not finite, or a tau is not positive and finite.
        """
        k, years = np.asarray(log_moneyness, dtype=np.float64), np.asarray(tau, dtype=np.float64)
        if not np.isfinite(k).all():
            raise DataError("expected finite log-moneyness ln(K / F); check strikes and forwards")
        if not np.isfinite(years).all() or not (years > 0.0).all():
            raise DataError("expected tau in years, finite and > 0; drop expired instruments first")
        shape = np.broadcast_shapes(k.shape, years.shape)
        flat_k, flat_tau = np.broadcast_to(k, shape).ravel(), np.broadcast_to(years, shape).ravel()
        own = self.own_time(flat_tau)
        held = np.maximum(own, self.taus[0])
        out = smile_of_parts(flat_k, self.price_parts(flat_k, held, flat_tau)) * (own / held)
        w, slope, curvature = out.reshape(3, *shape)
        return w, slope, curvature

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Total implied variance vol² · tau; 0 at tau = 0.

        Raises
        ------
        DataError
            If a log-moneyness is not finite, or a tau is negative or not finite.
        """
        years = np.asarray(tau, dtype=np.float64)
        held = np.where(years == 0.0, self.taus[0], years)
        return np.where(years == 0.0, 0.0, self.derivatives(log_moneyness, held)[0])

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Implied volatility, decimal; before the first expiry that of the first, unless on a clock.

        Raises
        ------
        DataError
            If a log-moneyness is not finite, or a tau is negative or not finite.
        """
        years = np.asarray(tau, dtype=np.float64)
        if not np.isfinite(years).all() or (years < 0.0).any():
            raise DataError("expected tau in years, finite and >= 0; drop expired instruments first")
        # As in `EssviSurface`: on a clock the vol depends on time there, down to a limit.
        shortest = self.taus[0] if self.backbone.clock is None else min(self.taus[0], SHORTEST_TAU)
        held = np.maximum(years, shortest)
        return np.asarray(np.sqrt(self.derivatives(log_moneyness, held)[0] / held))

    def forward(self, tau: ArrayLike) -> FloatArray:
        """Forward price in USD, the backbone's."""
        return self.backbone.forward(tau)


def _atm_price(variance: FloatArray) -> FloatArray:
    """Black price at the money, forward 1."""
    out = np.empty(variance.size)
    atm_prices(np.ascontiguousarray(variance).ravel(), out)
    return out.reshape(variance.shape)


def smile_of_parts(k: FloatArray, parts: FloatArray) -> FloatArray:
    """Total variance, slope and curvature, shape (3, k), of prices given by their parts."""
    k = np.ascontiguousarray(k)
    log_price = parts[3] + np.log(parts[0])
    # Deep in a wing: from p of about exp(-d²/2), a total vol that is too small.
    depth = np.sqrt(np.maximum(-2.0 * log_price, 0.0))
    vol = np.sqrt(depth * depth + 2.0 * np.abs(k)) - depth
    near = (log_price > FAR_LOG_PRICE) & (np.abs(k) < FAR_MONEYNESS)
    vol[near] = implied_vol(np.exp(log_price[near]), 1.0, np.exp(k[near]), 1.0, k[near] >= 0.0)
    far = ~near
    if far.any():
        found = vol[far]
        total_vols(k[far], log_price[far], found, 60)
        vol[far] = found
    smile = np.empty((3, k.size))
    smile_from_parts(k, parts, vol, smile)
    return smile
