"""Exposures of a measured book, by the scopes that the controls limit."""

from collections.abc import Callable, Iterable

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.risk.controls.breach import Scope
from ivhedge.risk.controls.orders import Exposure, expiry_label
from ivhedge.risk.exposure import Exposures
from ivhedge.risk.legs import LegStatus

__all__ = ["scope_exposures"]


def scope_exposures(
    measured: Exposures,
    *,
    numeraire: str = "coin",
    underlyings: Iterable[str] = (),
    bucket: Callable[[int | None], str] = expiry_label,
) -> dict[Scope, Exposure]:
    """Sum a measured book by underlying, expiry bucket and venue, for `ControlState.exposures`.

    Parameters
    ----------
    measured : Exposures
    numeraire : str
        ``"coin"`` for premium-adjusted deltas and gammas, ``"usd"`` for those of the USD value (add cash
        in coin to the delta if it counts).
    underlyings : iterable of str
        Traded, though nothing may be held: they get zeros.
    bucket : callable
        Label of an expiry in ns, None for a perpetual; as in `OrderIntent.bucket`.

    Returns
    -------
    dict of Scope to Exposure
        A leg without a price makes its sums NaN, which refuses orders; expired legs are left out.

    Raises
    ------
    ConfigError
        If the numeraire is unknown.
    """
    if numeraire not in ("coin", "usd"):
        raise ConfigError(f"expected numeraire 'coin' or 'usd', found {numeraire!r}")
    names = (
        f"delta_{numeraire}",
        f"gamma_1pct_{numeraire}",
        "vega_usd_per_vol_point",
        "theta_usd_per_day",
    )
    rows = np.stack([np.asarray(measured.values[name], dtype=np.float64) for name in names], axis=1)
    sums = {Scope(name): np.zeros(4) for name in underlyings}
    for instrument, status, row in zip(
        measured.priced.instruments, measured.priced.status, rows, strict=True
    ):
        if status is LegStatus.EXPIRED:
            continue
        coin = instrument.underlying
        label = bucket(instrument.expiry_ns)
        for scope in (Scope(coin), Scope(coin, expiry=label), Scope(coin, venue=instrument.venue)):
            sums[scope] = sums.get(scope, 0.0) + row
    return {
        scope: Exposure(
            delta=float(total[0]),
            gamma_1pct=float(total[1]),
            vega_usd_per_vol_point=float(total[2]),
            theta_usd_per_day=float(total[3]),
        )
        for scope, total in sums.items()
    }
