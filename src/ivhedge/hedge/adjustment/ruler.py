"""The ruler: every gauge of a book, now and after any number of trades at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.hedge.adjustment.account import MarginRows, contract_units, margin_rows, requirements
from ivhedge.hedge.adjustment.gauges import Gauge, GaugeKind, band_gauges, limit_gauge
from ivhedge.hedge.adjustment.settings import AdjustmentSettings
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.limits import HedgeLimits, Numeraire
from ivhedge.hedge.margin_guard import MarginGuard
from ivhedge.ledger.book import Book
from ivhedge.risk.controls import ControlSettings, Scope
from ivhedge.risk.controls.orders import expiry_label
from ivhedge.risk.exposure import leg_exposures
from ivhedge.risk.legs import Legs, check_legs, price_legs
from ivhedge.surface.base import VolSurface

__all__ = ["Reading", "Ruler", "build_ruler", "living"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Gauges of p books; shapes (p, m) for m gauges.

    Parameters
    ----------
    values : FloatArray
        Margin gauges are shares of equity; infinite where there is a requirement and no equity.
    outside, excess : FloatArray
        Severity beyond the outer and beyond the inner edges, 0 inside. Margin: what the requirement exceeds,
        as a share of the requirement before any trade.
    requirement : FloatArray, shape (p, r)
        Initial margin, then maintenance after each stress; r = 0 without a guard.
    equity : FloatArray, shape (p, r)
    """

    values: FloatArray
    outside: FloatArray
    excess: FloatArray
    requirement: FloatArray
    equity: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """Gauges over n instruments: those held and those that can be traded.

    Parameters
    ----------
    instruments : tuple of Instrument
    held : FloatArray, shape (n,)
        Contracts.
    gauges : tuple of Gauge, length m
        Linear ones, gross ones, margin ones.
    loads : FloatArray, shape (linear, n)
        Exposure per contract.
    base : FloatArray, shape (linear,)
        What does not come from contracts: coin held as cash.
    sizes : FloatArray, shape (gross, n)
        Gross measure per contract, >= 0.
    vega : FloatArray, shape (n,)
        Of all tenors, per contract, in the numeraire per vol point.
    margin : MarginRows or None
    index : float
        USD.
    notes : tuple of str
    """

    instruments: tuple[Instrument, ...]
    held: FloatArray
    gauges: tuple[Gauge, ...]
    loads: FloatArray
    base: FloatArray
    sizes: FloatArray
    delta: FloatArray
    vega: FloatArray
    margin: MarginRows | None
    index: float
    notes: tuple[str, ...]

    @property
    def keys(self) -> dict[str, int]:
        """Row of each instrument by key."""
        return {item.key: i for i, item in enumerate(self.instruments)}

    def place(self, name: str) -> int:
        """Row of a gauge."""
        return [gauge.name for gauge in self.gauges].index(name)

    def of_kind(self, *kinds: GaugeKind) -> BoolArray:
        """Where gauges are of some kinds, shape (m,)."""
        return np.array([gauge.kind in kinds for gauge in self.gauges], dtype=np.bool_)

    def lots(self) -> FloatArray:
        """Contracts per lot, shape (n,)."""
        return np.array([float(item.lot) for item in self.instruments])

    def read(self, trades: FloatArray | None = None, cost_usd: FloatArray | float = 0.0) -> Reading:
        """Read all gauges after each of p trades of shape (p, n); of the book itself without them.

        Parameters
        ----------
        trades : FloatArray, shape (p, n), optional
            Contracts.
        cost_usd : FloatArray, shape (p,), or float
            What each costs against the marks; taken from equity.
        """
        given = np.zeros((1, len(self.instruments))) if trades is None else np.atleast_2d(trades)
        spent = np.broadcast_to(np.asarray(cost_usd, dtype=np.float64), (given.shape[0],))
        books = self.held + given
        linear = self.base + books @ self.loads.T
        gross = np.abs(books) @ self.sizes.T
        values = np.concatenate((linear, gross), axis=1)
        plain = self.gauges[: values.shape[1]]
        columns = [g.outside(values[:, i]) for i, g in enumerate(plain)]
        inner = [g.outside(values[:, i], inner=True) for i, g in enumerate(plain)]
        requirement, equity = np.zeros((given.shape[0], 0)), np.zeros((given.shape[0], 0))
        if self.margin is not None:
            requirement, equity, start = requirements(self.margin, given, spent, self.index)
            use = np.where(requirement > 0.0, np.inf, 0.0)
            use = np.divide(requirement, equity, out=use, where=equity > 0.0)
            values = np.concatenate((values, use), axis=1)
            for i, gauge in enumerate(self.gauges[len(plain) :]):
                unit = max(float(start[i]), 1e-12)
                for rows, edge in ((columns, gauge.upper), (inner, gauge.inner_upper)):
                    rows.append(np.maximum(requirement[:, i] - edge * equity[:, i], 0.0) / unit)
        shape = (given.shape[0], len(self.gauges))
        return Reading(
            values=values,
            outside=np.array(columns).T.reshape(shape),
            excess=np.array(inner).T.reshape(shape),
            requirement=requirement,
            equity=equity,
        )


