"""What a reader of a result has to know: the run's assumptions, and what went other than asked."""

from collections.abc import Collection, Sequence

from ivhedge.engine.spec import BookSpec, ReplayConfig

__all__ = ["assumptions_of", "warnings_of"]


def assumptions_of(config: ReplayConfig, settlement_sources: Collection[str]) -> tuple[str, ...]:
    """State the run's conventions as plain sentences."""
    funding = (
        f"{config.funding_rate_8h:.6%} per 8 h"
        if config.funding_rate_8h is not None
        else "from the perpetual's premium (median of 56 snapshots, ±0.025 % damper)"
    )
    return (
        "every trade takes liquidity: buys at the ask, sells at the bid, with the venue's taker fee",
        f"futures without quotes trade {config.perpetual_half_spread_bps:g} bp (perpetuals) or "
        f"{config.future_half_spread_bps:g} bp (dated) from their mark",
        "a known displayed size is never exceeded; a quote of unknown size fills any size without impact",
        f"funding where the record holds no rate: {funding}",
        f"settlement prices: {', '.join(sorted(settlement_sources)) or 'nothing expired'}",
        f"risk is counted in {config.numeraire}; margin is not modelled",
    )


def warnings_of(
    book: BookSpec,
    *,
    left_over: Sequence[str],
    n_snapshots: int,
    made_up_perpetuals: int,
    failed_fits: Sequence[str],
    incomplete: Sequence[str],
    bad_quotes: int,
    absent_venues: Collection[str],
    foreign: Collection[str],
    surface_marks: int,
) -> tuple[str, ...]:
    """State what went other than asked as plain sentences; empty when nothing did.

    Parameters
    ----------
    book : BookSpec
    left_over : sequence of str
        What of the book is not on.
    n_snapshots : int
    made_up_perpetuals : int
        Snapshots whose perpetual was priced at the index.
    failed_fits : sequence of str
        Snapshots without a certified surface.
    incomplete : sequence of str
        Snapshots that do not fit the underlyings of the first time.
    bad_quotes : int
        Rows with prices that cannot be, or that came twice.
    absent_venues : collection of str
        Hedge venues without any quote in the run.
    foreign : collection of str
        Currencies of contracts that do not settle in their coin, where risk is counted in coin.
    surface_marks : int
        Largest number of marks, over the policies, that came from the surface.
    """
    found = list(left_over)
    if made_up_perpetuals:
        found.append(
            f"{made_up_perpetuals} of {n_snapshots} snapshots hold no perpetual of {book.venue}; "
            "it was priced at the index"
        )
    if failed_fits:
        found.append(
            f"{len(failed_fits)} snapshots gave no certified surface and were passed over, "
            f"the first: {failed_fits[0]}"
        )
    if incomplete:
        found.append(
            f"{len(incomplete)} snapshots did not fit the underlyings of the first time and were passed "
            f"over, the first: {incomplete[0]}"
        )
    if bad_quotes:
        found.append(f"{bad_quotes} rows came twice or with impossible prices; those were taken as missing")
    if absent_venues:
        found.append(f"nothing was hedged on {', '.join(sorted(absent_venues))}: the run has no quotes of it")
    if foreign:
        found.append(
            f"contracts settle in {', '.join(sorted(foreign))} while risk is counted in coin: their delta is "
            "hedged net of their premium, their profit counts in dollars; numeraire 'usd' hedges the latter"
        )
    if surface_marks:
        found.append(f"up to {surface_marks} marks came from the surface, because the record had none")
    return tuple(found)
