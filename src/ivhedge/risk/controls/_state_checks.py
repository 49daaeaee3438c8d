"""Controls while trading and on the books: 4, 5, 8 on the state, 11 to 20."""

from math import isfinite

from ivhedge.core.units import NS_PER_SECOND
from ivhedge.risk.controls._book_checks import check_dead_man, known_margins, margin_use
from ivhedge.risk.controls._findings import Findings
from ivhedge.risk.controls.breach import Scope
from ivhedge.risk.controls.catalog import Control, Level, Stage
from ivhedge.risk.controls.limits import GREEK_UNITS, GREEKS
from ivhedge.risk.controls.settings import ControlSettings
from ivhedge.risk.controls.state import ControlState

_BOOK = Scope()


def watch_exposures(found: Findings, state: ControlState, settings: ControlSettings) -> None:
    """Control 4 on the filled positions; with working orders it only warns."""
    measured = set(state.exposures)
    for name in state.underlyings:
        if Scope(name) not in measured:
            found.missing(Control.EXPOSURE, "exposures", Scope(name), "measure the book's exposures")
    for scope, exposure in state.exposures.items():
        limits = settings.limits_of(scope)
        if limits is None:
            if scope.expiry is None and scope.venue is None:
                todo = f"set underlying_limits for {scope.underlying}"
                found.missing(Control.EXPOSURE, "exposure limits", scope, todo)
            continue
        work = state.working.reach.get(scope)
        for i, (value, limit) in enumerate(zip(exposure.values, limits.values, strict=True)):
            name, unit = GREEKS[i], GREEK_UNITS[i]
            if not found.cap(Control.EXPOSURE, name, scope, abs(value), limit, unit, "lower it"):
                continue
            if work is None:
                continue
            worst = max(value + work[i + 4], -(value + work[i]))
            if not worst <= limit:
                text = (
                    f"expected {name} at most {limit:.6g} {unit} with working orders filled, "
                    f"found {worst:.6g}; cancel some"
                )
                found.add(
                    Control.EXPOSURE,
                    Level.BLOCK if worst != worst else Level.WARN,
                    f"{name}_working",
                    scope,
                    text,
                    value=worst,
                    limit=limit,
                    unit=unit,
                )


def watch_data(found: Findings, state: ControlState, settings: ControlSettings) -> None:
    """Control 8: clocks, Greeks, surfaces."""
    control, skew, now = Control.DATA_FITNESS, settings.max_clock_skew_ms, state.ts_ns
    for name, venue in state.venues.items():
        offset = None if venue.clock_skew_ms is None else abs(venue.clock_skew_ms)
        found.cap(control, "clock_skew", Scope(venue=name), offset, skew, "ms", "synchronise the clock")
    for name, coin in state.underlyings.items():
        scope = Scope(name)
        found.age(
            control, "greeks_age", scope, now, coin.greeks_ns, settings.max_greeks_age_s, skew, "revalue"
        )
        found.age(
            control, "surface_age", scope, now, coin.surface_ns, settings.max_surface_age_s, skew, "refit"
        )
        limit, todo = settings.max_index_age_s, "wait for the index"
        found.age(control, "index_age", scope, now, coin.index_ns, limit, skew, todo)
        if coin.unpriced_legs:
            text = f"expected every leg priced, found {coin.unpriced_legs} without a price; mark them"
            found.add(control, Level.BLOCK, "unpriced_legs", scope, text)


def watch_venues(found: Findings, state: ControlState, settings: ControlSettings) -> None:
    """Controls 5, 11, 12 (the venue's flag), 16, 19 per venue."""
    for name, venue in state.venues.items():
        scope = Scope(venue=name)
        found.stage = Stage.AT
        for account in (known_margins(found, name, state, settings) or {}).values():
            todo = "reduce, free margin or add collateral"
            use, limit = margin_use(account.initial, account.equity), settings.initial_margin_use
            measure = f"initial_use {account.currency}"
            found.cap(Control.MARGIN, measure, scope, use, limit, "of equity", todo)
            use = margin_use(account.stressed_maintenance, account.stressed_equity)
            limit, measure = settings.stressed_margin_use, f"stressed_use {account.currency}"
            found.cap(Control.MARGIN, measure, scope, use, limit, "of stressed equity", todo)
        check_dead_man(found, name, scope, state, settings)
        if venue.fill_protection_hit:
            text = "expected the venue's protection not hit, found it hit; look at the fills, then reset it"
            found.add(Control.MARKET_MAKER_PROTECTION, Level.BLOCK, "venue_protection", scope, text)
        found.stage = Stage.POST
        _watch_reconciliation(found, name, state, settings)
        todo = "move collateral to another venue"
        found.cap(
            Control.CONCENTRATION,
            "venue_share",
            scope,
            venue.equity_share,
            settings.max_venue_share,
            "of equity",
            todo,
        )
        found.cap(
            Control.CONCENTRATION,
            "adl_rank",
            scope,
            venue.adl_rank,
            settings.max_adl_rank,
            "quantile",
            "lower leverage or close the winning position",
        )


