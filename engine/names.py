"""How results are named: every variable once, with its dimensions, unit and meaning; a run in words."""

from typing import NamedTuple

CURRENCY = "currency"  # stands for the plan's currency


def run_text(paths: int, worlds: int, seed: int | str) -> str:
    """A run in words, as titles and charts name it.

    Examples
    --------
    >>> run_text(200_000, 256, 1), run_text(1000, 1, 7)
    ('200,000 paths in 256 worlds, seed 1', '1,000 paths in 1 world, seed 7')
    """
    return f"{paths:,} paths in {worlds:,} world{'s' * (worlds != 1)}, seed {seed}"


def worlds_text(worlds: int, paths: int, seed: int | str) -> str:
    """As `run_text`, with the paths of each world.

    Examples
    --------
    >>> worlds_text(61, 50_000, 1)
    '61 worlds of 50,000 paths, seed 1'
    """
    return f"{worlds:,} world{'s' * (worlds != 1)} of {paths:,} paths, seed {seed}"


class Variable(NamedTuple):
    """One variable of a result Dataset."""

    dims: tuple[str, ...]
    units: str
    long_name: str


OBJECTIVES = ("p_attain", "expected_revenue", "cvar_shortfall", "joint", "robust", "min_budget")  # of the optimiser
SENSITIVITY_METHODS = ("tornado", "spider", "sobol", "morris", "pawn", "rank")
SENSITIVITY_LABELS = {
    "p_attain": "P(attain)", "revenue": "mean revenue", "shortfall": "mean shortfall",
    "fund_need": "mean need of all funds", "margin": "mean gross margin",
}  # fmt: skip
SENSITIVITY_OUTPUTS = tuple(SENSITIVITY_LABELS)
DIMENSIONS = ("world", "path", "month", "stream", "line", "risk", "fund", "level", "target", "quantile")

VARIABLES = {
    "revenue": Variable(("world", "path"), CURRENCY, "revenue of the horizon"),
    "attainment": Variable(("world", "path"), "1", "revenue of the horizon over target"),
    "gross_margin": Variable(("world", "path"), CURRENCY, "gross margin of the horizon"),
    "contribution": Variable(
        ("world", "path"), CURRENCY, "gross margin less spend, corrective money, cost of responses and incentives"
    ),
    "incentive_cost": Variable(("world", "path"), CURRENCY, "variable pay of the horizon"),
    "revenue_deferred_out": Variable(("world", "path"), CURRENCY, "revenue still deferred after the last month"),
    "monthly_revenue": Variable(("world", "path", "month"), CURRENCY, "revenue of the month"),
    "lag": Variable(("world", "path", "month"), "1", "1 - cumulative revenue / cumulative plan at the month's end"),
    "status": Variable(("world", "path", "month"), "1", "0 green, 1 yellow, 2 red"),
    "revenue_by_stream": Variable(("world", "path", "stream"), CURRENCY, "revenue of the stream"),
    "customers": Variable(
        ("world", "path", "stream"), "count", "customers after the last month; NaN where not counted"
    ),
    "loss": Variable(
        ("world", "path", "risk"), CURRENCY, "revenue lost to the risk, net of what came back; gains negative"
    ),
    "response_cost": Variable(("world", "path", "risk"), CURRENCY, "money paid for the risk's response"),
    "fund_balance": Variable(("world", "path", "fund"), CURRENCY, "money left in the fund after the last month"),
    "fund_need": Variable(
        ("world", "path", "fund"), CURRENCY, "money asked of the fund, had it no limit within the month"
    ),
    "fund_exhausted": Variable(("world", "path", "fund"), "1", "some need could not be paid in full"),
    "spend": Variable(("world", "path", "line"), CURRENCY, "spend of the line, corrective money included"),
    "review_acted": Variable(("world", "path", "level"), "1", "the review level acted at least once"),
    "target_met": Variable(("world", "path", "target"), "1", "the target was met"),
    "target_value": Variable(("world", "path", "target"), "of the target", "what the target measures"),
    "monthly_revenue_by_stream": Variable(
        ("world", "path", "month", "stream"), CURRENCY, "revenue of stream and month"
    ),
    "monthly_fund_balance": Variable(
        ("world", "path", "month", "fund"), CURRENCY, "money in the fund at the month's end"
    ),
}

# What a batch keeps of each world: over its paths the mean, or with the suffix QUANTILES the quantiles.
SUMMARIES = {
    "p_attain": Variable(("world",), "1", "chance that the target is reached"),
    "p_all_targets": Variable(("world",), "1", "chance that all targets are met at once"),
    "p_target": Variable(("world", "target"), "1", "chance that the target is met"),
    "p_fund_exhausted": Variable(("world",), "1", "chance that some fund cannot pay a need in full"),
    "revenue": Variable(("world",), CURRENCY, "revenue of the horizon"),
    "attainment": Variable(("world",), "1", "revenue of the horizon over target"),
    "shortfall": Variable(("world",), CURRENCY, "what is missing to the target, 0 where it is reached"),
    "gross_margin": Variable(("world",), CURRENCY, "gross margin of the horizon"),
    "contribution": Variable(
        ("world",), CURRENCY, "gross margin less spend, corrective money, cost of responses and incentives"
    ),
    "incentive_cost": Variable(("world",), CURRENCY, "variable pay of the horizon"),
    "fund_need": Variable(("world",), CURRENCY, "money asked of all funds, had they no limit within the month"),
    "response_cost": Variable(("world",), CURRENCY, "money paid for the responses to all risks"),
    "loss": Variable(("world",), CURRENCY, "revenue lost to all risks, net of what came back"),
    "loss_by_risk": Variable(("world", "risk"), CURRENCY, "revenue lost to the risk, net of what came back"),
    "monthly_revenue": Variable(("world", "month"), CURRENCY, "revenue of the month"),
    "revenue_by_stream": Variable(("world", "stream"), CURRENCY, "revenue of the stream"),
}
QUANTILES = "_quantiles"
BATCH_FILES = (".parquet", ".csv", ".xlsx", ".nc")  # endings of what a batch can be exported to
