"""The page on controls: its example runs, its table is complete, its defaults are the real ones."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from ivhedge.risk.controls import Budget, ControlSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "controls.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_example_runs(capsys):
    (code,) = _blocks("python")
    exec(compile(code, "controls.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "True"
    assert lines[1].startswith("control 4, BTC: expected delta at most 5 coin, found 5.5")
    assert lines[2:] == ["reducing"]


def test_the_toml_is_read():
    (text,) = _blocks("toml")
    assert ControlSettings.from_mapping(tomllib.loads(text)).max_order_btc == 1.0


def test_every_control_and_setting_is_on_the_page():
    numbers = re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE)
    assert [int(n) for n in numbers] == list(range(1, 21))
    assert [f.name for f in fields(ControlSettings) if f"`{f.name}`" not in PAGE] == []


def test_defaults_on_the_page_are_the_real_ones():
    wrong, checked = {}, 0
    for f in fields(ControlSettings):
        value = getattr(ControlSettings(), f.name)
        printed = re.findall(rf"`{f.name}` \(?([\d.]+)", PAGE)
        if isinstance(value, float) and printed:
            checked += 1
            if any(float(p.rstrip(".")) != value for p in printed):
                wrong[f.name] = printed
    assert wrong == {}
    assert checked >= 30
    assert Budget() == Budget(reduce=0.02, halt=0.05)