def _watch_reconciliation(found: Findings, name: str, state: ControlState, settings: ControlSettings) -> None:
    control, scope = Control.RECONCILIATION, Scope(venue=name)
    done, todo = state.venues[name].reconciliation, "reconcile with the venue"
    if done is None:
        found.missing(control, "reconciliation", scope, todo)
        return
    if not done.matched:
        text = f"expected the books to match the venue, found {done.detail}; find it, then acknowledge"
        found.add(control, Level.HALT, "mismatch", scope, text)
    late, skew = settings.reconcile_late_s, settings.max_clock_skew_ms
    age = (state.ts_ns - done.ts_ns) / NS_PER_SECOND
    passed = found.age(control, "reconciliation_age", scope, state.ts_ns, done.ts_ns, late, skew, todo)
    if passed and age > settings.reconcile_every_s:
        text = f"expected one every {settings.reconcile_every_s:g} s, found the last {age:.3f} s ago; {todo}"
        found.add(control, Level.WARN, "reconciliation_age", scope, text, value=age, limit=late, unit="s")


def watch_fills(found: Findings, state: ControlState, settings: ControlSettings) -> None:
    """Control 12: own mirror of the venues' protection."""
    control = Control.MARKET_MAKER_PROTECTION
    since = state.ts_ns - settings.fill_window_s * NS_PER_SECOND
    sums: dict[str, list[float]] = {}
    for fill in state.executed:
        if fill.ts_ns > since:
            mine = sums.setdefault(fill.underlying, [0.0, 0.0, 0.0])
            mine[0] += abs(fill.quantity_coin)
            mine[1] += fill.delta
            mine[2] += fill.vega_usd_per_vol_point
    for name, (quantity, delta, vega) in sums.items():
        limits = settings.fill_limits.get(name, settings.fill_limits.get("*"))
        if limits is None:
            continue
        scope, todo = Scope(name), f"cancel all {name} quotes and look at the fills"
        rows = (
            ("filled_quantity", quantity, limits.quantity_coin, "coin"),
            ("filled_delta", abs(delta), limits.delta, "coin"),
            ("filled_vega", abs(vega), limits.vega_usd_per_vol_point, "USD per vol point"),
        )
        for measure, value, limit, unit in rows:
            found.cap(control, measure, scope, value, limit, unit, todo)


def watch_orders(found: Findings, state: ControlState, settings: ControlSettings) -> None:
    """Controls 13 and 14."""
    for order in state.working.orders:
        if order.unanswered_since_ns is None:
            continue
        age = (state.ts_ns - order.unanswered_since_ns) / NS_PER_SECOND
        halt, query = settings.stuck_halt_s, settings.stuck_query_s
        if age > query:
            level = Level.HALT if age > halt else Level.WARN
            text = (
                f"expected an answer on {order.intent.client_id} within {query:g} s, found none for "
                f"{age:.3f} s; query it by client id, do not send it again"
            )
            found.add(
                Control.STUCK_ORDER,
                level,
                order.intent.client_id,
                order.intent.scope,
                text,
                value=age,
                limit=halt,
                unit="s",
            )
    for legs in state.leg_groups:
        if legs.complete:
            continue
        age = (state.ts_ns - legs.first_fill_ns) / NS_PER_SECOND
        todo = f"cancel the other legs and flatten a delta of {legs.open_delta:.6g} {legs.underlying}"
        limit, scope = settings.leg_timer_s, Scope(legs.underlying)
        found.cap(Control.LEG_RISK, f"legs {legs.name}", scope, age, limit, "s", todo, warns=False)


def watch_kill_switch(found: Findings, state: ControlState, settings: ControlSettings) -> None:
    """Control 15."""
    control, switch = Control.KILL_SWITCH, state.kill_switch
    if switch is None:
        found.missing(control, "kill switch", _BOOK, "start the kill-switch process")
        return
    found.age(
        control,
        "watcher",
        _BOOK,
        state.ts_ns,
        switch.watcher_seen_ns,
        settings.kill_watch_s,
        settings.max_clock_skew_ms,
        "restart the kill-switch process",
    )
    if switch.engaged_ns is None:
        return
    text = "expected the kill switch released, found it engaged; find out why before releasing it"
    found.add(control, Level.HALT, "engaged", _BOOK, text)
    confirmed = state.ts_ns if switch.cancels_confirmed_ns is None else switch.cancels_confirmed_ns
    took, limit = (confirmed - switch.engaged_ns) / NS_PER_SECOND, settings.kill_confirm_s
    if took > limit:
        text = f"expected all cancels confirmed within {limit:g} s, found {took:.3f} s; cancel at the venue"
        found.add(control, Level.HALT, "cancels", _BOOK, text, value=took, limit=limit, unit="s")


