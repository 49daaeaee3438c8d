"""What the commands show of a book: views for people, mappings for JSON."""

from ivhedge.app.bookviews.evaluation import evaluation_to_dict, evaluation_view
from ivhedge.app.bookviews.explain import explain_to_dict, explain_view
from ivhedge.app.bookviews.forecast import forecast_to_dict, forecast_view
from ivhedge.app.bookviews.margin import margin_to_dict, margin_view
from ivhedge.app.bookviews.profiles import require_settlement
from ivhedge.app.bookviews.risk import risk_to_dict, risk_view
from ivhedge.app.bookviews.stress import stress_to_dict, stress_view

__all__ = [
    "evaluation_to_dict",
    "evaluation_view",
    "explain_to_dict",
    "explain_view",
    "forecast_to_dict",
    "forecast_view",
    "margin_to_dict",
    "margin_view",
    "require_settlement",
    "risk_to_dict",
    "risk_view",
    "stress_to_dict",
    "stress_view",
]
