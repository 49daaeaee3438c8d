"""What a volatility surface is to the rest of the system."""

from typing import Protocol

from ivhedge.core.types import ArrayLike, FloatArray, IntArray

__all__ = ["VolSurface"]


class VolSurface(Protocol):
    """An implied-volatility surface of one underlying at one time.

    `log_moneyness` is ``ln(K / F(tau))`` on the forward of the same expiry; `tau` is in years from the
    surface's own time. All array arguments broadcast.
    """

    @property
    def underlying(self) -> str:
        """Coin the surface belongs to."""
        ...

    @property
    def ts_ns(self) -> int:
        """Time of the surface, nanoseconds since the epoch, UTC."""
        ...

    @property
    def expiries(self) -> IntArray:
        """Fitted expiries, ascending, nanoseconds since the epoch, shape (n,)."""
        ...

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Total implied variance ``vol**2 * tau``."""
        ...

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Implied volatility, decimal."""
        ...

    def forward(self, tau: ArrayLike) -> FloatArray:
        """Forward price, USD."""
        ...