def watch_money(found: Findings, state: ControlState, settings: ControlSettings) -> None:
    """Controls 17, 18 and the rest of 19."""
    pnl = state.pnl
    skew = settings.max_clock_skew_ms
    if pnl is not None and pnl.equity_usd <= 0.0:
        text = f"expected equity above 0, found {pnl.equity_usd:.6g} USD; everything is lost: close and look"
        found.add(Control.LOSS_BUDGET, Level.HALT, "equity", _BOOK, text, value=pnl.equity_usd, unit="USD")
        return
    if pnl is None or not pnl.equity_usd < float("inf"):
        todo = "value the account" if pnl is None else f"equity is {pnl.equity_usd}"
        for control in (Control.PNL_EXPLAIN, Control.LOSS_BUDGET, Control.CONCENTRATION):
            found.missing(control, "equity", _BOOK, todo)
        return
    equity, control = pnl.equity_usd, Control.LOSS_BUDGET
    limit, todo = settings.max_pnl_age_s, "value the account again"
    found.age(control, "pnl_age", _BOOK, state.ts_ns, pnl.ts_ns, limit, skew, todo)
    for measure, usd, budget in (
        ("daily_loss", pnl.day_loss_usd, settings.daily_loss),
        ("drawdown", pnl.drawdown_usd, settings.drawdown),
        ("hedge_error", pnl.hedge_error_usd, settings.hedge_error),
        ("fees", pnl.fees_usd, settings.fees),
    ):
        found.cap(
            control,
            measure,
            _BOOK,
            usd / equity,
            budget.reduce,
            "of equity",
            "reduce risk",
            halt=budget.halt,
        )
    if state.explain is None:
        found.missing(Control.PNL_EXPLAIN, "attribution", _BOOK, "run the P&L attribution")
    elif not isfinite(state.explain.gross_usd):
        found.missing(Control.PNL_EXPLAIN, "finite gross P&L", _BOOK, "run the P&L attribution")
    else:
        limit, todo = settings.max_explain_age_s, "run the P&L attribution"
        found.age(
            Control.PNL_EXPLAIN, "explain_age", _BOOK, state.ts_ns, state.explain.ts_ns, limit, skew, todo
        )
        share, of_equity = settings.explain_gross_share, settings.explain_equity_share
        gross = abs(state.explain.gross_usd)
        limit = max(of_equity * equity, share * gross if gross > 0.0 else 0.0)
        found.cap(
            Control.PNL_EXPLAIN,
            "residual",
            _BOOK,
            abs(state.explain.residual_usd),
            limit,
            "USD",
            "look for a wrong mark, position or Greek",
        )
    _watch_funding(found, equity, state, settings)


def _watch_funding(found: Findings, equity: float, state: ControlState, settings: ControlSettings) -> None:
    control = Control.CONCENTRATION
    for name, coin in state.underlyings.items():
        cost = coin.funding_cost_usd_per_day
        share = None if cost is None else cost / equity
        limit, todo = settings.max_funding_share_per_day, "move the hedge to dated futures"
        found.cap(control, "funding", Scope(name), share, limit, "of equity per day", todo)
    if state.stablecoin_shares is None:
        found.missing(control, "stablecoin shares", _BOOK, "value the collateral by currency")
        return
    for name, part in state.stablecoin_shares.items():
        limit, todo = settings.max_stablecoin_share, "hold less of this stablecoin"
        found.cap(control, f"stablecoin {name}", _BOOK, part, limit, "of equity", todo)


def watch_audit(found: Findings, state: ControlState, settings: ControlSettings) -> None:
    """Control 20."""
    control, audit = Control.AUDIT_LOG, state.audit
    if audit is None:
        found.missing(control, "audit log", _BOOK, "verify the hash chain")
        return
    if not audit.chain_verified:
        text = "expected an unbroken hash chain, found it broken; keep the log and compare with the venues"
        found.add(control, Level.HALT, "chain", _BOOK, text)
    found.age(
        control,
        "proof_age",
        _BOOK,
        state.ts_ns,
        audit.proof_ns,
        settings.max_proof_age_s,
        settings.max_clock_skew_ms,
        "make the daily proof",
    )
