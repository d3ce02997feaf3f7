"""Which rows of a block the results of a scenario take, and which the kernel's scratch (`kernels.layout`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from engine.kernels import layout
from engine.scenario.checks import DEFAULT_EVENTS
from engine.scenario.model import Scenario


def events(scenario: Scenario, name: str) -> int:
    """Number of occurrences of a risk that are kept."""
    risk = scenario.risks[name]
    if risk.rate is None:
        return 1
    return DEFAULT_EVENTS if risk.max_events is None else risk.max_events


LEAN = "lean"
DETAILS = ("streams", "funds", "targets", "occurrences", "risks", "drivers")


def results(scenario: Scenario, detail: Collection[str] = ()) -> tuple[layout.ValueAt, layout.FlagAt]:
    """Rows of a path's results; `detail` adds to them.

    streams, funds: the months of each; targets: what each measures; occurrences: the loss by each occurrence of the
    risks that may strike more than once, before what comes back; risks: which strike, and the sales exposed to them;
    drivers: start, severity and duration of each risk's first occurrence, effectiveness of lines, slip of launches.
    `LEAN` leaves the losses by risk away, which take time.
    """
    months, streams = scenario.plan.months, len(scenario.streams)
    risks, funds = len(scenario.risks), len(scenario.funds)
    kept = {f"{name}_kept": int(name in detail) for name in DETAILS} | {"losses_kept": int(LEAN not in detail)}
    sizes = {
        "revenue": 1, "gross_margin": 1, "contribution": 1, "incentive_cost": 1, "deferred_out": 1,
        "monthly_revenue": months, "lag": months, "loss": risks * kept["losses_kept"], "response_cost": risks,
        "fund_balance": funds, "fund_need": funds, "stream_revenue": streams,
        "customers": sum(s.customers is not None for s in scenario.streams.values()),
        "corrective": len(scenario.lines) + 1, "stream_months": months * streams * kept["streams_kept"],
        "fund_months": months * funds * kept["funds_kept"],
        "target_value": (len(scenario.targets) + 1) * kept["targets_kept"],
        "occurrence_loss": sum(events(scenario, name) for name in scenario.risks) * kept["occurrences_kept"],
        "exposed": risks * kept["risks_kept"],
        **{f"drawn_{name}": risks * kept["drivers_kept"] for name in ("start", "severity", "duration")},
        "drawn_effect": len(scenario.lines) * kept["drivers_kept"],
        "drawn_slip": sum(s.launch is not None for s in scenario.streams.values()) * kept["drivers_kept"],
    }  # fmt: skip
    flags = {
        "status": months, "fund_exhausted": funds, "acted": len(scenario.review.levels),
        "target_met": len(scenario.targets) + 1, "struck": risks * kept["risks_kept"],
    }  # fmt: skip
    return layout.consecutive(layout.ValueAt, sizes, **kept), layout.consecutive(layout.FlagAt, flags)


def scratch(at: dict[str, Any], start: int) -> tuple[layout.RowAt, layout.MarkAt]:
    """Scratch rows of a block, from the row `start` on, and its marks; `at` holds the other parts of the layout."""
    stream, line, risk, control, target = at["stream"], at["line"], at["risk"], at["control"], at["target"]
    k, r, c, f, i, b = risk.occurrences, risk.risks, risk.classes, control.funds, stream.streams, line.lines
    members, sets, g, fours = at["copula"].members, target.sets, risk.profiles, control.fours
    rows = {
        "path": 1, "acting": 1, "uniform": 4, "made": 5 * k + b + stream.launches, "work": 12,
        "start": k, "end": k, "severity": k, "duration": k,
        "effectiveness": k, "respond": k, "previous": r, "open": k, "answered": k, "height": k, "height_answered": k,
        "height_entered": k, "fading": k, "inverse": k, "hit": c, "gain": c,
        "open_severity": r, "net_severity": r, "need": r, "lasting": r, "fund_need": f, "cover": f + 1,
        "backlog": risk.backlogs, "free": r, "owed": r,
        "zero": 1, "one": 1, "base": g + risk.groups + risk.sharing, "kept": 1, "share": 1,
        "lost_base": g + risk.groups, "gain_base": g + risk.groups, "linked": members,
        "linked_normal": members, "shock": 4 * fours, "state": 1, "line_effect": b, "slip": stream.launches,
        "missing": stream.launches, "missing_first": stream.launches,
        "extra": b, "decided": b + 1, "response": b, "lift": line.groups, "y": i,
        "margin": i, "cumulative": 1, "spoken": control.levels, "before": stream.clients, "lost": stream.clients,
        "client_uniform": 8 * fours * stream.clients, "set_revenue": sets, "set_margin": sets, "set_before": sets,
        "set_lost": sets, "set_after": sets, "tally": 4 * target.targets,
    }  # fmt: skip
    marks = {
        "risk_live": r, "signed": r, "open": k, "combined": c, "backlog_live": r, "line_live": b + 1,
        "chosen": 1, "shared": 1,
        "drawn": 2 * k + b + stream.launches + members + fours * (2 + i + 2 * stream.clients),
    }  # fmt: skip
    return layout.consecutive(layout.RowAt, rows, start), layout.consecutive(layout.MarkAt, marks)
