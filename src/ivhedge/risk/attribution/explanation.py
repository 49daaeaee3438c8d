"""The result of an explanation: P&L by step, leg, term and factor, and the views on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.risk.attribution.book import PERPETUAL, ExplainStatus, Role

__all__ = ["CARRY", "FLOWS", "Explanation", "join_explanations"]

FLOWS: Final = ("funding", "fees", "trading")
CARRY: Final = ("time", "basis_roll", "funding", "fees")
"""Factors that are earned or paid while nothing moves."""
_NO_MOVE: Final = (*CARRY, "trading", "residual", "unexplained")
_NOT_GROSS: Final = (*FLOWS, "residual", "unexplained")
_KEYS: Final = ("leg", "expiry", "role", "step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """P&L of m sub-steps and n legs, in each leg's settlement currency until `converted`.

    Parameters
    ----------
    start_ns, end_ns : IntArray, shape (m,)
    legs, underlyings, currencies : tuple of str
    roles : tuple of Role
    expiry_ns : IntArray, shape (n,)
    status : tuple of ExplainStatus
    term_names, factor_names : tuple of str
    terms : FloatArray, shape (m, n, number of terms)
    factors : FloatArray, shape (m, n, number of factors)
        Two splits of the same P&L, sub-step by sub-step; either adds up to the ledger's.
    """

    start_ns: IntArray
    end_ns: IntArray
    legs: tuple[str, ...]
    underlyings: tuple[str, ...]
    currencies: tuple[str, ...]
    roles: tuple[Role, ...]
    expiry_ns: IntArray
    status: tuple[ExplainStatus, ...]
    term_names: tuple[str, ...]
    terms: FloatArray
    factor_names: tuple[str, ...]
    factors: FloatArray

    @property
    def total(self) -> FloatArray:
        """P&L per sub-step and leg, shape (m, n)."""
        return np.asarray(self.terms.sum(axis=-1))

    def table(self, detail: Literal["term", "factor"] = "term") -> pl.DataFrame:
        """One row per sub-step and leg, one column per term or factor, with their `total`."""
        names, values = self._split(detail)
        m, n = self.total.shape
        columns: dict[str, object] = {
            "start": np.repeat(self.start_ns, n),
            "end": np.repeat(self.end_ns, n),
            "underlying": list(self.underlyings) * m,
            "leg": list(self.legs) * m,
            "role": [role.value for role in self.roles] * m,
            "expiry": np.tile(self.expiry_ns, m),
            "currency": list(self.currencies) * m,
            "status": [status.value for status in self.status] * m,
        }
        columns |= {name: values[:, :, i].ravel() for i, name in enumerate(names)}
        frame = pl.DataFrame(columns | {"total": values.sum(axis=-1).ravel()})
        dated = pl.when(pl.col("expiry") != PERPETUAL).then(pl.col("expiry"))
        return frame.with_columns(
            pl.col("start", "end").cast(pl.Datetime("ns", "UTC")),
            dated.cast(pl.Datetime("ns", "UTC")).alias("expiry"),
        )

    def by(
        self,
        key: Literal["leg", "expiry", "role", "step", "factor", "term"],
        detail: Literal["term", "factor"] = "term",
    ) -> pl.DataFrame:
        """Add up per currency and one key.

        Parameters
        ----------
        key : {"leg", "expiry", "role", "step", "factor", "term"}
        detail : {"term", "factor"}
            Columns of the first four; not read for "factor" and "term".

        Returns
        -------
        pl.DataFrame
            For "factor" and "term": ``currency, <key>, profit, share_of_gross``. Else one row per value of
            the key, with the columns of `table`, ``total``, ``gross`` and ``residual_share``, which is
            ``|residual| / gross``, null where gross is 0.

        Raises
        ------
        ConfigError
            If the key is unknown.

        Notes
        -----
        Gross is the sum over sub-steps and terms (or factors) of the absolute net amount of the rows'
        legs, without the flows, the residual and what is unexplained.
        """
        if key in ("factor", "term"):
            return self._by_column("factor" if key == "factor" else "term")
        if key not in _KEYS:
            raise ConfigError(f"expected one of {', '.join((*_KEYS, 'factor', 'term'))}, found {key!r}")
        return self._by_row(key, detail)

    def totals(self) -> pl.DataFrame:
        """One row per currency: book and hedge apart from carry, the residual and its share of gross.

        Returns
        -------
        pl.DataFrame
            ``currency, total, book, hedge, carry, theta, basis_roll, funding, fees, trading, residual,
            unexplained, gross, residual_share``; total = book + hedge + carry + trading + residual +
            unexplained, carry = theta + basis_roll + funding + fees, of all legs. `book` and `hedge` are what
            market moves did to the legs of each role.
        """
        moves = [i for i, name in enumerate(self.factor_names) if name not in _NO_MOVE]
        hedges = np.array([role is Role.HEDGE for role in self.roles], dtype=np.bool_)
        rows = []
        for code in sorted(set(self.currencies)):
            mine = np.array([c == code for c in self.currencies])
            sums = dict(zip(self.factor_names, self.factors[:, mine].sum(axis=(0, 1)).tolist(), strict=True))
            gross, residual = self._gross(self._split("term"), mine)
            rows.append(
                {
                    "currency": code,
                    "total": sum(sums.values()),
                    "book": float(self.factors[:, mine & ~hedges][:, :, moves].sum()),
                    "hedge": float(self.factors[:, mine & hedges][:, :, moves].sum()),
                    "carry": sum(sums[name] for name in CARRY),
                    "theta": sums["time"],
                    **{name: sums[name] for name in ("basis_roll", *FLOWS)},
                    "residual": sums["residual"],
                    "unexplained": sums["unexplained"],
                    "gross": gross,
                    "residual_share": residual / gross if gross > 0.0 else None,
                }
            )
        return pl.DataFrame(rows)

    def converted(self, rates: Mapping[str, float], currency: str = "USD") -> "Explanation":
        """Bring all legs to one currency, so that sums run over all of them.

        Parameters
        ----------
        rates : mapping of currency code to float
            Worth of one unit of each settlement currency, at the end of the step say.

        Raises
        ------
        DataError
            If a rate is missing, or not positive.
        """
        for code in sorted(set(self.currencies)):
            if not (np.isfinite(rates.get(code, np.nan)) and rates[code] > 0.0):
                raise DataError(f"expected a positive rate of {code} in {currency}, found {rates.get(code)}")
        rate = np.array([rates[code] for code in self.currencies])[None, :, None]
        return replace(
            self,
            currencies=(currency,) * len(self.legs),
            terms=self.terms * rate,
            factors=self.factors * rate,
        )

    # -- inner steps -------------------------------------------------------------------------------------

    def _split(self, detail: str) -> tuple[tuple[str, ...], FloatArray]:
        if detail == "term":
            return self.term_names, self.terms
        if detail == "factor":
            return self.factor_names, self.factors
        raise ConfigError(f"expected detail term or factor, found {detail!r}")

    def _gross(self, split: tuple[tuple[str, ...], FloatArray], legs: BoolArray) -> tuple[float, float]:
        # Net over the legs, absolute per sub-step and term; the residual of the whole span, absolute.
        names, values = split
        net = values[:, legs].sum(axis=1)
        counted = [i for i, name in enumerate(names) if name not in _NOT_GROSS]
        return float(np.abs(net[:, counted]).sum()), abs(float(net[:, names.index("residual")].sum()))

    def _by_column(self, detail: Literal["term", "factor"]) -> pl.DataFrame:
        split = self._split(detail)
        rows = []
        for code in sorted(set(self.currencies)):
            mine = np.array([c == code for c in self.currencies])
            gross, _ = self._gross(split, mine)
            sums = split[1][:, mine].sum(axis=(0, 1))
            for name, profit in zip(split[0], sums.tolist(), strict=True):
                share = profit / gross if gross > 0.0 else None
                rows.append({"currency": code, detail: name, "profit": profit, "share_of_gross": share})
        return pl.DataFrame(rows, schema_overrides={"share_of_gross": pl.Float64})

    def _by_row(self, key: str, detail: Literal["term", "factor"]) -> pl.DataFrame:
        columns = {"leg": ["leg", "role", "status"], "step": ["start", "end"]}.get(key, [key])
        names, _ = self._split(detail)
        counted = [name for name in names if name not in _NOT_GROSS]
        span = [name for name in ("start", "end") if name not in columns]
        spans = self.table(detail).group_by("currency", *columns, *span, maintain_order=True)
        netted = spans.agg(pl.col(*names, "total").sum())
        netted = netted.with_columns(pl.sum_horizontal(pl.col(counted).abs()).alias("gross"))
        summed = netted.group_by("currency", *columns, maintain_order=True).agg(
            pl.col(*names, "total", "gross").sum()
        )
        share = pl.when(pl.col("gross") > 0.0).then(pl.col("residual").abs() / pl.col("gross"))
        return summed.with_columns(share.alias("residual_share")).sort("currency", *columns)


def join_explanations(explanations: Sequence[Explanation]) -> Explanation:
    """Put explanations of several steps or underlyings into one; a leg is 0 where it was not held.

    Raises
    ------
    DataError
        If there is none, their terms differ (other methods), or a leg has two currencies, roles or expiries.
    """
    if not explanations:
        raise DataError("expected at least one explanation to join, found none")
    first = explanations[0]
    described: dict[tuple[str, Role], tuple[str, str, int]] = {}
    status: dict[tuple[str, Role], ExplainStatus] = {}
    worse = {item: rank for rank, item in enumerate(ExplainStatus)}
    for one in explanations:
        if one.term_names != first.term_names or one.factor_names != first.factor_names:
            raise DataError("expected explanations of one method to join, found different terms")
        for i, key in enumerate(zip(one.legs, one.roles, strict=True)):
            about = (one.underlyings[i], one.currencies[i], int(one.expiry_ns[i]))
            if described.setdefault(key, about) != about:
                raise DataError(f"{key[0]}: expected {described[key]}, found {about}; convert all or none")
            status[key] = max(status.get(key, one.status[i]), one.status[i], key=worse.__getitem__)
    keys = list(described)
    column = {key: i for i, key in enumerate(keys)}

    def stack(name: str) -> FloatArray:
        blocks = []
        for one in explanations:
            values: FloatArray = getattr(one, name)
            block = np.zeros((values.shape[0], len(keys), values.shape[2]))
            block[:, [column[key] for key in zip(one.legs, one.roles, strict=True)]] = values
            blocks.append(block)
        return np.concatenate(blocks)

    return Explanation(
        start_ns=np.concatenate([one.start_ns for one in explanations]),
        end_ns=np.concatenate([one.end_ns for one in explanations]),
        legs=tuple(name for name, _ in keys),
        underlyings=tuple(described[key][0] for key in keys),
        currencies=tuple(described[key][1] for key in keys),
        roles=tuple(role for _, role in keys),
        expiry_ns=np.array([described[key][2] for key in keys], dtype=np.int64),
        status=tuple(status[key] for key in keys),
        term_names=first.term_names,
        terms=stack("terms"),
        factor_names=first.factor_names,
        factors=stack("factors"),
    )
