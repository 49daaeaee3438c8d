"""Key figures of a policy: taken from its summary, worked out from its tables where absent."""

from dataclasses import asdict, dataclass
from decimal import Decimal

import numpy as np
import polars as pl

from ivhedge.engine import series
from ivhedge.engine.result import PolicyResult, SummaryValue

__all__ = ["PolicyFigures", "final_exposures", "policy_figures", "std_reduction"]

_EXPOSURES = ("delta_coin", "delta_usd", "gamma_1pct_usd", "vega_usd_per_vol_point", "theta_usd_per_day")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFigures:
    """Figures by which policies are compared; None = not known.

    Costs are positive when paid, funding is positive when received, drawdown and CVaR are negative.
    """

    name: str
    description: str
    pnl: dict[str, float]  # per settlement currency
    pnl_usd: float | None
    pnl_std_usd: float | None
    max_drawdown_usd: float | None
    cvar95_usd: float | None
    turnover_usd: float | None
    fees_usd: float | None
    slippage_usd: float | None
    funding_usd: float | None
    costs: dict[str, float]  # fees + slippage per settlement currency
    n_trades: int
    residual_share_of_gross: float | None
    identity_exact: bool | None

    def to_summary(self) -> dict[str, SummaryValue]:
        """Flatten to the plain numbers of `PolicyResult.summary`."""
        plain = asdict(self)
        per_currency = {f"pnl_{code}": value for code, value in plain.pop("pnl").items()}
        return per_currency | {
            name: value for name, value in plain.items() if name not in ("name", "description", "costs")
        }

    @property
    def cost_usd(self) -> float | None:
        """Fees and slippage together, USD."""
        if self.fees_usd is None or self.slippage_usd is None:
            return None
        return self.fees_usd + self.slippage_usd


def policy_figures(policy: PolicyResult, numeraire: str) -> PolicyFigures:
    """Collect a policy's figures."""
    steps = series.step_pnl(policy, numeraire)["pnl_usd"].to_numpy()
    path = series.pnl_usd(policy, numeraire)
    fall = series.drawdown(path)["drawdown"].to_numpy() if path.height else np.empty(0)
    terms = series.attribution_usd(policy)
    explained = {name: float(terms[name].sum()) if terms.height else None for name in terms.columns[1:]}

    def known(key: str, fallback: float | None) -> float | None:
        value = policy.summary.get(key)
        return float(value) if isinstance(value, int | float) else fallback

    return PolicyFigures(
        name=policy.name,
        description=policy.description,
        pnl=_pnl_per_currency(policy),
        pnl_usd=known("pnl_usd", float(steps.sum()) if steps.size else None),
        pnl_std_usd=known("pnl_std_usd", float(steps.std(ddof=1)) if steps.size > 1 else None),
        max_drawdown_usd=known("max_drawdown_usd", float(fall.min()) if fall.size else None),
        cvar95_usd=known("cvar95_usd", _cvar95(steps)),
        turnover_usd=known("turnover_usd", _turnover(policy)),
        fees_usd=known("fees_usd", _negated(explained.get("fees"))),
        slippage_usd=known("slippage_usd", _negated(explained.get("slippage"))),
        funding_usd=known("funding_usd", explained.get("funding")),
        costs=_costs_per_currency(policy),
        n_trades=int(known("n_trades", policy.trades.height) or 0),
        residual_share_of_gross=known("residual_share_of_gross", _residual_share(terms)),
        identity_exact=_identity_exact(policy),
    )


def std_reduction(figures: PolicyFigures, baseline: PolicyFigures) -> float | None:
    """Share by which the standard deviation of step P&L fell against the baseline; None if unknown."""
    if figures.pnl_std_usd is None or not baseline.pnl_std_usd:
        return None
    return 1.0 - figures.pnl_std_usd / baseline.pnl_std_usd


def final_exposures(policy: PolicyResult) -> pl.DataFrame:
    """Exposures at the last time of each underlying, summed over settlement currencies."""
    last = policy.equity.filter(pl.col("ts") == pl.col("ts").max().over("underlying"))
    return last.group_by("underlying").agg(pl.col(_EXPOSURES).sum()).sort("underlying")


def _pnl_per_currency(policy: PolicyResult) -> dict[str, float]:
    stated = {
        key.removeprefix("pnl_"): float(value)
        for key, value in policy.summary.items()
        if key.startswith("pnl_") and key.removeprefix("pnl_").isupper() and isinstance(value, int | float)
    }
    if stated:
        return dict(sorted(stated.items()))
    last = series.pnl_by_currency(policy).group_by("currency").agg(pl.col("pnl").last()).sort("currency")
    return dict(zip(last["currency"].to_list(), last["pnl"].to_list(), strict=True))


def _costs_per_currency(policy: PolicyResult) -> dict[str, float]:
    spent = policy.attribution.group_by("currency").agg(-(pl.col("fees") + pl.col("slippage")).sum())
    return dict(sorted(zip(spent["currency"].to_list(), spent["fees"].to_list(), strict=True)))


def _cvar95(steps: np.ndarray) -> float | None:
    if steps.size == 0:
        return None
    worst = np.sort(steps)[: max(1, int(np.ceil(0.05 * steps.size)))]
    return float(worst.mean())


def _residual_share(terms: pl.DataFrame) -> float | None:
    """Absolute residual over the sum of absolute terms, both summed over steps."""
    if terms.is_empty():
        return None
    names = terms.columns[1:-1]
    gross = float(np.abs(terms.select(names).to_numpy()).sum())
    return float(np.abs(terms["residual"].to_numpy()).sum()) / gross if gross else 0.0


def _identity_exact(policy: PolicyResult) -> bool | None:
    """Whether the books close: a difference in the table speaks louder than the summary."""
    if any(Decimal(text or "NaN") != 0 for text in policy.identity["difference"].to_list()):
        return False
    stated = policy.summary.get("identity_exact")
    if stated is None:
        return None if policy.identity.is_empty() else True
    return stated is True or stated == "exact"


def _turnover(policy: PolicyResult) -> float | None:
    """Premiums of options and notionals of futures traded, USD."""
    column = "value_usd"
    return float(policy.trades[column].sum()) if column in policy.trades.columns else None


def _negated(value: float | None) -> float | None:
    return None if value is None else -value
