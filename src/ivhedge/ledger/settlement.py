"""What a contract pays at expiry, exactly, and what the last minutes before it are marked at."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from ivhedge.core.errors import LedgerError, MissingPrice
from ivhedge.core.instruments import Instrument
from ivhedge.ledger.exact import require_decimal, require_positive
from ivhedge.ledger.valuation import contract_value

__all__ = ["blended_settlement_price", "option_payoff", "settlement_value", "time_weighted_price"]

_WINDOW_MINUTES = 30


def option_payoff(instrument: Instrument, settlement_price: Decimal) -> Fraction:
    """Payoff of an option per unit of its underlying coin, unrounded.

    Parameters
    ----------
    instrument : Instrument
        An option.
    settlement_price : Decimal
        USD, above 0.

    Returns
    -------
    Fraction
        In coin for a coin-settled option, ``max(S − K, 0) / S`` for a call and ``max(K − S, 0) / S`` for a
        put; in USD, without the division, for the others.

    Raises
    ------
    LedgerError
        If the instrument is no option or the price is not a positive Decimal.

    Notes
    -----
    A coin-settled put has no bound in coin: it pays ``K/S − 1``, more than one coin below ``K/2``.
    """
    if instrument.strike is None or instrument.is_call is None:
        raise LedgerError(f"{instrument.key}: expected an option, found a {instrument.kind}")
    price = Fraction(require_positive(settlement_price, f"{instrument.key} settlement price"))
    difference = price - Fraction(instrument.strike)
    intrinsic = max(difference if instrument.is_call else -difference, Fraction(0))
    return intrinsic / price if instrument.is_inverse else intrinsic


def settlement_value(instrument: Instrument, quantity: Decimal, settlement_price: Decimal) -> Fraction:
    """Value of a position at its settlement price, exact, in the settlement currency.

    Parameters
    ----------
    instrument : Instrument
    quantity : Decimal
        Contracts, positive = long.
    settlement_price : Decimal
        USD, above 0.

    Returns
    -------
    Fraction
        For an option what is paid in cash; for a future the value that the cost basis is taken from (see
        `ivhedge.ledger.valuation`).
    """
    if instrument.is_option:
        per_contract = Fraction(instrument.multiplier) * option_payoff(instrument, settlement_price)
    else:
        require_positive(settlement_price, f"{instrument.key} settlement price")
        per_contract = contract_value(instrument, settlement_price)
    return Fraction(quantity) * per_contract


def time_weighted_price(samples: Sequence[Decimal]) -> Fraction:
    """Mean of equally spaced index samples, exact: the settlement price of a full window.

    Raises
    ------
    MissingPrice
        If there is no sample.
    LedgerError
        If a sample is not a positive Decimal.
    """
    if not samples:
        raise MissingPrice("expected index samples of the settlement window, found none; wait for the index")
    prices = [Fraction(require_positive(sample, "index sample")) for sample in samples]
    return sum(prices, Fraction(0)) / len(prices)


def blended_settlement_price(
    forward: Decimal, window_twap: Decimal, minutes_elapsed: Decimal, *, window_minutes: int = _WINDOW_MINUTES
) -> Fraction:
    """Expected settlement price inside the averaging window.

    Parameters
    ----------
    forward : Decimal
        Forward of the expiry, USD.
    window_twap : Decimal
        Mean of the index since the window opened, USD.
    minutes_elapsed : Decimal
        Minutes inside the window, 0 to `window_minutes`.
    window_minutes : int
        Length of the window; 30 on the venues of the shipped profiles.

    Returns
    -------
    Fraction
        ``(1 − n/N)·F + (n/N)·TWAP_n``, USD.

    Raises
    ------
    LedgerError
        If an argument is no Decimal, not positive, or the time lies outside the window.
    """
    elapsed = Fraction(require_decimal(minutes_elapsed, "minutes elapsed"))
    if not 0 <= elapsed <= window_minutes:
        raise LedgerError(
            f"expected 0 to {window_minutes} minutes inside the window, found {minutes_elapsed}"
        )
    share = elapsed / window_minutes
    fixed = Fraction(require_positive(window_twap, "window TWAP"))
    return (1 - share) * Fraction(require_positive(forward, "forward")) + share * fixed
