"""What a hedge minimises besides its cost: the objectives of `ivhedge.hedge.plan_hedge`.

All of them keep the bands of `HedgeLimits`; they differ in what they count as risk.

| objective | counted | how it moves together |
|---|---|---|
| `BucketedVega` | delta, gamma, vega by tenor | `RiskModel` |
| `DeltaGamma` | delta, gamma | `RiskModel`; vega is reported, not counted |
| `DeltaGammaVega` | delta, gamma, vega of all tenors in one | `RiskModel`, vols of all tenors as one |
| `FactorNeutral` | each factor by itself | variances of a `FactorModel`, no correlation |
| `MinimumVariance` | all factors | covariance of a `FactorModel` |
| `ConditionalValueAtRisk` | the tail of scenarios | `ScenarioSet` |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, TypeAlias

from ivhedge.core.errors import ConfigError
from ivhedge.hedge.limits import Band
from ivhedge.hedge.objectives.residual import QUOTE_NOISE, ResidualVols
from ivhedge.risk.factors import FactorModel
from ivhedge.risk.var import ScenarioSet

__all__ = [
    "BucketedVega",
    "ConditionalValueAtRisk",
    "DeltaGamma",
    "DeltaGammaVega",
    "FactorNeutral",
    "HedgeObjective",
    "MinimumVariance",
]

DAY_KURTOSIS: Final = 4.0
"""Of spot over a day, for profits that bend less the further it goes: 6 of daily returns was too much, 3 is a
normal one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketedVega:
    """Delta, gamma and vega per tenor bucket, moving as `RiskModel` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaGamma:
    """Delta and gamma alone; vega counts only where a band is on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaGammaVega:
    """Delta, gamma and one vega: the vols of all tenors move together, each by its own size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimumVariance:
    """Least variance of the profit over the horizon, by revaluation under a factor model.

    Parameters
    ----------
    model : FactorModel
        With a spot factor of the market's underlying; its other underlyings play no part.
    residual : ResidualVols
        Own risk of every option.
    kurtosis : float
        Of spot over the horizon: what a curved profit adds is ``even·(z² − 1)``, of variance
        ``even²·(kurtosis − 1)``. Above 1.
    """

    model: FactorModel
    residual: ResidualVols = field(default_factory=lambda: ResidualVols.flat(QUOTE_NOISE))
    kurtosis: float = DAY_KURTOSIS

    def __post_init__(self) -> None:
        _check_kurtosis(self.kurtosis)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorNeutral:
    """Every factor's exposure small by itself: no correlation is trusted to offset one by another.

    Parameters
    ----------
    model : FactorModel
    bands : mapping of factor name to Band
        USD (or coin) per standard deviation over the model's horizon, which has to be the risk model's; the
        others have no limit.
    residual, kurtosis
        As for `MinimumVariance`.
    """

    model: FactorModel
    bands: Mapping[str, Band] = field(default_factory=dict)
    residual: ResidualVols = field(default_factory=lambda: ResidualVols.flat(QUOTE_NOISE))
    kurtosis: float = DAY_KURTOSIS

    def __post_init__(self) -> None:
        _check_kurtosis(self.kurtosis)
        unknown = sorted(set(self.bands) - set(self.model.names))
        if unknown:
            raise ConfigError(f"expected bands on factors of {list(self.model.names)}, found {unknown}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalValueAtRisk:
    """Least mean loss in the tail of scenarios, about their mean: carry is no risk.

    Parameters
    ----------
    scenarios : ScenarioSet
        With shocks of the market's underlying over the horizon of the `RiskModel`; a few hundred are solved
        in about a tenth of a second.
    level : float
        0.95 for the mean of the worst twentieth.

    References
    ----------
    Rockafellar, Uryasev (2000), Optimization of conditional value-at-risk, Journal of Risk 2, equation 17.
    """

    scenarios: ScenarioSet
    level: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise ConfigError(f"expected a level in (0, 1), found {self.level}")
        tail = (1.0 - self.level) * self.scenarios.values.shape[0]
        if tail < 1.0:
            raise ConfigError(
                f"expected at least {1.0 / (1.0 - self.level):.0f} scenarios for a tail of {self.level:g}, "
                f"found {self.scenarios.values.shape[0]}; draw more or lower the level"
            )


HedgeObjective: TypeAlias = (
    BucketedVega | DeltaGamma | DeltaGammaVega | FactorNeutral | MinimumVariance | ConditionalValueAtRisk
)


def _check_kurtosis(kurtosis: float) -> None:
    if not (isfinite(kurtosis) and kurtosis > 1.0):
        raise ConfigError(f"expected a kurtosis above 1, found {kurtosis}")
