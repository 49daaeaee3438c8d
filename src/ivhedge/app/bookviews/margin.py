"""Margin of a book under a venue's rules: now, after stresses, and how far liquidation is."""

from collections.abc import Callable

from ivhedge.core.units import format_ns
from ivhedge.engine.desk import Desk
from ivhedge.engine.desk_margin import DeskMargin
from ivhedge.report import Bars, BookView, TableView
from ivhedge.report import format as fmt
from ivhedge.report.booknumbers import decimals, minus, said_once, unit_of, without_zeros
from ivhedge.risk.margin import DistanceStatus, MarginStatus

__all__ = ["margin_to_dict", "margin_view"]

_WAYS = {
    "spot_down": "spot falls",
    "spot_up": "spot rises",
    "vol_down": "vols fall",
    "vol_up": "vols rise",
}
_WORDS = {
    DistanceStatus.NONE_FOUND: "no such move found",
    DistanceStatus.ALREADY_BELOW: "already below maintenance",
}


def margin_view(desk: Desk, seen: DeskMargin) -> BookView:
    """Collect what there is to see of a book's margin."""
    now = seen.now
    money = _money(now.currency, now.equity, now.initial, now.maintenance)
    use = now.initial / now.equity if now.equity > 0.0 else float("inf")
    safe = now.maintenance_excess >= 0.0
    verdict = (
        f"initial margin {money(now.initial)} of equity {money(now.equity)} {now.currency} "
        f"({fmt.percent(use, 0) if use < 10 else 'more than 10 times'}), maintenance {money(now.maintenance)}"
    )
    return BookView(
        title=f"{desk.book.name} · margin, {now.profile}",
        ts_ns=desk.ts_ns,
        verdict=(verdict if safe else f"BELOW MAINTENANCE: {verdict}") + desk.shortfall,
        good=safe and now.initial_excess >= 0.0 and not desk.warnings,
        facts=(
            ("rules", f"{now.profile}, status {now.status.value}: {now.status.describe()}"),
            ("equity by the venue's count", f"{money(now.equity)} {now.currency}"),
            ("initial margin", f"{money(now.initial)} {now.currency}"),
            ("maintenance margin", f"{money(now.maintenance)} {now.currency}"),
            ("free before initial", f"{money(now.initial_excess)} {now.currency}"),
            *((("worst scenario", minus(now.worst_scenario)),) if now.worst_scenario else ()),
            ("below maintenance after", _below(seen)),
            *_distances(seen),
        ),
        bars=(
            *_bars("loss counted by scenario", now.by_scenario, now.currency),
            *_bars("margin by component", now.by_component, now.currency, zeros=False),
        ),
        tables=(_after(seen), *_positions(seen)),
        notes=said_once((*now.notes, *seen.notes, *desk.warnings)),
    )


def _money(currency: str, *amounts: float) -> Callable[[float], str]:
    """Words for amounts that stand together: the largest says how many decimals."""
    places = decimals(amounts, unit_of(currency))
    return lambda value: fmt.number(value, places)


def _distances(seen: DeskMargin) -> list[tuple[str, str]]:
    shown = []
    for name, words in _WAYS.items():
        status = seen.distance.status[name]
        found = status is DistanceStatus.FOUND
        move = fmt.percent(getattr(seen.distance, name), 1, signed=True) if found else _WORDS[status]
        shown.append((f"liquidation when {words}", move))
    return shown


def _below(seen: DeskMargin) -> str:
    names = [name for name, batch in seen.stressed.items() if batch.equity[0] < batch.maintenance[0]]
    return ", ".join(names) or "none of the stresses"


def _bars(title: str, values: dict[str, float], currency: str, *, zeros: bool = True) -> tuple[Bars, ...]:
    """With zeros: a scenario in which nothing is lost says so."""
    unit = unit_of(currency)
    kept, left_out = (values, "") if zeros else without_zeros(values, unit)
    if not kept:
        return ()
    note = "; ".join(filter(None, (currency, left_out)))
    names = tuple(minus(name) for name in kept)
    return (Bars(title=title, note=note, names=names, values=tuple(kept.values()), unit=unit),)


def _after(seen: DeskMargin) -> TableView:
    amounts = {
        name: (
            float(batch.equity[0]),
            float(batch.initial[0]),
            float(batch.maintenance[0]),
            float(batch.equity[0] - batch.maintenance[0]),
        )
        for name, batch in seen.stressed.items()
    }
    money = _money(seen.now.currency, *(value for row in amounts.values() for value in row))
    rows = [(name, *map(money, row)) for name, row in amounts.items()]
    return TableView(
        title="margin after stresses",
        note=f"{seen.now.currency}; spot and each tenor's own vol shift",
        headings=("stress", "equity", "initial", "maintenance", "excess"),
        rows=tuple(rows),
    )


def _positions(seen: DeskMargin) -> tuple[TableView, ...]:
    if not seen.now.by_position:
        return ()
    by_position = seen.now.by_position.items()
    money = _money(seen.now.currency, *(value for _, pair in by_position for value in pair))
    rows = tuple((name, money(initial), money(least)) for name, (initial, least) in by_position)
    note = f"{seen.now.currency}, before the bounded loss of an expiry"
    return (
        TableView(
            title="margin by position", note=note, headings=("leg", "initial", "maintenance"), rows=rows
        ),
    )


def margin_to_dict(desk: Desk, seen: DeskMargin) -> dict[str, object]:
    """Describe margin as JSON."""
    now = seen.now
    return {
        "book": desk.book.name,
        "underlying": desk.underlying,
        "time": format_ns(desk.ts_ns),
        "ts_ns": desk.ts_ns,
        "index": desk.index,
        "profile": now.profile,
        "currency": now.currency,
        "status": now.status.value,
        "trustworthy": now.status is MarginStatus.OK,
        "equity": now.equity,
        "initial": now.initial,
        "maintenance": now.maintenance,
        "initial_excess": now.initial_excess,
        "maintenance_excess": now.maintenance_excess,
        "worst_scenario": now.worst_scenario or None,
        "by_scenario": now.by_scenario,
        "by_component": now.by_component,
        "by_position": {name: list(pair) for name, pair in now.by_position.items()},
        "after_stress": {
            name: {
                "equity": float(batch.equity[0]),
                "initial": float(batch.initial[0]),
                "maintenance": float(batch.maintenance[0]),
            }
            for name, batch in seen.stressed.items()
        },
        "liquidation": {
            name: {"move": getattr(seen.distance, name), "status": seen.distance.status[name].value}
            for name in _WAYS
        },
        "notes": [*now.notes, *seen.notes],
        "warnings": list(desk.warnings),
    }
