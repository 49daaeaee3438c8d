"""Which margin profiles fit a book's settlement."""

from ivhedge.core.errors import ConfigError
from ivhedge.engine.desk import Desk
from ivhedge.risk.margin import MarginProfile, available_margin_profiles, load_margin_profile

__all__ = ["require_settlement"]

_COIN = "COIN"


def require_settlement(desk: Desk, profile: MarginProfile) -> None:
    """Refuse a profile that counts in dollars for positions that settle in coin.

    Parameters
    ----------
    desk : Desk
    profile : MarginProfile

    Raises
    ------
    ConfigError
        If so; the message names the shipped profiles that fit.
    """
    if profile.currency == _COIN:
        return
    venues = {p.instrument.venue for p in desk.book.positions}
    margined = {profile.venue} if profile.venue in venues else venues
    inverse = [
        p.instrument.key
        for p in desk.book.positions
        if p.instrument.is_inverse and p.instrument.venue in margined
    ]
    if inverse:
        shown = ", ".join(inverse[:3]) + (f" and {len(inverse) - 3} more" if len(inverse) > 3 else "")
        fitting = ", ".join(_fitting(desk.underlying)) or "none is shipped for it"
        raise ConfigError(
            f"margin profile {profile.name}: expected linear positions, settled in {profile.currency}, found "
            f"inverse ones, settled in {desk.underlying}: {shown}; choose a profile that counts in coin "
            f"({fitting}), or a book of linear contracts"
        )


def _fitting(underlying: str) -> list[str]:
    profiles = [load_margin_profile(name) for name in available_margin_profiles()]
    return [
        p.name for p in profiles if p.currency == _COIN and (not p.underlyings or underlying in p.underlyings)
    ]
