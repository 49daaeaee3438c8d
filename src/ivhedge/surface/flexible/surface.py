"""The flexible surface: mixtures of lognormal kernels per expiry, joined in price."""

from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.errors import CalibrationError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.pricing import implied_vol
from ivhedge.surface.essvi import EssviSurface
from ivhedge.surface.flexible._mixture import mixture_parts, smile_from_parts, total_vols

__all__ = ["FlexibleSurface"]

SMALLEST_WEIGHT = 1e-14
FAR_LOG_PRICE, FAR_MONEYNESS = -600.0, 300.0
SQRT_2PI = float(np.sqrt(2.0 * np.pi))


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
    the last each kernel is widened by the last forward variance.
    """

    weight: FloatArray
    mean: FloatArray
    width: FloatArray
    mix: float
    backbone: EssviSurface
    expiries: IntArray
    taus: FloatArray
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
        object.__setattr__(self, "_slices", np.column_stack(self.backbone.slice_parameters(taus)))
        zero = np.zeros(1)
        atm = [self._smile(zero, *self._at_expiry(e))[:, 0] for e in range(taus.size)]
        object.__setattr__(self, "_atm", np.array([[v, self._price(v)] for v, _, _ in atm]))

    @staticmethod
    def _price(variance: float) -> float:
        from scipy.special import erf

        return float(erf(np.sqrt(variance / 8.0)))

    @property
    def underlying(self) -> str:
        """Coin the surface belongs to."""
        return self.backbone.underlying

    @property
    def ts_ns(self) -> int:
        """Time of the surface, nanoseconds since the epoch, UTC."""
        return self.backbone.ts_ns

    def _at_expiry(self, e: int, share: float = 1.0, extra: float = 0.0) -> tuple[FloatArray, ...]:
        """Components of one expiry: kernels (log weight, log mean, width) and its backbone slice."""
        kept = self.weight[e] > SMALLEST_WEIGHT
        weight = self.weight[e][kept] * ((1.0 - self.mix) * share)
        with np.errstate(divide="ignore"):
            return (
                np.log(weight),
                np.log(self.mean[e][kept]),
                np.sqrt(self.width[e][kept] ** 2 + extra),
                np.array([np.log(self.mix * share)]),
                self._slices[e : e + 1],
            )

    def _components(self, tau: float) -> tuple[FloatArray, ...]:
        """Components at a time from the first expiry on."""
        last = self.taus.size - 1
        if tau >= self.taus[last]:
            log_weight, centre, width, own, _ = self._at_expiry(last, extra=self._growth(tau))
            return log_weight, centre, width, own, np.array([self.backbone.slice_parameters(tau)])
        e = int(np.searchsorted(self.taus, tau, side="right")) - 1
        share = float((tau - self.taus[e]) / (self.taus[e + 1] - self.taus[e]))
        if share == 0.0:
            return self._at_expiry(e)
        first, low = (float(v) for v in self._atm[e])
        second, high = (float(v) for v in self._atm[e + 1])
        if high > low * (1.0 + 1e-12):
            price = self._price(first + share * (second - first))
            share = min(max((price - low) / (high - low), 0.0), 1.0)
        if share <= 0.0 or share >= 1.0:
            return self._at_expiry(e if share <= 0.0 else e + 1)
        pair = self._at_expiry(e, 1.0 - share), self._at_expiry(e + 1, share)
        return tuple(np.concatenate(both) for both in zip(*pair, strict=True))

    def _growth(self, tau: float) -> float:
        """Variance added to every kernel after the last expiry."""
        variance = self._atm[:, 0]
        if self.taus.size == 1:
            rate = float(variance[0] / self.taus[0])
        else:
            rate = max(float((variance[-1] - variance[-2]) / (self.taus[-1] - self.taus[-2])), 0.0)
        return rate * (tau - float(self.taus[-1]))

    @staticmethod
    def _smile(k: FloatArray, *components: FloatArray) -> FloatArray:
        """Total variance, slope and curvature of a list of components, shape (3, k)."""
        k = np.ascontiguousarray(k)
        parts = np.empty((4, k.size))
        log_weight, centre, width, share, slices = (np.ascontiguousarray(c) for c in components)
        mixture_parts(k, log_weight, centre, width, share, slices, parts)
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
        out = np.empty((3, flat_k.size))
        times, owner = np.unique(flat_tau, return_inverse=True)
        order = np.argsort(owner, kind="stable")
        ends = np.cumsum(np.bincount(owner, minlength=times.size))
        for time, stop, start in zip(times, ends, np.concatenate(([0], ends[:-1])), strict=True):
            rows = order[start:stop]
            held = max(float(time), float(self.taus[0]))
            out[:, rows] = self._smile(flat_k[rows], *self._components(held)) * min(time / held, 1.0)
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
        """Implied volatility, decimal; before the first expiry that of the first.

        Raises
        ------
        DataError
            If a log-moneyness is not finite, or a tau is negative or not finite.
        """
        years = np.asarray(tau, dtype=np.float64)
        if not np.isfinite(years).all() or (years < 0.0).any():
            raise DataError("expected tau in years, finite and >= 0; drop expired instruments first")
        held = np.maximum(years, self.taus[0])
        return np.asarray(np.sqrt(self.derivatives(log_moneyness, held)[0] / held))

    def forward(self, tau: ArrayLike) -> FloatArray:
        """Forward price in USD, the backbone's."""
        return self.backbone.forward(tau)
