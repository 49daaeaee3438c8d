"""Why an implied volatility exists or does not."""

from enum import IntEnum

__all__ = ["IvStatus"]

_REMEDIES = {
    0: "implied volatility found",
    1: "price below intrinsic value: check the forward, or use the out-of-the-money option of the strike",
    2: "price at or above its maximum (forward for a call, strike for a put): check units and the quote",
    3: "price equals intrinsic value, no time value is left: use the out-of-the-money option of the strike",
    4: "expected finite inputs with forward, strike and tau positive: clean the quotes first",
    5: "no vol of at least 1e-290 found: check the units of price, forward and strike",
}


class IvStatus(IntEnum):
    """Outcome of one implied-volatility inversion; the value is NaN exactly where it is not `OK`."""

    OK = 0
    BELOW_INTRINSIC = 1
    ABOVE_MAXIMUM = 2
    NO_TIME_VALUE = 3
    BAD_INPUT = 4
    NOT_CONVERGED = 5

    def describe(self) -> str:
        """Say in words what happened and what to do about it."""
        return _REMEDIES[self.value]