def build_ruler(
    book: Book,
    surface: VolSurface,
    market: HedgeMarket,
    limits: HedgeLimits,
    settings: AdjustmentSettings,
    *,
    controls: ControlSettings | None = None,
    guard: MarginGuard | None = None,
) -> Ruler:
    """Measure a book against everything that limits it.

    Raises
    ------
    DataError, UnknownInstrument
        If a leg has no price or the account cannot be margined: an unknown risk is not a small one.
    ConfigError
        If a band has no room inside, or the controls have no limits for the underlying.
    """
    positions = [p for p in book.positions if p.instrument.underlying == market.underlying]
    alive = [p for p in positions if (p.instrument.expiry_ns or market.ts_ns + 1) > market.ts_ns]
    dead = [p.instrument.key for p in positions if p not in alive]
    notes = [f"{key} has expired and waits for its settlement" for key in dead]
    own = {p.instrument.key: float(p.quantity) for p in alive}
    others = [
        item
        for item in market.instruments
        if item.key not in own and (item.expiry_ns or market.ts_ns + 1) > market.ts_ns
    ]
    instruments = (*(p.instrument for p in alive), *others)
    single = [(item, Decimal(1)) for item in instruments]
    legs = price_legs(single, {surface.underlying: surface}, market.ts_ns, max_age_ns=None)
    check_legs(legs, market.ts_ns)
    unit = limits.numeraire.value
    values = leg_exposures(legs)
    delta, vega = values[f"delta_{unit}"], values[f"vega_{unit}_per_vol_point"]
    coins = 0.0
    if limits.numeraire is Numeraire.USD:
        coins = sum(m.to_float() for m in book.cash if m.currency.code == market.underlying)
    gauges, loads, base = _linear(instruments, legs, values, limits, settings, controls, unit, coins)
    gross, sizes = _gross(legs, market.index, settings)
    held = np.array([own.get(item.key, 0.0) for item in instruments])
    margin = (
        None
        if guard is None
        else margin_rows(living(book, market.ts_ns), instruments, held, surface, market, guard, controls)
    )
    bars: list[Gauge] = []
    if margin is not None and guard is not None:
        share = settings.requirement_share
        names = ["initial margin", *(f"maintenance after {s.name}" for s in guard.stresses)]
        bars = [
            limit_gauge(n, "of equity", GaugeKind.MARGIN, use, share, signed=False)
            for n, use in zip(names, margin.uses, strict=True)
        ]
    return Ruler(
        instruments=instruments,
        held=held,
        gauges=(*gauges, *gross, *bars),
        loads=loads,
        base=base,
        sizes=sizes,
        delta=delta,
        vega=vega,
        margin=margin,
        index=market.index,
        notes=tuple(notes),
    )


def living(book: Book, ts_ns: int) -> Book:
    """The book without what has expired."""
    alive = tuple(p for p in book.positions if (p.instrument.expiry_ns or ts_ns + 1) > ts_ns)
    return Book(book.name, alive, book.cash)


