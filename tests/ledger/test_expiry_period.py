import pytest

from ivhedge.core import parse_time
from ivhedge.ledger import expiry_period


@pytest.mark.parametrize(
    ("day", "period"),
    [
        ("2026-01-29", "daily"),
        ("2026-01-30", "monthly"),
        ("2026-01-23", "weekly"),
        ("2026-02-27", "monthly"),
        ("2026-12-25", "monthly"),
        ("2026-01-31", "daily"),
        ("2024-05-31", "monthly"),
    ],
)
def test_the_calendar_names_the_series(day: str, period: str) -> None:
    assert expiry_period(parse_time(f"{day}T08:00Z")).value == period
