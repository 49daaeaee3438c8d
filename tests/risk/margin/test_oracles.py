import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ivhedge.risk.margin import (
    Account,
    MarginPositions,
    evaluate,
    load_margin_profile,
    margin,
    prepare_margin,
)

from ._oracles import DAY, SRM_RULES, pm2_case, profile_of, srm_positions

DATA = Path(os.environ.get("IVHEDGE_DATA", Path(__file__).parents[4] / "shared" / "data"))
ORACLES = DATA / "oracles" / "margin"
PM2 = sorted((ORACLES / "derive_pm2" / "cases").glob("*.json"))
SRM = ORACLES / "derive_srm" / "cases.json"

pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not PM2, reason="no margin cases below IVHEDGE_DATA"),
]


def error(found, expected, floor=1.0):
    return abs(found - expected) / max(floor, abs(expected))


def test_every_case_is_there():
    assert len(PM2) == 69


@pytest.mark.parametrize("path", PM2, ids=lambda p: p.stem)
def test_derive_pm2(path):
    positions, account, profile, expected = pm2_case(path)
    model = prepare_margin(positions, profile, on=DAY)
    batch = evaluate(model, positions.size[None, :], account)
    assert error(batch.equity[0] - batch.initial[0], expected["IM"]) <= 1e-9
    assert error(batch.equity[0] - batch.maintenance[0], expected["MM"]) <= 1e-9
    losses = [x[2] for x in expected["reg_losses"] + expected["tail_losses"]]
    losses += [x[1] for x in expected["skew_losses"]]
    found = batch.totals.pnl[0]
    for value, loss in zip(found[:-1], losses, strict=True):
        assert error(value, float(loss)) <= 1e-9
    assert error(found[-1], expected["ForwardContingency"]) <= 1e-9


@pytest.mark.parametrize("name", sorted(json.loads(SRM.read_text())) if SRM.exists() else [])
def test_derive_srm(name):
    case = json.loads(SRM.read_text())[name]
    profile = profile_of(SRM_RULES)
    for coin in ("ETH", "BTC"):
        positions = srm_positions(case["Scenario"], coin)
        expected = {k: case["Result"][f"{coin}Option{k}"] / 1e18 for k in ("IM", "MM")}
        isolated = {k: case["Result"][f"{coin}OptionIsolated{k}"] / 1e18 for k in ("IM", "MM")}
        if positions is None:
            assert expected == {"IM": 0.0, "MM": 0.0}
            continue
        result = margin(prepare_margin(positions, profile, on=DAY))
        assert error(-result.initial, expected["IM"]) <= 1e-9
        assert error(-result.maintenance, expected["MM"]) <= 1e-9
        assert error(-result.by_component["options_isolated_initial"], isolated["IM"]) <= 1e-9
        assert error(-result.by_component["options_isolated_maintenance"], isolated["MM"]) <= 1e-9


def test_deribit_pme():
    answer = json.loads((ORACLES / "deribit_pme" / "btc_response.json").read_text())["result"]
    now = datetime.fromtimestamp(answer["model_params"]["general"]["timestamp"] / 1000, tz=UTC)
    expiry = datetime(2024, 6, 28, 8, tzinfo=UTC)
    names = ["BTC-PERPETUAL", "BTC-28JUN24"]
    position, ticker = answer["portfolio"]["position"], answer["ticker"]
    details = answer["margins"]["btc"]["initial_margin_details"]
    positions = MarginPositions.of(
        underlying="BTC",
        index=answer["index_price"]["btc_usd"],
        names=names,
        kind=[2, 1],
        size=[position[n] for n in names],
        forward=[ticker[n]["mark_price"] for n in names],
        mark=[ticker[n]["mark_price"] for n in names],
        tau=[0.0, (expiry - now).total_seconds() / 31_536_000],
        is_inverse=True,
    )
    profile = load_margin_profile("deribit_pm_btc")
    model = prepare_margin(positions, profile, on=now.date())
    account = Account(extra_initial=details["mmp_margin"] + details["open_orders_margin"])
    result = margin(model, account)
    assert result.initial == pytest.approx(answer["margins"]["btc"]["initial_margin"], abs=1e-9)
    assert result.maintenance == pytest.approx(answer["margins"]["btc"]["maintenance_margin"], abs=1e-9)
    matrix = details["risk_matrix_margin_details"]
    assert result.by_component["roll_shock"] == pytest.approx(matrix["roll_shock"], abs=1e-9)
    assert result.by_component["delta_shock"] == matrix["delta_shock"]
    assert result.by_component["scenario_loss"] == pytest.approx(matrix["worst_case"], abs=1e-12)
    pnl = evaluate(model, None, account).totals.pnl[0]
    expected = answer["aggregated_risk_vectors"]["btc_btc"]
    np.testing.assert_allclose(pnl[:27], expected["standard"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(pnl[27:35], expected["extended"], rtol=0, atol=1e-12)
    for i, name in enumerate(names):
        legs = model.tables.linear[i] * position[name]
        vectors = answer["initial_risk_vectors"][name]
        np.testing.assert_allclose(legs[:27], vectors["standard"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(legs[27:35], vectors["extended"], rtol=0, atol=1e-12)
    assert result.currency == "BTC"