def _linear(
    instruments: Sequence[Instrument],
    legs: Legs,
    values: dict[str, FloatArray],
    limits: HedgeLimits,
    settings: AdjustmentSettings,
    controls: ControlSettings | None,
    unit: str,
    coins: float,
) -> tuple[list[Gauge], FloatArray, FloatArray]:
    days = legs.tau * DAYS_PER_YEAR
    tenors = {f"vega_{t.min_days:g}_{t.max_days:g}d": i for i, t in enumerate(limits.vega)}
    bands = band_gauges(limits, tenors, settings.return_share)
    rows = {"delta": values[f"delta_{unit}"], "gamma_1pct": values[f"gamma_1pct_{unit}"]}
    for name, i in tenors.items():
        inside = (days >= limits.vega[i].min_days) & (days < limits.vega[i].max_days)
        rows[name] = np.where(inside, values[f"vega_{unit}_per_vol_point"], 0.0)
    gauges = list(bands.values())
    loads = [rows[name] for name in bands]
    base = [coins if name == "delta" else 0.0 for name in bands]
    for gauge, load, cash in _controlled(instruments, values, settings, controls, unit, coins):
        gauges.append(gauge)
        loads.append(load)
        base.append(cash)
    return gauges, np.array(loads).reshape(len(gauges), len(instruments)), np.array(base)


def _controlled(
    instruments: Sequence[Instrument],
    values: dict[str, FloatArray],
    settings: AdjustmentSettings,
    controls: ControlSettings | None,
    unit: str,
    coins: float,
) -> list[tuple[Gauge, FloatArray, float]]:
    if controls is None or not instruments:
        return []
    coin = instruments[0].underlying
    if controls.limits_of(Scope(coin)) is None:
        raise ConfigError(
            f"expected underlying_limits of {coin} in the controls, found none; without them no order passes"
        )
    labels = [expiry_label(item.expiry_ns) for item in instruments]
    venues = [item.venue for item in instruments]
    everything = np.ones(len(instruments), dtype=np.bool_)
    scopes = [(Scope(coin), everything)]
    scopes += [(Scope(coin, expiry=x), np.array([y == x for y in labels])) for x in dict.fromkeys(labels)]
    scopes += [(Scope(coin, venue=x), np.array([y == x for y in venues])) for x in dict.fromkeys(venues)]
    names = (f"delta_{unit}", f"gamma_1pct_{unit}", "vega_usd_per_vol_point", "theta_usd_per_day")
    titles = ("delta", "gamma_1pct", "vega", "theta")
    units = ("coin", "coin per 1 %", "USD per vol point", "USD per day")
    found = []
    for scope, mask in scopes:
        bounds = controls.limits_of(scope)
        for i, limit in enumerate(() if bounds is None else bounds.values):
            if not np.isfinite(limit):
                continue
            gauge = limit_gauge(
                f"control {titles[i]} {scope}",
                units[i],
                GaugeKind.CONTROL,
                limit,
                min(settings.requirement_share, controls.leave_fraction),
                signed=True,
            )
            cash = coins if i == 0 and mask is everything else 0.0
            found.append((gauge, np.where(mask, values[names[i]], 0.0), cash))
    return found


def _gross(legs: Legs, index: float, settings: AdjustmentSettings) -> tuple[list[Gauge], FloatArray]:
    units = contract_units(legs)
    rows = {
        "gross option units": (settings.gross.option_units, np.where(legs.is_option, units, 0.0), "coin"),
        "gross notional": (settings.gross.notional_usd, units * index, "USD"),
    }
    gauges, sizes = [], []
    for name, (limit, size, unit) in rows.items():
        if np.isfinite(limit):
            share = settings.requirement_share
            gauges.append(limit_gauge(name, unit, GaugeKind.GROSS, limit, share, signed=False))
            sizes.append(size)
    return gauges, np.array(sizes).reshape(len(gauges), len(legs.instruments))
