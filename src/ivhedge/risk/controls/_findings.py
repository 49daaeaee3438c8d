"""Collects breaches: the one place where a number is held against its limit."""

from math import inf, isfinite, nan

from ivhedge.core.units import NS_PER_SECOND
from ivhedge.risk.controls.breach import Breach, Decision, Scope
from ivhedge.risk.controls.catalog import Control, Level, Stage


class Findings:
    """Breaches found so far, by one check, for one order at a time."""

    __slots__ = ("breaches", "client_id", "stage", "warn")

    def __init__(self, stage: Stage, warn: float) -> None:
        self.breaches: list[Breach] = []
        self.client_id: str | None = None
        self.stage = stage
        self.warn = warn

    def decision(self) -> Decision:
        """Answer, worst breach first."""
        found = self.breaches
        if not found:
            return _CLEAR
        found.sort(key=lambda b: -b.level)
        return Decision(allowed=found[0].level < Level.BLOCK, breaches=tuple(found))

    def add(
        self,
        control: Control,
        level: Level,
        measure: str,
        scope: Scope,
        message: str,
        *,
        value: float = nan,
        limit: float = 0.0,
        unit: str = "",
    ) -> None:
        """Note a breach."""
        self.breaches.append(
            Breach(
                control=control,
                stage=self.stage,
                level=level,
                measure=measure,
                value=value,
                limit=limit,
                unit=unit,
                scope=scope,
                message=f"control {control:d}, {scope}: {message}",
                client_id=self.client_id,
            )
        )

    def missing(self, control: Control, measure: str, scope: Scope, todo: str) -> None:
        """Note that a number is not known: blocks."""
        self.add(control, Level.BLOCK, measure, scope, f"expected {measure}, found none; {todo}")

    def cap(
        self,
        control: Control,
        measure: str,
        scope: Scope,
        value: float | None,
        limit: float,
        unit: str,
        todo: str,
        *,
        halt: float | None = None,
        warns: bool = True,
    ) -> bool:
        """Hold a number against its limit; tell whether it passes (a warning passes).

        Missing, NaN and infinite numbers block whatever the limit.
        """
        if value is None:
            self.missing(control, measure, scope, todo)
            return False
        if -inf < value <= self.warn * limit and value < inf:
            return True
        if not isfinite(value):
            text = f"expected a finite {measure}, found {value}; {todo}"
            self.add(control, Level.BLOCK, measure, scope, text, value=nan, limit=limit, unit=unit)
            return False
        if value <= limit:
            if warns:
                text = f"{measure} {value:.6g} {unit} is close to its limit {limit:.6g}; {todo}"
                self.add(control, Level.WARN, measure, scope, text, value=value, limit=limit, unit=unit)
            return True
        level = Level.BLOCK
        if halt is not None and value > halt:
            level, limit = Level.HALT, halt
        text = f"expected {measure} at most {limit:.6g} {unit}, found {value:.6g}; {todo}"
        self.add(control, level, measure, scope, text, value=value, limit=limit, unit=unit)
        return False

    def age(
        self,
        control: Control,
        measure: str,
        scope: Scope,
        now_ns: int,
        then_ns: int | None,
        limit_s: float,
        skew_ms: float,
        todo: str,
    ) -> bool:
        """Hold an age against its limit; a time ahead of now by more than the skew blocks."""
        if then_ns is None:
            self.missing(control, measure, scope, todo)
            return False
        age = (now_ns - then_ns) / NS_PER_SECOND
        if age * 1e3 < -skew_ms:
            text = f"expected a time not after now, found {measure} {age:.3f} s; check the clocks"
            self.add(control, Level.BLOCK, measure, scope, text, value=nan, limit=limit_s, unit="s")
            return False
        # Ages come near their limits all the time: no warning.
        return self.cap(control, measure, scope, age, limit_s, "s", todo, warns=False)


_CLEAR = Decision(allowed=True)
