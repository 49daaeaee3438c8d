"""What the views of a book say: every scenario, every reason once, one number of decimals a column."""

from dataclasses import dataclass, field

import pytest

from ivhedge.app.bookviews import explain, margin
from ivhedge.app.cli.output import plain
from ivhedge.risk.attribution import ExplainStatus
from tests.app.conftest import BOOK


@dataclass
class _Explanation:
    legs: tuple[str, ...]
    status: tuple[ExplainStatus, ...]


@dataclass
class _Seen:
    explanation: _Explanation
    notes: tuple[str, ...] = field(default=())


def test_a_reason_is_said_once_with_its_legs():
    worse = ExplainStatus.SURFACE_VOL
    legs = ("a", "b", "a", "c", "d")
    status = (worse, worse, worse, ExplainStatus.OK, ExplainStatus.NO_VOL)
    said = explain._doubtful(_Seen(_Explanation(legs, status)))
    assert said == [f"a, b: {worse.describe()}", f"d: {ExplainStatus.NO_VOL.describe()}"]


def test_a_scenario_without_a_loss_keeps_its_row():
    (bars,) = margin._bars("loss", {"-4% down": 0.0, "+0% up": -1.5}, "BTC")
    assert bars.names == ("−4 % down", "0 % up")
    assert bars.values == (0.0, -1.5)
    (bars,) = margin._bars("margin", {"a": 0.0, "b": 1.5}, "BTC", zeros=False)
    assert bars.names == ("b",)
    assert bars.note == "BTC; 1 row of zero left out"


def test_every_scenario_is_shown(cli, recording):
    command = ("margin", recording, "-b", BOOK, "--profile", "deribit_pm_btc")
    scenarios = cli(*command, "--json").json["by_scenario"]
    assert 0.0 in scenarios.values()
    shown = cli(*command).out
    listed = shown.split("loss counted by scenario (BTC)")[1].split("margin by component")[0]
    assert sum(line.startswith(" ") and "%" in line for line in listed.splitlines()) == sum(
        "%" in name for name in scenarios
    )
    assert "row" in shown.split("margin by component (BTC; ")[1].splitlines()[0]


def decimals_of(cell: str) -> int:
    return len(cell.partition(".")[2])


@pytest.mark.parametrize("name", ["risk", "stress", "margin", "explain"])
def test_numbers_have_one_minus_and_zeros_no_sign(cli, recording, name):
    more = ("--profile", "deribit_pm_btc") if name == "margin" else ()
    ran = cli(name, recording, "-b", BOOK, *more)
    assert ran.code == 0, ran.err
    for word in ran.out.split():
        number = word.strip("();:,%")
        if number[:1] in ("-", "−", "+") and number[1:2].isdigit():
            assert number[0] != "-", word
            assert any(digit in number for digit in "123456789"), word
            assert "e" not in number, word


def test_columns_of_an_explanation_have_one_number_of_decimals(cli, recording):
    out = cli("explain", recording, "-b", BOOK).out
    part = out.split("book and hedge moves apart")[1].split("profit by leg")[0]
    cells = [line.split()[-2] for line in part.splitlines() if line.endswith("BTC") or " BTC " in line]
    assert len(cells) > 5
    assert len(set(map(decimals_of, cells))) == 1


def test_json_has_no_negative_zero():
    assert str(plain({"a": -0.0})) == "{'a': 0.0}"
