"""Statistics as reports show them: their headings, and numbers as text."""

from __future__ import annotations

import math

__all__ = ["CLASS_HEADINGS", "RATING_HEADINGS", "UNDEFINED", "short_number", "shown_number", "statistic_cell"]

RATING_HEADINGS = {
    "srcc": "SRCC",
    "plcc": "PLCC",
    "plcc_logistic4": "PLCC, 4 parameters",
    "plcc_logistic5": "PLCC, 5 parameters",
    "krcc": "KRCC",
    "rmse": "RMSE",
    "rmse_logistic4": "RMSE, 4 parameters",
    "mse": "MSE",
}
CLASS_HEADINGS = {
    "accuracy": "accuracy",
    "binary_accuracy": "binary accuracy",
    "mean_average_precision": "mAP",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}

UNDEFINED = "\N{EN DASH}"


def statistic_cell(value: float, interval: tuple[float, float] | None) -> dict[str, str]:
    """Text of a statistic and its interval; a dash if undefined."""
    if not math.isfinite(value):
        return {"value": UNDEFINED, "interval": ""}
    known = interval is not None and all(map(math.isfinite, interval))
    return {
        "value": shown_number(value),
        "interval": f"{shown_number(interval[0], 3)} to {shown_number(interval[1], 3)}" if interval and known else "",
    }


def shown_number(value: float, decimals: int = 4) -> str:
    """A number with `decimals` decimals (two from 10 on), or a dash if it is not finite."""
    if not math.isfinite(value):
        return UNDEFINED
    return f"{value:.{decimals}f}" if abs(value) < 10 else f"{value:.2f}"


def short_number(value: float, *, signed: bool = False) -> str:
    """A number with three significant digits, or a dash if it is not finite."""
    if not math.isfinite(value):
        return UNDEFINED
    text = f"{value:+.3g}" if signed else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}") if "e" not in text else text
