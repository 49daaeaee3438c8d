"""Factor models estimated from panels: scores per step, joint covariance, one model per regime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.risk.factors.components import VolComponents, explained_share, principal_components
from ivhedge.risk.factors.covariance import BOUND, ShrunkCovariance, ewma_weights, shrink_covariance
from ivhedge.risk.factors.model import BASIS, SPOT, Factor, FactorModel
from ivhedge.risk.factors.regimes import Regime, RegimeRule, stressed_times
from ivhedge.risk.factors.shapes import VolShape, named_shapes, project, tenor_shapes, vega_weights
from ivhedge.risk.factors.steps import PanelSteps, panel_steps
from ivhedge.risk.panel import SurfacePanel

__all__ = ["FactorFit", "FactorKind", "FactorSettings", "factor_scores", "fit_factors"]

_PRIOR_STEPS: Final = 60.0
"""Steps that the covariance of all steps counts for in the correlation of a regime: half a month."""


class FactorKind(StrEnum):
    """Which vol factors: `shapes` names them."""

    NAMED = "named"
    TENOR = "tenor"
    COMPONENTS = "components"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorSettings:
    """What steers the estimate.

    Parameters
    ----------
    kind : FactorKind
    components : int
        Principal components per underlying.
    at_days : tuple of float
        Tenors of `FactorKind.TENOR`.
    decay : float
        Of the named shapes.
    half_life_days : float, optional
        Of the weights of steps; equal weights without it.
    min_step_hours, max_step_hours : float
        See `panel_steps`.
    regime : RegimeRule, optional
        Adds the models `calm` and `stressed`, by the first panel's vol and spot.
    regime_tenor_days : float
    bound : float
        See `shrink_covariance`.
    basis : bool
        Have a factor of carry; off where the forwards are the spot.
    """

    kind: FactorKind = FactorKind.TENOR
    components: int = 4
    at_days: tuple[float, ...] = (7.0, 30.0, 90.0)
    decay: float = 0.5
    half_life_days: float | None = None
    min_step_hours: float = 3.0
    max_step_hours: float = 13.0
    regime: RegimeRule | None = None
    regime_tenor_days: float = 30.0
    bound: float = BOUND
    basis: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FactorKind(self.kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorFit:
    """Models of a day's horizon and what they rest on.

    Parameters
    ----------
    models : mapping of Regime to FactorModel
        `Regime.ALL` always; a regime without enough steps is not there, see `notes`.
    steps : PanelSteps
    scores : FloatArray, shape (S, K)
        Move of each factor over each step, not scaled by time.
    share : mapping of underlying to float
        Share of the weighted squared vol changes that its vol factors explain, in sample.
    components : mapping of underlying to VolComponents
        Empty unless principal components were asked for.
    covariances : mapping of Regime to ShrunkCovariance
        Per day, with the intensity of shrinkage.
    stressed : BoolArray, shape (S,)
        State at the start of each step; all False without a rule.
    current : Regime
        State after the last time; `Regime.ALL` without a rule.
    notes : tuple of str
        What was not done, and why.
    """

    models: Mapping[Regime, FactorModel]
    steps: PanelSteps
    scores: FloatArray
    share: Mapping[str, float]
    components: Mapping[str, VolComponents] = field(default_factory=dict)
    covariances: Mapping[Regime, ShrunkCovariance] = field(default_factory=dict)
    stressed: BoolArray
    current: Regime = Regime.ALL
    notes: tuple[str, ...] = ()

    @property
    def model(self) -> FactorModel:
        """The model of all steps."""
        return self.models[Regime.ALL]

    @property
    def current_model(self) -> FactorModel:
        """The model of the current regime, that of all steps where there is none."""
        return self.models.get(self.current, self.model)


def factor_scores(steps: PanelSteps, factors: Sequence[Factor]) -> FloatArray:
    """Moves of given factors over given steps, shape (S, K), not scaled by time.

    Raises
    ------
    ConfigError
        If a factor's underlying is not among the panels, or shapes lie on other tenors or nodes.
    """
    scores = np.zeros((steps.days.size, len(factors)))
    weights = vega_weights(steps.tenor_days, steps.nodes)
    for underlying in dict.fromkeys(factor.underlying for factor in factors):
        if underlying not in steps.spot:
            raise ConfigError(f"expected factors of {steps.underlyings}, found one of {underlying}")
        mine = [i for i, factor in enumerate(factors) if factor.underlying == underlying]
        for i in mine:
            if factors[i].kind == SPOT:
                scores[:, i] = steps.spot[underlying]
            elif factors[i].kind == BASIS:
                scores[:, i] = steps.basis[underlying]
        vols = [(i, shape) for i in mine if (shape := factors[i].shape) is not None]
        if vols:
            shapes = [shape for _, shape in vols]
            if shapes[0].grid.shape != weights.shape:
                raise ConfigError("expected factor shapes on the tenors and nodes of the panels")
            scores[:, [i for i, _ in vols]] = project(shapes, steps.vols[underlying], weights)
    return scores


def fit_factors(panels: Sequence[SurfacePanel], settings: FactorSettings | None = None) -> FactorFit:
    """Estimate factors and their covariance per day from panels of one or several underlyings.

    Parameters
    ----------
    panels : sequence of SurfacePanel
        On the same tenors and nodes; only common times count.
    settings : FactorSettings, optional

    Raises
    ------
    ConfigError, DataError, EmptyData
        As `panel_steps`, `principal_components` and `shrink_covariance` say.

    Notes
    -----
    A regime has its own standard deviations. Its correlation is drawn towards that of all steps, which counts
    as 60 steps beside its own n: ``(n·R_regime + 60·R_all)/(n + 60)``, positive definite as both are.
    """
    chosen = settings or FactorSettings()
    steps = panel_steps(panels, min_step_hours=chosen.min_step_hours, max_step_hours=chosen.max_step_hours)
    rooted = np.sqrt(steps.days)
    factors: list[Factor] = []
    components: dict[str, VolComponents] = {}
    share: dict[str, float] = {}
    weights = vega_weights(steps.tenor_days, steps.nodes)
    for underlying in steps.underlyings:
        scaled = steps.vols[underlying] / rooted[:, None, None]
        shapes: tuple[VolShape, ...]
        if chosen.kind is FactorKind.COMPONENTS:
            components[underlying] = principal_components(
                scaled, steps.tenor_days, steps.nodes, count=chosen.components
            )
            shapes = components[underlying].shapes
        elif chosen.kind is FactorKind.TENOR:
            shapes = tenor_shapes(steps.tenor_days, steps.nodes, at_days=chosen.at_days)
        else:
            shapes = named_shapes(steps.tenor_days, steps.nodes, decay=chosen.decay)
        share[underlying] = explained_share(shapes, scaled, weights)
        kinds = (SPOT, BASIS) if chosen.basis else (SPOT,)
        factors += [Factor(underlying=underlying, kind=kind) for kind in kinds]
        factors += [Factor(underlying=underlying, kind=shape.name, shape=shape) for shape in shapes]
    scores = factor_scores(steps, factors)
    still = [factor.name for factor, column in zip(factors, scores.T, strict=True) if not column.any()]
    if still:
        raise DataError(
            f"expected factors that move, found {still} that never do: a risk of zero is not believed; leave "
            "them out (basis=False for carry)"
        )
    daily = scores / rooted[:, None]
    covariances = {Regime.ALL: _covariance(daily, steps, np.arange(steps.days.size), chosen)}
    stressed, current = np.zeros(steps.days.size, dtype=np.bool_), Regime.ALL
    notes: list[str] = []
    if chosen.regime is not None:
        states = stressed_times(panels[0], chosen.regime, tenor_days=chosen.regime_tenor_days)
        stressed = states[np.searchsorted(panels[0].ts_ns, steps.start_ns)]
        current = Regime.STRESSED if states[-1] else Regime.CALM
        for regime, mask in ((Regime.CALM, ~stressed), (Regime.STRESSED, stressed)):
            rows = np.flatnonzero(mask)
            if rows.size < len(factors):
                notes.append(
                    f"{regime.value}: expected at least {len(factors)} steps, found {rows.size}; "
                    "the model of all steps stands in"
                )
                continue
            own = _covariance(daily, steps, rows, chosen)
            covariances[regime] = _towards(own, covariances[Regime.ALL])
    models = {
        regime: FactorModel(
            factors=tuple(factors), scales=found.scales, correlation=found.correlation, regime=regime
        )
        for regime, found in covariances.items()
    }
    return FactorFit(
        models=models,
        steps=steps,
        scores=scores,
        share=share,
        components=components,
        covariances=covariances,
        stressed=stressed,
        current=current,
        notes=tuple(notes),
    )


def _covariance(
    daily: FloatArray,
    steps: PanelSteps,
    rows: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]",
    s: FactorSettings,
) -> ShrunkCovariance:
    weights = None
    if s.half_life_days is not None:
        weights = ewma_weights(steps.end_ns[rows], half_life_days=s.half_life_days)
    return shrink_covariance(daily[rows], weights=weights, bound=s.bound)


def _towards(own: ShrunkCovariance, everything: ShrunkCovariance) -> ShrunkCovariance:
    n = own.effective_steps
    correlation = (n * own.correlation + _PRIOR_STEPS * everything.correlation) / (n + _PRIOR_STEPS)
    return ShrunkCovariance(
        scales=own.scales, correlation=correlation, intensity=own.intensity, effective_steps=n
    )
