"""What the run showed, in words."""

from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from ivhedge.engine import series
from ivhedge.engine.figures import PolicyFigures, policy_figures, std_reduction
from ivhedge.engine.result import BacktestResult
from ivhedge.report import format as fmt

__all__ = ["Tone", "Verdict", "verdicts"]

_RESIDUAL_LIMIT = 0.05
_NOTICEABLE = 0.005


class Tone(StrEnum):
    """How a sentence is meant."""

    GOOD = "good"
    BAD = "bad"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence and its tone."""

    tone: Tone
    text: str


def verdicts(result: BacktestResult) -> tuple[Verdict, ...]:
    """Say what the policies did against the baseline, how good the fit was and whether the books close."""
    lines = [*_policy_lines(result), *_surface_lines(result), *_book_lines(result)]
    return tuple(lines) or (Verdict(Tone.BAD, "The run has no policy and no surface: nothing to judge."),)


def _policy_lines(result: BacktestResult) -> list[Verdict]:
    if result.baseline is None:
        return []
    base = policy_figures(result.baseline, result.numeraire)
    step = fmt.duration(series.step_seconds(result.baseline))
    others = [
        policy_figures(policy, result.numeraire)
        for policy in result.policies
        if policy is not result.baseline
    ]
    lines = [_against_baseline(figures, base, step) for figures in others]
    if not others:
        lines.append(
            Verdict(Tone.PLAIN, f"{base.name} earned {_pnl_text(base)}; no other policy to compare with.")
        )
    return lines


def _against_baseline(figures: PolicyFigures, base: PolicyFigures, step: str) -> Verdict:
    cut = std_reduction(figures, base)
    if cut is None:
        return Verdict(Tone.PLAIN, f"{figures.name}: too few steps to compare with {base.name}.")
    share = fmt.percent(abs(cut), 0)
    changed = abs(cut) >= _NOTICEABLE
    verb = f"{'cut' if cut > 0 else 'raised'} the standard deviation of P&L by {share}"
    text = (
        f"{figures.name} {verb if changed else 'left the standard deviation of P&L as it was'} against "
        f"{base.name} ({fmt.number(base.pnl_std_usd)} → {fmt.number(figures.pnl_std_usd)} USD per {step} "
        f"step) at a cost of {_cost_text(figures)}; P&L {_pnl_text(figures)} against {_pnl_text(base)}."
    )
    tone = Tone.PLAIN if not changed else Tone.GOOD if cut > 0 else Tone.BAD
    return Verdict(tone, text)


def _cost_text(figures: PolicyFigures) -> str:
    parts = [fmt.amount(value, code, code=True) for code, value in figures.costs.items()]
    in_usd = fmt.amount(figures.cost_usd, "USD", code=True)
    return f"{' + '.join(parts)} ({in_usd})" if parts and list(figures.costs) != ["USD"] else in_usd


def _pnl_text(figures: PolicyFigures) -> str:
    parts = [fmt.amount(value, code, signed=True, code=True) for code, value in figures.pnl.items()]
    return " and ".join(parts) or fmt.amount(figures.pnl_usd, "USD", signed=True, code=True)


def _surface_lines(result: BacktestResult) -> list[Verdict]:
    table = result.surfaces
    if table.is_empty():
        return [Verdict(Tone.PLAIN, "No surface was fitted in this run.")]
    valid, total = int(table["certificate_valid"].sum()), table.height
    quotes = table["n_quotes"].sum()
    weighted = table.select((pl.col("inside_bid_ask") * pl.col("n_quotes")).sum()).item()
    inside = weighted / quotes if quotes else None
    rmse = table["rmse_vol"].median()
    text = (
        f"The surface was certified free of arbitrage on {fmt.count(valid)} of {fmt.count(total)} fits, with "
        f"{fmt.percent(inside, 0)} of quotes inside bid/ask and a median rmse of "
        f"{fmt.vol_points(rmse if isinstance(rmse, float) else None)} vol points."
    )
    return [Verdict(Tone.GOOD if valid == total else Tone.BAD, text)]


def _at_most(share: float) -> str:
    return "less than 0.1 %" if 0 < share < 0.0005 else f"at most {fmt.percent(share)}"


def _book_lines(result: BacktestResult) -> list[Verdict]:
    figures = [policy_figures(policy, result.numeraire) for policy in result.policies]
    lines = []
    broken = [item.name for item in figures if item.identity_exact is False]
    unknown = [item.name for item in figures if item.identity_exact is None]
    if broken:
        lines.append(Verdict(Tone.BAD, f"The money identity is BROKEN under: {', '.join(broken)}."))
    elif unknown:
        lines.append(Verdict(Tone.BAD, f"The money identity was not checked under: {', '.join(unknown)}."))
    elif figures:
        lines.append(
            Verdict(
                Tone.GOOD,
                "The books close: cash + marks equal the sum of all flows to the smallest unit "
                "under every policy.",
            )
        )
    shares = {item.name: item.residual_share_of_gross or 0.0 for item in figures}
    if shares:
        worst = max(shares, key=lambda name: shares[name])
        tone = Tone.GOOD if shares[worst] <= _RESIDUAL_LIMIT else Tone.BAD
        text = (
            f"P&L explain leaves a residual of {_at_most(shares[worst])} of gross ({worst}; "
            f"the aim is {fmt.percent(_RESIDUAL_LIMIT, 0)})."
        )
        lines.append(Verdict(tone, text))
    return lines
