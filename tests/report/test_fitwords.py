from datetime import UTC, datetime
from types import SimpleNamespace

import polars as pl
import pytest

from ivhedge.report.fitwords import attention, certificate_rows, fit_kind, mix_of, verdict
from ivhedge.surface import ArbitrageCertificate, FitSettings, Violation
from ivhedge.surface.flexible import SliceStatus

EXPIRY = datetime(2026, 3, 27, 8, tzinfo=UTC)


def fit(*, mix=None, wide=0.0, status="fitted", quotes=40, inside=1.0, forwards=(), **certificate):
    found = {"valid": True, "proven": True, "violations": ()} | certificate
    proof = SimpleNamespace(proven=True)
    return SimpleNamespace(
        certificate=ArbitrageCertificate(
            min_density=0.1, min_calendar=1e-6, max_wing_slope=0.3, n_strikes=2521, n_expiries=71, **found
        ),
        flexible=None if mix is None else SimpleNamespace(mix=mix, wide=wide, proof=proof),
        settings=FitSettings(),
        surface=SimpleNamespace(expiries=[1_774_598_400_000_000_000]),
        forwards=SimpleNamespace(
            status=pl.DataFrame(
                [("deribit", EXPIRY, *row) for row in forwards],
                schema=["venue", "expiry", "status", "detail"],
                orient="row",
            )
        ),
        report=SimpleNamespace(
            by_expiry=pl.DataFrame(
                {"expiry": [EXPIRY], "status": [status], "n_quotes": [quotes], "inside_bid_ask": [inside]}
            ),
            skipped_expiries=("2026-06-26 08:00:00",),
            expiry_notes={"2026-03-27 08:00:00": "low confidence", "2026-06-26 08:00:00": "not fitted: x"},
        ),
    )


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        (None, "the backbone alone"),
        (1e-4, "0.01 % of every price is the backbone's, the least share"),
        (0.25, "25.0 % of every price is the backbone's, raised until the proof held"),
        (1.0, "100 %: the surface is the backbone"),
    ],
)
def test_the_verdict_says_how_much_is_the_backbone(mix, words):
    made = fit(mix=mix)
    assert verdict(made) == (
        "Certified free of butterfly and calendar arbitrage; proven for all strikes and times; " + words + "."
    )
    assert mix_of(made) == (1.0 if mix is None else mix)
    assert ("share of the backbone" in dict(certificate_rows(made))) == (mix is not None)


def test_the_verdict_names_a_wide_law():
    assert "1e-06 a wide law's" in verdict(fit(mix=1e-4, wide=1e-6))


def test_checked_is_not_called_proven():
    made = fit(mix=1e-4, proven=False)
    assert "not proven" in verdict(made)
    assert dict(certificate_rows(made))["proven for all strikes and times"].startswith("no: ")


def test_a_violation_is_named():
    worst = Violation(
        kind="calendar",
        expiry_ns=1_774_598_400_000_000_000,
        log_moneyness=0.1,
        strike=1.0,
        size=-1e-3,
        n_strikes=1,
    )
    made = fit(valid=False, proven=False, violations=(worst,))
    assert verdict(made).startswith("NOT certified: 1 violations, the worst a calendar of -0.001")
    assert "2026-03-27" in verdict(made)
    assert "must not be used" in verdict(made)


def test_attention_names_expiries_and_forwards():
    made = fit(
        mix=1e-4,
        status=SliceStatus.BACKBONE.value,
        quotes=1,
        forwards=[("ok", ""), *[("contradicts_parity", "future 1 outside 2 to 3")] * 8],
    )
    lines = attention(made)
    assert lines[0].startswith(
        "27 Mar 2026 has no fit of its own: 1 two-sided quote, the flexible layer needs 2"
    )
    assert lines[1] == "2026-06-26 08:00:00: not fitted: x"
    assert lines[2] == "forward of deribit 27 Mar 2026, contradicts parity: future 1 outside 2 to 3"
    assert lines[-1] == "2 more forwards in doubt"
    assert len(lines) == 9


def test_attention_says_when_the_fit_leaves_the_market():
    assert attention(fit(mix=1e-4, inside=0.4))[0].startswith("27 Mar 2026: only 40 % of its quotes hold")
    assert not any("of its quotes hold" in line for line in attention(fit(mix=1e-4, inside=0.9)))
    # Three numbers an expiry leave many quotes outside as a rule.
    assert not any("of its quotes hold" in line for line in attention(fit(inside=0.4)))


def test_statuses_in_one_word():
    assert [fit_kind(status.value) for status in SliceStatus] == [
        "flexible" if status is SliceStatus.FITTED else "backbone" for status in SliceStatus
    ]
    assert fit_kind("essvi") == "eSSVI"
