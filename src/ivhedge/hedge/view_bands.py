"""Vega targets of a view as bands that a plan takes."""

from ivhedge.core.errors import ConfigError
from ivhedge.forecast.view import VolView
from ivhedge.hedge.limits import Band, Numeraire, TenorBand

__all__ = ["view_bands"]


def view_bands(
    view: VolView, *, half_width_usd: float, numeraire: Numeraire = Numeraire.COIN, index: float | None = None
) -> tuple[TenorBand, ...]:
    """Bands around a view's targets, for `HedgeLimits.vega`.

    Parameters
    ----------
    view : VolView
    half_width_usd : float
        How far vega may be from its target, USD per vol point; inside it cost decides.
    numeraire : Numeraire
        Of the limits that take the bands.
    index : float, optional
        USD per coin; needed for the coin numeraire.

    Returns
    -------
    tuple of TenorBand
        One per target. Tenors without a target get none: hedge them with bands of your own.

    Raises
    ------
    ConfigError
        If the width is negative, or the index is missing where it is needed.
    """
    if not half_width_usd >= 0.0:
        raise ConfigError(f"expected half_width_usd at or above 0, found {half_width_usd}")
    unit = 1.0
    if Numeraire(numeraire) is Numeraire.COIN:
        if index is None or not 0.0 < index < float("inf"):
            raise ConfigError(f"expected the index in USD for bands in coin, found {index}")
        unit = 1.0 / index
    return tuple(
        TenorBand(t.min_days, t.max_days, Band.around(half_width_usd * unit, t.vega_usd * unit))
        for t in view.targets
    )
