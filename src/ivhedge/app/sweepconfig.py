"""Sweep specifications: TOML text, validated once at the border, turned into the engine's frozen values.

An unknown key is an error. Paths inside a file are relative to the file.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from ivhedge.app.config import (
    ConfigModel,
    PolicyModel,
    explain_error,
    load_book,
    load_replay,
    load_toml,
    policy_spec,
)
from ivhedge.core.errors import ConfigError
from ivhedge.core.units import NS_PER_DAY, format_ns
from ivhedge.engine import ReplayConfig
from ivhedge.engine.sweep.spec import (
    BootstrapSpec,
    Exclusion,
    Period,
    RecordedPeriod,
    SimulatedPeriod,
    SweepSpec,
    Variant,
    WalkForwardSpec,
)
from ivhedge.market.readers.window import parse_window

__all__ = ["load_sweep"]

_Value = float | int | str | bool
_GRID = "grid"


class _Window(ConfigModel):
    name: str
    start: str
    end: str


class _Windows(ConfigModel):
    start: str
    end: str
    days: int = Field(ge=1)


class _Data(ConfigModel):
    chains: Path
    underlyings: tuple[str, ...] = Field(min_length=1)
    settlement_bars: dict[str, Path] = Field(default_factory=dict)


class _Simulation(ConfigModel):
    seeds: tuple[int, ...] = Field(min_length=1)
    snapshots: int = Field(ge=2)
    step_hours: float = Field(6.0, gt=0)
    underlyings: tuple[str, ...] = ("BTC", "ETH")


class _Exclude(ConfigModel):
    policy: str | None = None
    book: str | None = None
    market: str | None = None
    period: str | None = None
    parameters: dict[str, _Value] = Field(default_factory=dict)


class _WalkForward(ConfigModel):
    train: int = Field(1, ge=1)
    anchored: bool = True


class _Bootstrap(ConfigModel):
    block: int = Field(8, ge=1)
    resamples: int = Field(2000, ge=100)
    confidence: float = Field(0.9, ge=0.5, lt=1)
    seed: int = 20260101


class _Sweep(ConfigModel):
    name: str
    books: tuple[Path, ...] = Field(min_length=1)
    baseline: str
    criterion: Literal["sharpe", "cvar95", "std", "variance_per_cost"] = "cvar95"
    replay: Path | None = None
    data: _Data | None = None
    simulation: _Simulation | None = None
    period: tuple[_Window, ...] = ()
    periods: _Windows | None = None
    policy: tuple[dict[str, Any], ...] = Field(min_length=1)
    exclude: tuple[_Exclude, ...] = ()
    walk_forward: _WalkForward | None = None
    bootstrap: _Bootstrap | None = None

    @model_validator(mode="after")
    def _one_market(self) -> "_Sweep":
        if (self.data is None) == (self.simulation is None):
            raise ValueError("expected one of the tables [data] and [simulation]")
        given = bool(self.period) + (self.periods is not None)
        if self.data is not None and given != 1:
            raise ValueError("expected with [data] either [periods] or at least one [[period]]")
        if self.simulation is not None and given:
            raise ValueError("expected no periods with [simulation]: each seed is one")
        return self


def load_sweep(path: Path, *, chains: Path | None = None) -> SweepSpec:
    """Read a sweep.

    Parameters
    ----------
    path : Path
    chains : Path, optional
        Recorded chains instead of those that the file names.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, has an unknown key or an impossible value; if `chains` is given
        for a simulated sweep.
    """
    raw = load_toml(path, _Sweep)
    if chains is not None and raw.data is None:
        raise ConfigError(
            f"{path}: expected a sweep over recorded chains with --chains, found a simulated one"
        )
    folder = path.parent
    variants = tuple(variant for item in raw.policy for variant in _variants(path, item))
    return SweepSpec(
        name=raw.name,
        variants=variants,
        books=tuple(load_book((folder / item).resolve()) for item in raw.books),
        periods=tuple(_periods(raw, folder, chains)),
        replay=ReplayConfig(name=raw.name)
        if raw.replay is None
        else load_replay((folder / raw.replay).resolve()),
        baseline=raw.baseline,
        criterion=raw.criterion,
        exclusions=tuple(Exclusion(**dict(item)) for item in raw.exclude),
        walk_forward=None if raw.walk_forward is None else WalkForwardSpec(**dict(raw.walk_forward)),
        bootstrap=BootstrapSpec() if raw.bootstrap is None else BootstrapSpec(**dict(raw.bootstrap)),
    )


def _variants(path: Path, raw: Mapping[str, Any]) -> Iterable[Variant]:
    """Every setting of a policy's grid, each validated as a policy of its own."""
    base = {key: value for key, value in raw.items() if key != _GRID}
    grid = raw.get(_GRID, {})
    name = base.get("name")
    where = f"{path}: policy {name!r}"
    if not isinstance(grid, Mapping) or not all(isinstance(v, list) and v for v in grid.values()):
        raise ConfigError(f"{where}: expected a table of lists with values, found grid = {grid!r}")
    if both := sorted(set(grid) & set(base)):
        raise ConfigError(f"{where}: expected {both} either in the policy or in its grid, found both")
    for values in product(*grid.values()):
        setting = tuple(zip(grid, values, strict=True))
        words = ", ".join(f"{key}={value}" for key, value in setting)
        try:
            model = PolicyModel.model_validate(base | dict(setting))
        except ValidationError as exc:
            raise ConfigError(f"{where}{' at ' + words if words else ''}: {explain_error(exc)}") from exc
        if setting:
            model = model.model_copy(update={"name": f"{model.name} {words}"})
        yield Variant(policy=str(name), parameters=setting, spec=policy_spec(model))


def _periods(raw: _Sweep, folder: Path, chains: Path | None) -> Iterable[Period]:
    if raw.simulation is not None:
        settings = raw.simulation
        for seed in settings.seeds:
            yield SimulatedPeriod(
                name=f"seed {seed}",
                seed=seed,
                n_snapshots=settings.snapshots,
                step_hours=settings.step_hours,
                underlyings=settings.underlyings,
            )
    if raw.data is not None:
        source = (chains or folder / raw.data.chains).resolve()
        if not source.exists():
            raise ConfigError(
                f"expected recorded chains, found nothing at {source}; check [data] or give --chains"
            )
        for coin in raw.data.underlyings:
            bars = raw.data.settlement_bars.get(coin)
            for item in raw.period or _cut(raw.periods):
                yield RecordedPeriod(
                    name=item.name,
                    underlying=coin,
                    source=source,
                    start=item.start,
                    end=item.end,
                    settlement_bars=None if bars is None else (folder / bars).resolve(),
                )


def _cut(windows: _Windows | None) -> tuple[_Window, ...]:
    """Consecutive windows of equal length; what is left at the end is no whole window and is not taken."""
    if windows is None:
        return ()
    bounds = parse_window(windows.start, windows.end)
    start, end = bounds.start_ns or 0, bounds.end_ns or 0
    step = windows.days * NS_PER_DAY
    edges = range(start, end - step + 1, step)
    if not edges:
        raise ConfigError(
            f"[periods]: expected at least one window of {windows.days} days from {windows.start} to "
            f"{windows.end}, found none; give fewer days"
        )
    return tuple(
        _Window(name=format_ns(edge)[:10], start=format_ns(edge), end=format_ns(edge + step))
        for edge in edges
    )
