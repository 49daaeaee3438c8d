"""Options whose settlement average runs while a snapshot is taken."""

from collections.abc import Callable, Iterable

from ivhedge.core.instruments import Instrument
from ivhedge.risk.marks import SettlementWindow

__all__ = ["running_averages"]


def running_averages(
    instruments: Iterable[Instrument], index: Callable[[str], float], ts_ns: int
) -> SettlementWindow:
    """Window in which the index of the moment stands for the mean so far, which snapshots do not hold.

    Parameters
    ----------
    instruments : iterable of Instrument
    index : callable
        USD price of an underlying now.
    ts_ns : int
    """
    window = SettlementWindow()
    running = {
        (item.underlying, item.expiry_ns)
        for item in instruments
        if item.is_option and item.expiry_ns is not None and 0 < item.expiry_ns - ts_ns < window.length_ns
    }
    return SettlementWindow(known={key: index(key[0]) for key in running})
