"""What a stream remembers of its publications: slices of many quotes, and how fast vols move."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.surface.stream import _kernel as kernel

__all__ = ["Memory"]

_START_VOL, _START_RHO, _START_B = 0.01, 0.05, 0.2  # errors of the surface a stream starts from
_TREND_S = 15.0  # half-life of the measured speed of vols
_FADE_S = 30.0  # half-life of the belief in it without a quote
_FRESH_NS = 1_000_000_000
_UPPER = np.triu_indices(3)


@dataclass(slots=True)
class Memory:
    """Parameters (a, rho, b) of well-quoted slices with covariance, time, ln forward; vols and their speed.

    Also the ln forwards as published, and when they were last quoted.

    Only slices with fewer than `kernel.FEW` quotes lean on it; the speed is in error bars alone. So a surface
    of enough quotes hangs on the quotes and on no memory.
    """

    params: FloatArray
    covariance: FloatArray
    at_ns: IntArray
    log_forward: FloatArray
    vol: FloatArray
    vol_ns: IntArray
    speed: FloatArray
    carried: FloatArray
    forward_ns: IntArray

    @classmethod
    def of(cls, slices: FloatArray, ts_ns: int) -> "Memory":
        """What a start knows."""
        a, b = slices[:, 0], slices[:, 2]
        spread = np.stack((2.0 * np.sqrt(a) * _START_VOL, np.full(a.size, _START_RHO), _START_B * b), axis=1)
        return cls(
            params=slices[:, :3].copy(),
            covariance=spread[:, :, None] * spread[:, None, :] * np.eye(3),
            at_ns=np.full(a.size, ts_ns),
            log_forward=slices[:, kernel.S_LOG_F].copy(),
            vol=np.full(a.size, np.nan),
            vol_ns=np.full(a.size, ts_ns),
            speed=np.zeros(a.size),
            carried=slices[:, kernel.S_LOG_F].copy(),
            forward_ns=np.full(a.size, ts_ns),
        )

    def carry(self, slices: FloatArray, forward_ns: IntArray) -> None:
        """Move the forwards of slices not quoted since the last publication by the median move of the others.

        Of the others those quoted within a second of the newest are asked. What a slice's forward has done
        between its own last quote and the publication is not seen: publish often.
        """
        own = slices[:, kernel.S_LOG_F]
        quoted = forward_ns > self.forward_ns
        fresh = quoted & (forward_ns >= forward_ns.max() - _FRESH_NS)
        if fresh.any():
            slices[~quoted, kernel.S_LOG_F] += np.median((own - self.carried)[fresh])
        self.carried, self.forward_ns = own.copy(), forward_ns.copy()

    def lean(self, slices: FloatArray, ts_ns: int, cfg: FloatArray) -> None:
        """Write what is known at a time into the slices: the covariance grown by time, spot and speed."""
        seconds = np.maximum(ts_ns - self.at_ns, 0) / 1e9
        moved = cfg[kernel.BETA] * (slices[:, kernel.S_LOG_F] - self.log_forward)
        drift = cfg[kernel.Q_TIME] * seconds * 1e9 / kernel.NS_PER_YEAR + moved**2 + self.ahead(seconds)
        a, _, b = self.params.T
        grown = self.covariance.copy()
        grown[:, 0, 0] += 4.0 * a * drift
        grown[:, 1, 1] += drift / a
        grown[:, 2, 2] += b * b * drift / a
        slices[:, kernel.ANCHOR : kernel.INFO] = self.params
        kernel.invert(grown)
        slices[:, kernel.INFO : kernel.WHOLE] = grown[:, _UPPER[0], _UPPER[1]]

    def ahead(self, seconds: FloatArray) -> FloatArray:
        """Variance of vols that went on at their speed for this long, the speed fading.

        So a jump followed by silence may go on by twice as much again.
        """
        path = (1.0 - 2.0 ** (-seconds / _FADE_S)) * _FADE_S / np.log(2.0)
        return np.asarray((self.speed * path) ** 2)

    def learn(
        self,
        slices: FloatArray,
        covariance: FloatArray,
        enough: BoolArray,
        newest_ns: IntArray,
        mean_age_ns: FloatArray,
        ts_ns: int,
    ) -> None:
        """Take over the slices that have quotes enough, and the speed of those with new quotes."""
        self.params[enough] = slices[enough, :3]
        self.covariance[enough] = covariance[enough]
        # What is known is as old as the quotes it rests on.
        self.at_ns[enough] = ts_ns - mean_age_ns[enough].astype(np.int64)
        self.log_forward[enough] = slices[enough, kernel.S_LOG_F]
        now = np.sqrt(slices[:, 0])
        # From what a stream started with to its first quotes is no move of the market.
        first = enough & np.isnan(self.vol)
        self.vol[first], self.vol_ns[first] = now[first], ts_ns
        fresh = enough & (newest_ns > self.vol_ns) & (ts_ns > self.vol_ns)
        seconds = np.maximum(ts_ns - self.vol_ns, 1) / 1e9
        share = 1.0 - 2.0 ** (-seconds / _TREND_S)
        self.speed[fresh] += (share * ((now - self.vol) / seconds - self.speed))[fresh]
        self.vol[fresh], self.vol_ns[fresh] = now[fresh], ts_ns
