from decimal import Decimal
from pathlib import Path

import pytest

from ivhedge.app.config import load_book, load_policies, load_replay
from ivhedge.core.errors import ConfigError
from ivhedge.engine.spec import PolicyKind, StructureKind

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("path", sorted((EXAMPLES / "books").glob("*.toml")), ids=lambda p: p.name)
def test_example_books_load(path):
    book = load_book(path)
    assert book.structures
    assert all(s.kind is StructureKind.STRANGLE and s.notional_usd < 0 for s in book.structures)


def test_example_policies_and_replay_load():
    policies = load_policies(EXAMPLES / "policies" / "four_policies.toml")
    assert [p.kind for p in policies] == [
        PolicyKind.NONE,
        PolicyKind.DELTA,
        PolicyKind.DELTA,
        PolicyKind.DELTA_VEGA,
    ]
    assert policies[3].vega_buckets[1].max_days == 60
    assert load_replay(EXAMPLES / "backtests" / "recorded.toml").numeraire == "coin"


def test_a_holding_keeps_its_exact_size(tmp_path):
    path = tmp_path / "book.toml"
    path.write_text(
        'name="b"\nvenue="deribit"\ncollateral_usd=1\n[[holding]]\ninstrument="X"\ncontracts="-0.1"\n'
    )
    assert load_book(path).holdings[0].contracts == Decimal("-0.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name: Field required"),
        ("name = [", "not a TOML file"),
        ('name="b"\nvenue="v"\ncollateral_usd=1\ntypo=3\n', r"typo: Extra inputs.*found 3"),
        ('name="b"\nvenue="v"\ncollateral_usd=1\n', "at least one"),
        ('name="b"\nvenue="v"\ncollateral_usd="x"\n', "collateral_usd: .*found 'x'"),
        (
            'name="b"\nvenue="v"\ncollateral_usd=1\n[[structure]]\nkind="iron"\ntenor_days=1\nnotional_usd=1\n',
            "structure.0.kind",
        ),
        (
            'name="b"\nvenue="v"\ncollateral_usd=1\n[[structure]]\nkind="put"\ntenor_days=1\nnotional_usd=0\n',
            "notional_usd other than 0",
        ),
    ],
)
def test_a_wrong_book_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "book.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_book(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_policies(tmp_path / "nowhere.toml")


def test_two_policies_of_one_name_are_refused(tmp_path):
    path = tmp_path / "policies.toml"
    path.write_text('[[policy]]\nname="a"\nkind="none"\n[[policy]]\nname="a"\nkind="delta"\n')
    with pytest.raises(ConfigError, match="one name per policy"):
        load_policies(path)


def test_settlement_bars_are_relative_to_the_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name="r"\nsettlement_bars="bars.parquet"\n')
    assert load_replay(path).settlement_bars == (tmp_path / "bars.parquet").resolve()
