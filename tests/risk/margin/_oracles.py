"""Readers of the shared margin cases."""

import json
from datetime import date

import numpy as np

from ivhedge.risk.margin import (
    Account,
    Collateral,
    MarginPositions,
    MarginProfile,
    Scenario,
    ScenarioRules,
    StandardRules,
    VolMove,
    blend_forward,
)
from ivhedge.risk.margin.rules import (
    BasisRule,
    ContingencyRule,
    DiscountRule,
    FactorRule,
    SkewRule,
    VolShockRule,
)

YEAR = 31_536_000.0
DAY = date(2026, 1, 15)


def profile_of(rules, **head):
    usual = {
        "name": "oracle",
        "venue": "oracle",
        "model": "oracle",
        "currency": "USDC",
        "underlyings": (),
        "valid_from": date(2020, 1, 1),
        "valid_to": date(2030, 1, 1),
        "source": "shared cases",
    }
    return MarginProfile(**{**usual, **head}, rules=rules)


def pm2_rules(parameters):
    vol, skew, m = parameters["VolShock"], parameters["SkewShock"], parameters["Margin"]
    basis, other = parameters["BasisContingency"], parameters["OtherContingency"]
    return ScenarioRules(
        scenarios=tuple(
            Scenario(
                spot=s["SpotShock"] - 1.0,
                vol=VolMove(s["VolShockDirection"].lower()),
                dampening=s["DampeningFactor"],
            )
            for s in parameters["Scenarios"]
        ),
        vol_shock=VolShockRule(
            up=vol["VOLRANGEUP"],
            down=vol["VOLRANGEDOWN"],
            short_power=vol["SHORTTERMPOWER"],
            long_power=vol["LONGTERMPOWER"],
            day_floor=vol["DTE_FLOOR"],
            min_vol=vol["MIN_VOL_EVAL_SHOCKED"],
        ),
        skew=SkewRule(
            linear_base=skew["LINEAR_SCALE_CAP"],
            linear_slope=skew["LINEAR_CBASE"],
            abs_base=skew["ABS_SCALE_CAP"],
            abs_slope=skew["ABS_CBASE"],
            min_k_star=skew["MIN_K_STAR"],
            width=skew["MIN_WIDTH_SCALE"],
            vol_base=skew["VOL_PARAM_STATIC"],
            vol_slope=skew["VOL_PARAM_SCALE"],
        ),
        discount=DiscountRule(
            positive=m["BASE_STATIC_DISCOUNT"],
            negative=m["BASE_STATIC_DISCOUNT_NEG"],
            long_rate_mult=m["LONG_RATE_MULTSCALE"],
            long_rate_add=m["LONG_RATE_ADDSCALE"],
            short_rate_mult=m["SHORT_RATE_MULTSCALE"],
            short_rate_add=m["SHORT_RATE_ADDSCALE"],
        ),
        basis=BasisRule(
            up=basis["SCENARIO_SPOT_UP"] - 1.0,
            down=basis["SCENARIO_SPOT_DOWN"] - 1.0,
            add=basis["BASIS_CONT_ADD_FACTOR"],
            mult=basis["BASIS_CONT_MULT_FACTOR"],
        ),
        contingency=ContingencyRule(
            perp_maintenance=other["MM_PERP_PERCENT"],
            perp_initial=other["IM_PERP_PERCENT"],
            option_maintenance=other["MM_OPTION_PERCENT"],
            option_initial=other["IM_OPTION_PERCENT"],
            peg_threshold=other["PEG_LOSS_THRESHOLD"],
            peg_factor=other["PEG_LOSS_FACTOR"],
            confidence_threshold=other["CONF_THRESHOLD"],
            confidence_margin=other["CONF_MARGIN"],
        ),
        factors=FactorRule(initial=m["IM_LOSS_FACTOR"], maintenance=m["MM_LOSS_FACTOR"]),
        twap_seconds=1800.0,
    )


def pm2_case(path):
    case = json.loads(path.read_text())
    s = case["Scenario"]
    feeds = {f["FeedExpiry"]: f for f in s["OptionFeeds"]}
    o = s["Options"]
    f = [feeds[x["Expiry"]] for x in o]
    perp = [s["NumPerps"]] if s["NumPerps"] else []
    flat = [0.0] * len(perp)
    positions = MarginPositions.of(
        underlying="X",
        index=s["SpotPrice"],
        names=[f"{x['Expiry']}-{x['Strike']}-{x['IsCall']}" for x in o] + ["perp"] * len(perp),
        kind=[0] * len(o) + [2] * len(perp),
        size=[x["Amount"] for x in o] + perp,
        mark=[0.0] * len(o) + [s["PerpPrice"]] * len(perp),
        forward=[x["Forward"] for x in f] + [s["PerpPrice"]] * len(perp),
        strike=[x["Strike"] for x in o] + [np.nan] * len(perp),
        tau=[x["Expiry"] / YEAR for x in o] + flat,
        vol=[x["MarkVol"] for x in o] + flat,
        rate=[x["Rate"] for x in f] + flat,
        is_call=[bool(x["IsCall"]) for x in o] + [False] * len(perp),
        confidence=[min(x["ForwardConfidence"], x["RateConfidence"], x["OptionVolConfidences"]) for x in f]
        + [s["PerpConfidence"]] * len(perp),
    )
    account = Account(
        cash=s["Cash"],
        unrealised=s["UnrealisedPerpPNL"] + s["UnrealisedFunding"] if s["NumPerps"] else 0.0,
        collateral=tuple(
            Collateral(
                name=c["Name"],
                amount=c["Amount"],
                price=c["Price"],
                maintenance_haircut=c["MMHaircut"],
                initial_haircut=c["IMHaircut"],
                risk_cancelling=c["IsRiskCancelling"],
                confidence=c["Confidence"],
            )
            for c in s["Collaterals"]
        ),
        stable_price=s["StablePrice"],
        spot_confidence=s["SpotConfidence"],
    )
    return positions, account, profile_of(pm2_rules(case["Parameters"])), case["Result"]


SRM_RULES = StandardRules(
    initial_max=0.15,
    initial_min=0.10,
    maintenance_max=0.075,
    maintenance_min=0.075,
    put_mark=0.075,
    put_initial_over_maintenance=1.05,
    bounded=True,
    unpaired_initial=1.2,
    unpaired_maintenance=1.1,
)


def srm_positions(scenario, coin):
    from ivhedge.pricing import black76_price

    rows = [i for i, u in enumerate(scenario["OptionUnderlying"]) if u == coin]
    if not rows:
        return None

    def pick(name, scale=1e18):
        return np.array([scenario[name][i] / scale for i in rows])

    expiry = pick("OptionExpiries", 1.0)
    forward = pick("Forwards")
    share = scenario[f"PercentFixed{coin}"] or 0.0
    twap = (scenario[f"TWAP_{coin}"] or 0) / 1e18
    forward = np.where(expiry < 1800, blend_forward(forward, twap, share), forward)
    strike, vol = pick("OptionStrikes"), pick("OptionVols")
    call = pick("OptionIsCall", 1.0).astype(bool)
    return MarginPositions.of(
        underlying=coin,
        index=scenario[f"{coin}SpotPrice"] / 1e18,
        names=[f"{expiry[i]}-{strike[i]}-{call[i]}" for i in range(len(rows))],
        kind=0,
        size=pick("OptionAmounts"),
        mark=black76_price(forward, strike, expiry / YEAR, vol, call),
        forward=forward,
        strike=strike,
        tau=expiry / YEAR,
        vol=vol,
        is_call=call,
    )
