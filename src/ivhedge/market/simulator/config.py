"""Settings of the simulated market: assets, correlations, time grid, listings, venues."""

from dataclasses import dataclass, field

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import InstrumentKind
from ivhedge.core.units import NS_PER_HOUR, NS_PER_SECOND, parse_time
from ivhedge.market.simulator.bates import BatesParams
from ivhedge.market.simulator.listing import ExpiryRule, StrikeRule
from ivhedge.market.simulator.venues import DEFAULT_VENUES, VenueProfile

__all__ = [
    "BTC",
    "ETH",
    "AssetConfig",
    "CarryConfig",
    "CorrelationConfig",
    "RealWorldParams",
    "SimulationConfig",
]

_MINUTE_NS = 60 * NS_PER_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class RealWorldParams:
    """How spot and variance really move, against how options price them.

    Parameters
    ----------
    mean_reversion, long_variance : float
        Variance drift under the real-world measure. With the same vol of vol, `mean_reversion` above and
        `long_variance` below the model's make implied variance dear: the variance premium.
    jump_intensity, jump_mean, jump_std : float
        Jumps that really happen; fewer and milder than those priced is the jump premium.
    excess_return : float
        Expected return of spot above its short carry, per year.
    """

    mean_reversion: float
    long_variance: float
    jump_intensity: float
    jump_mean: float
    jump_std: float
    excess_return: float = 0.0

    def __post_init__(self) -> None:
        if min(self.mean_reversion, self.long_variance) <= 0.0 or min(self.jump_intensity, self.jump_std) < 0:
            raise ConfigError(
                "expected a positive mean reversion and long variance and no negative jump intensity or std, "
                f"found {self.mean_reversion}, {self.long_variance}, {self.jump_intensity}, {self.jump_std}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryConfig:
    """Forwards over spot: a short rate that moves slowly and fades into its mean along the tenors.

    Parameters
    ----------
    initial, mean, std, speed : float
        Short carry per year: start, mean, stationary standard deviation, mean reversion per year.
    tenor_decay : float
        Years over which the short carry fades into its mean; see `forward_price`.
    premium_std, premium_speed : float
        Noise of the perpetual's premium (fraction of the index) and its mean reversion per year.
    """

    initial: float = 0.07
    mean: float = 0.05
    std: float = 0.03
    speed: float = 4.0
    tenor_decay: float = 0.25
    premium_std: float = 1.0e-4
    premium_speed: float = 1500.0

    def __post_init__(self) -> None:
        if (
            min(self.speed, self.tenor_decay, self.premium_speed) <= 0.0
            or min(self.std, self.premium_std) < 0
        ):
            raise ConfigError("expected positive speeds and tenor decay and no negative std in CarryConfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetConfig:
    """One underlying: its option model, its real-world behaviour, its carry and its strike grid."""

    underlying: str
    initial_spot: float
    initial_variance: float
    model: BatesParams
    real_world: RealWorldParams
    carry: CarryConfig = field(default_factory=CarryConfig)
    strikes: StrikeRule = field(default_factory=StrikeRule)

    def __post_init__(self) -> None:
        if self.initial_spot <= 0.0 or self.initial_variance < 0.0:
            raise ConfigError(
                f"{self.underlying}: expected a positive spot and a variance at or above 0, "
                f"found {self.initial_spot}, {self.initial_variance}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationConfig:
    """Correlations between assets.

    Parameters
    ----------
    spot, variance, carry : float
        Of the Brownian parts of two assets. Spot of one asset and variance of another then have
        correlation ``variance`` times the spot-vol correlation of the first.
    common_jump_share : float
        Share of the least jumpy asset's jumps that hit all assets at the same time.
    jump_size : float
        Of the sizes of common jumps.
    """

    spot: float = 0.8
    variance: float = 0.7
    carry: float = 0.6
    common_jump_share: float = 0.6
    jump_size: float = 0.85

    def __post_init__(self) -> None:
        if not 0.0 <= self.common_jump_share <= 1.0:
            raise ConfigError(f"expected common_jump_share in [0, 1], found {self.common_jump_share}")


BTC = AssetConfig(
    underlying="BTC",
    initial_spot=90_000.0,
    initial_variance=0.30,
    model=BatesParams(
        mean_reversion=3.0,
        long_variance=0.36,
        vol_of_vol=1.6,
        correlation=-0.25,
        jump_intensity=6.0,
        jump_mean=-0.03,
        jump_std=0.09,
    ),
    real_world=RealWorldParams(
        mean_reversion=3.6,
        long_variance=0.30,
        jump_intensity=5.0,
        jump_mean=-0.02,
        jump_std=0.08,
        excess_return=0.10,
    ),
)
"""A bitcoin-like asset."""

ETH = AssetConfig(
    underlying="ETH",
    initial_spot=3_100.0,
    initial_variance=0.50,
    model=BatesParams(
        mean_reversion=3.0,
        long_variance=0.56,
        vol_of_vol=2.0,
        correlation=-0.20,
        jump_intensity=8.0,
        jump_mean=-0.035,
        jump_std=0.11,
    ),
    real_world=RealWorldParams(
        mean_reversion=3.6,
        long_variance=0.467,
        jump_intensity=6.5,
        jump_mean=-0.025,
        jump_std=0.10,
        excess_return=0.12,
    ),
    carry=CarryConfig(initial=0.06, mean=0.045, std=0.035),
    strikes=StrikeRule(reference_vol=0.80),
)
"""An ether-like asset: the same shape, more of everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationConfig:
    """Everything that `simulate_market` needs besides randomness.

    Parameters
    ----------
    start_ns, step_ns, n_snapshots : int
        First snapshot, time between snapshots, how many. Runs that differ in `n_snapshots` only share
        their beginning, row for row.
    path_step_ns : int
        Largest step of the path grid. The real step is the largest whole fraction of `step_ns` not above.
    history_ns : int
        Path before the first snapshot: no stale quote is older than this.
    assets : tuple of AssetConfig
    correlations : CorrelationConfig
    expiries : ExpiryRule
    venues : tuple of VenueProfile
    """

    start_ns: int = parse_time("2026-01-05T00:00Z")
    n_snapshots: int = 40
    step_ns: int = 6 * NS_PER_HOUR
    path_step_ns: int = 5 * _MINUTE_NS
    history_ns: int = 6 * NS_PER_HOUR
    assets: tuple[AssetConfig, ...] = (BTC, ETH)
    correlations: CorrelationConfig = field(default_factory=CorrelationConfig)
    expiries: ExpiryRule = field(default_factory=ExpiryRule)
    venues: tuple[VenueProfile, ...] = DEFAULT_VENUES

    def __post_init__(self) -> None:
        if min(self.n_snapshots, self.step_ns, self.path_step_ns, self.history_ns) <= 0:
            raise ConfigError(
                "expected positive n_snapshots, step_ns, path_step_ns and history_ns, found "
                f"{self.n_snapshots}, {self.step_ns}, {self.path_step_ns}, {self.history_ns}"
            )
        if self.path_step_ns > 30 * _MINUTE_NS:
            raise ConfigError(
                f"expected path_step_ns of at most 30 minutes (settlement window), found {self.path_step_ns}"
            )
        if self.step_ns % -(-self.step_ns // self.path_step_ns):
            raise ConfigError(
                f"expected a path step that divides step_ns={self.step_ns}, found {self.path_step_ns}; "
                "set path_step_ns to a divisor"
            )
        for what, names in (
            ("assets", [a.underlying for a in self.assets]),
            ("venues", [v.name for v in self.venues]),
        ):
            if not names or len(set(names)) != len(names):
                raise ConfigError(f"expected {what} with different names, found {names}")
        self._check_contracts()

    def _check_contracts(self) -> None:
        for venue in self.venues:
            for asset in self.assets:
                spec = venue.spec(InstrumentKind.OPTION, asset.underlying)
                if spec.settlement is not venue.settlement:
                    raise ConfigError(
                        f"venue {venue.name} settles in {venue.settlement}, but its {asset.underlying} "
                        f"contracts settle in {spec.settlement}; set contracts_of to a venue that matches"
                    )

    @property
    def grid_step_ns(self) -> int:
        """Step of the path grid; divides `step_ns`."""
        return self.step_ns // -(-self.step_ns // self.path_step_ns)
