"""What a check finds and answers."""

from dataclasses import dataclass
from math import isnan

from ivhedge.core.errors import LimitBreach
from ivhedge.risk.controls.catalog import Control, Level, Stage

__all__ = ["Breach", "Decision", "Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a number or a breach belongs to; None = all.

    Parameters
    ----------
    underlying : str or None
    expiry : str or None
        Label of the expiry bucket.
    venue : str or None
    instrument : str or None
        Key of the instrument, ``venue:name``.
    """

    underlying: str | None = None
    expiry: str | None = None
    venue: str | None = None
    instrument: str | None = None

    def __str__(self) -> str:
        parts = (self.underlying, self.expiry, self.venue, self.instrument)
        return " ".join(part for part in parts if part is not None) or "book"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One limit that is exceeded, or close to it (`Level.WARN`).

    Parameters
    ----------
    control : Control
    stage : Stage
        Where it was found. Only what is found while trading or on the books moves the trading state.
    level : Level
    measure : str
        Which number of the control: ``delta``, ``initial_use``, ``quote_age`` ...
    value, limit : float
        NaN as value = missing or not a number. The limit is the one that blocks (or halts, for `HALT`).
    unit : str
    scope : Scope
    message : str
        What was expected, what was found, what to do.
    client_id : str or None
        Of the order judged.
    """

    control: Control
    stage: Stage
    level: Level
    measure: str
    value: float
    limit: float
    unit: str
    scope: Scope
    message: str
    client_id: str | None = None

    @property
    def utilisation(self) -> float:
        """Value over limit; infinite where the value is missing or the limit is 0."""
        if isnan(self.value) or self.limit <= 0.0:
            return float("inf")
        return self.value / self.limit

    @property
    def cause(self) -> tuple[int, str, Scope]:
        """What identifies the same breach in a later check."""
        return (int(self.control), self.measure, self.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether orders may be sent, and every breach found, the worst first.

    A plan is accepted or refused as a whole.
    """

    allowed: bool
    breaches: tuple[Breach, ...] = ()

    @property
    def blocking(self) -> tuple[Breach, ...]:
        """Breaches that refuse the orders."""
        return tuple(b for b in self.breaches if b.level >= Level.BLOCK)

    @property
    def warnings(self) -> tuple[Breach, ...]:
        """Breaches that only warn."""
        return tuple(b for b in self.breaches if b.level is Level.WARN)

    def require(self) -> None:
        """Raise unless allowed.

        Raises
        ------
        LimitBreach
            With every blocking message.
        """
        if not self.allowed:
            raise LimitBreach("; ".join(b.message for b in self.blocking))
