"""Turn the JSON of `pricing.py` into the tables of docs/pricing.md; its argument is the JSON file."""

import json
import sys
from pathlib import Path
from typing import Any

OURS = "ivhedge"
EMPTY = "–"


def render(result: dict[str, Any]) -> str:
    """Return the Markdown tables and one line on the machine."""
    return "\n\n".join([_machine(result), _speed(result), _accuracy(result), _own(result)]) + "\n"


def _machine(result: dict[str, Any]) -> str:
    where, versions = result["machine"], result["machine"]["versions"]
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    missing = ", ".join(f"{name} ({why})" for name, why in result["peers"]["missing"].items())
    text = (
        f"{where['processor']}; Python {where['python']}, {libraries}. {result['points']:,} options per set, "
        f"medians of {result['repeats']} turns, process CPU time of one thread."
    )
    return text + (f" Not measured: {missing}." if missing else "")


def _speed(result: dict[str, Any]) -> str:
    ns = result["ns_per_option"]
    kinds = ("implied_vol chain", "implied_vol wings", "price chain")
    rows = []
    for name in (OURS, *result["peers"]["versions"]):
        cells = [_number(ns.get(f"{kind} {name}", {}).get("median")) for kind in kinds]
        times = [_number(result["peer_over_ours"][kind].get(name), "×") for kind in kinds]
        rows.append(
            [_label(result, name), *(cell for pair in zip(cells, times, strict=True) for cell in pair)]
        )
    return _table(["library", "IV, chain, ns", "", "IV, wings, ns", "", "price, ns", ""], rows)


def _accuracy(result: dict[str, Any]) -> str:
    found = result["accuracy"]
    if "solvers" not in found:
        return f"Accuracy: {found['note']}."
    columns = {
        "max_error_over_bound": "max error / (2⁻⁵² + floor)",
        "max_error_well_conditioned": "max error, well-conditioned",
        "over_1e13": "> 1e-13",
        "over_1e8": "> 1e-8",
        "nan": "NaN",
        "silent_wrong": "silently wrong",
    }
    rows = [
        [_label(result, name), *(_number(one[c]) for c in columns)] for name, one in found["solvers"].items()
    ]
    return _table(["library", *columns.values()], rows)


def _own(result: dict[str, Any]) -> str:
    ns, narrow = result["ns_per_option"], result.get("avx2", {}).get("ns_per_option", {})
    two = result["two_threads"].get("speed_up_of_minima", {})
    names = {
        "implied_vol chain": "implied_vol",
        "implied_vol wings": "",
        "price chain": "price",
        "greeks_16 blocks": "",
        "greeks_16 chain": "greeks_16",
    }
    rows = [
        [
            kind,
            _number(ns[f"{kind} {OURS}"]["median"]),
            _number(narrow.get(f"{kind} {OURS}", {}).get("median")),
            _number(two.get(short), "×"),
        ]
        for kind, short in names.items()
    ]
    table = _table(["ours", "ns per option", "ns with 256-bit vectors", "two threads"], rows)
    if "start" not in result:
        return table
    start = [
        [name.replace("_", " "), _number(one["import_s"]), _number(one["first_vol_s"])]
        for name, one in result["start"].items()
    ]
    return table + "\n\n" + _table(["start", "import, s", "first implied vol, s"], start)


def _label(result: dict[str, Any], name: str) -> str:
    return f"{name} {result['peers']['versions'].get(name, '')}".strip()


def _number(value: float | None, unit: str = "") -> str:
    return (
        EMPTY
        if value is None
        else f"{value:.3g}{unit}"
        if value < 1000
        else f"{value:,.0f}{unit}"
        if value < 1e6
        else f"{value:.1g}{unit}"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(render(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
