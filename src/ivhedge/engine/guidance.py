"""What a run has learnt by a moment: factor models of the surfaces seen, and views of volatility.

Nothing here knows more than the run does: surfaces come in one by one, bars only once they have ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ivhedge.core.errors import ConfigError, IvHedgeError
from ivhedge.core.units import NS_PER_DAY, format_ns
from ivhedge.engine.board import QuoteBoard
from ivhedge.engine.outlook import read_bars
from ivhedge.engine.spec import PolicyKind, PolicySpec
from ivhedge.forecast import Bars, OnlineForecaster, best_forecaster, daily_measures
from ivhedge.forecast.view import (
    HoldingCosts,
    SpikeState,
    ViewRules,
    VolView,
    spike_start,
    spike_update,
    vega_expectation,
    vega_targets,
)
from ivhedge.risk.factors import FactorModel, fit_factors
from ivhedge.risk.panel import build_panel
from ivhedge.risk.var import ScenarioSet, filtered_scenarios, shock_history
from ivhedge.surface.base import VolSurface

__all__ = ["Guidance", "ViewSource"]

_FEWEST_SURFACES = 60
_MOST_SURFACES = 360
_REFIT_SURFACES = 20
_REDRAW_SURFACES = 4
_HORIZONS = (1, 2, 3, 5, 7, 14, 30, 60, 90, 120)
_LEARNING_DAYS = 60
"""Days before the first look from which the spike state has walked bar by bar."""


@dataclass(slots=True)
class ViewSource:
    """Forecasts and regimes of one coin, fed with the bars that have ended.

    Parameters
    ----------
    bars : Bars
        All that are at hand; none is read before it has ended.
    source : str
    """

    bars: Bars
    source: str
    _state: OnlineForecaster | None = None
    _spike: SpikeState | None = None
    _days: int = 0
    _bar: int = 0

    def view(self, surface: VolSurface, rules: ViewRules, costs: HoldingCosts) -> VolView:
        """Targets against a surface, with what has ended by its time.

        Raises
        ------
        DataError
            If there are too few days before, or the last one ended more than two days ago (`StaleQuote`).
        """
        state, spike = self._advance(surface.ts_ns)
        expected = vega_expectation(surface, state, rules.tenors, costs=costs)
        return vega_targets(
            expected, rules, ts_ns=surface.ts_ns, underlying=surface.underlying, may_sell=spike.may_sell
        )

    def _advance(self, ts_ns: int) -> tuple[OnlineForecaster, SpikeState]:
        days = int((self.bars.day_ns + NS_PER_DAY <= ts_ns).sum())
        state, spike = self._state, self._spike
        if state is None or spike is None:
            begin = max(days - _LEARNING_DAYS, 1)
            state = OnlineForecaster(best_forecaster(), daily_measures(_first(self.bars, days)), _HORIZONS)
            spike = spike_start(_first(self.bars, begin))
            self._bar = begin * self.bars.close.shape[1]
        elif days > self._days:
            whole = daily_measures(_first(self.bars, days))
            state.update(whole.rows(self._days, days))
            if state.refit_due:
                state.refit()
        closes, step = self.bars.close.ravel(), self.bars.interval_ns
        per_day = self.bars.close.shape[1]
        while self._bar < closes.size:
            ended = int(self.bars.day_ns[self._bar // per_day]) + (self._bar % per_day + 1) * step
            if ended > ts_ns:
                break
            close = float(closes[self._bar])
            # A missing bar has not moved.
            spike = spike_update(spike, close if close == close else spike.close, spike.ts_ns + spike.step_ns)
            self._bar += 1
        self._state, self._spike, self._days = state, spike, days
        return state, spike


@dataclass(slots=True)
class Guidance:
    """Factor models and views of a run, one per underlying.

    Parameters
    ----------
    view_bars : mapping of underlying to Path
        Hourly bars of each coin.
    costs : HoldingCosts
        What a view believes holding vega costs.
    """

    view_bars: Mapping[str, Path] = field(default_factory=dict)
    costs: HoldingCosts = field(default_factory=HoldingCosts)
    _surfaces: dict[str, list[VolSurface]] = field(default_factory=dict)
    _models: dict[str, FactorModel] = field(default_factory=dict)
    _scenarios: dict[str, ScenarioSet] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _done_at: dict[tuple[str, str], int] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _views: dict[str, ViewSource] = field(default_factory=dict)

    def observe(self, board: QuoteBoard) -> None:
        """Take in the surfaces of a time, in the order of time."""
        for name, surface in board.surfaces.items():
            held = self._surfaces.setdefault(name, [])
            held.append(surface)
            del held[:-_MOST_SURFACES]
            self._seen[name] = self._seen.get(name, 0) + 1

    def factors(self, underlying: str) -> FactorModel | None:
        """Model of the surfaces seen so far, refitted now and then; None while they are too few."""
        if self._due("factors", underlying, _REFIT_SURFACES):
            try:
                self._models[underlying] = fit_factors([build_panel(self._surfaces[underlying])]).model
            except IvHedgeError as exc:
                self._failed[underlying] = str(exc)
        return self._models.get(underlying)

    def scenarios(self, underlying: str) -> ScenarioSet | None:
        """A day's shocks of the surfaces seen so far, at their volatility of late; None while too few."""
        if self._due("scenarios", underlying, _REDRAW_SURFACES):
            try:
                panel = build_panel(self._surfaces[underlying])
                whole = panel.rows(np.flatnonzero(panel.known.all(axis=1)))
                self._scenarios[underlying] = filtered_scenarios(shock_history({underlying: whole}))
            except IvHedgeError as exc:
                self._failed[underlying] = str(exc)
        return self._scenarios.get(underlying)

    def _due(self, what: str, underlying: str, every: int) -> bool:
        """Whether enough has been seen, first of all or since the last time; then it counts as done."""
        seen = self._seen.get(underlying, 0)
        last = self._done_at.get((what, underlying))
        due = seen >= _FEWEST_SURFACES if last is None else seen - last >= every
        if due:
            self._done_at[what, underlying] = seen
        return due

    def why_not(self, underlying: str) -> str:
        """Why there is no model and there are no scenarios."""
        seen = self._seen.get(underlying, 0)
        few = f"{seen} surfaces seen, {_FEWEST_SURFACES} are needed to learn from; bucketed vega until then"
        return self._failed.get(underlying, few)

    def vega_targets(self, policy: PolicySpec, surface: VolSurface) -> tuple[tuple[float, float, float], ...]:
        """Ranges of days and the vega wanted in each, USD per vol point.

        Raises
        ------
        ConfigError
            If a view has no bars of the coin.
        DataError
            As `ViewSource.view`.
        """
        rules = ViewRules(capital_usd=policy.capital_usd, max_vega_usd=abs(policy.vega_usd))
        if policy.kind is PolicyKind.FIXED_VEGA:
            return tuple((low, high, policy.vega_usd) for low, high in rules.ranges_days)
        view = self._source(surface.underlying, surface.ts_ns).view(surface, rules, self.costs)
        return tuple((t.min_days, t.max_days, t.vega_usd) for t in view.targets)

    def _source(self, underlying: str, ts_ns: int) -> ViewSource:
        if underlying not in self._views:
            path = self.view_bars.get(underlying)
            if path is None:
                raise ConfigError(
                    f"expected bars of {underlying} for its view at {format_ns(ts_ns)}, found those of "
                    f"{sorted(self.view_bars)}; add them under view_bars"
                )
            self._views[underlying] = ViewSource(bars=read_bars(path), source=path.name)
        return self._views[underlying]


def _first(bars: Bars, days: int) -> Bars:
    return Bars(
        day_ns=bars.day_ns[:days],
        open=bars.open[:days],
        high=bars.high[:days],
        low=bars.low[:days],
        close=bars.close[:days],
        interval_ns=bars.interval_ns,
        repairs=bars.repairs,
    )
