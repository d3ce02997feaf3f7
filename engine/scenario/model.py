"""The scenario: every table and field of a scenario file, frozen, valid once constructed.

Field names are those of the model's section 2. A field that holds quantities carries a `Spec`: its unit, its range,
and whether a distribution there is drawn on every path. What a single field cannot know of the others is checked in
`checks`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, StrictInt, Tag

from engine.scenario.quantity import Quantity
from engine.scenario.schema import with_quantities

CURRENCY = "currency"
PER_MONTH = "currency/month"


@dataclass(frozen=True)
class Spec:
    """What a field of quantities holds.

    Attributes
    ----------
    unit : str
        "currency" stands for the plan's own.
    low, high : float
        Bounds, included.
    open_low, open_high : bool
        The bound itself is excluded.
    random : bool
        A distribution here is drawn on every path, not once a world.
    """

    unit: str = "1"
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    random: bool = False

    def holds(self, low: float, high: float, at_low: bool = True, at_high: bool = True) -> bool:
        """Whether [low, high] lies within the bounds; an end that never occurs may touch an open one."""
        inside_low = low > self.low if self.open_low and at_low else low >= self.low
        inside_high = high < self.high if self.open_high and at_high else high <= self.high
        return inside_low and inside_high

    @property
    def bounds(self) -> str:
        """The range in words."""
        if math.isfinite(self.low) and math.isfinite(self.high) and not (self.open_low or self.open_high):
            return f"between {_plain(self.low)} and {_plain(self.high)}"
        least = f"{'above' if self.open_low else 'at least'} {_plain(self.low)}" if self.low > -math.inf else ""
        most = f"{'below' if self.open_high else 'at most'} {_plain(self.high)}" if self.high < math.inf else ""
        return " and ".join(part for part in (least, most) if part)


def _plain(value: float) -> str:
    return f"{value:,.12g}"


MONEY = Spec(CURRENCY, low=0)
SHARE = Spec("1", low=0, high=1)
POSITIVE = Spec("1", low=0)
ANY = Spec("1")


class Part(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, arbitrary_types_allowed=True)


class Plan(Part):
    """The plan: its horizon, its target and its budget."""

    name: str = ""
    """What the plan is called."""
    currency: str = "CNY"
    """Unit of all money, in plain units, never millions."""
    start: str = "2024-01"
    """First month, as YYYY-MM."""
    months: Annotated[StrictInt, Field(ge=1, le=120)] = 12
    """Length of the horizon."""
    target: Annotated[Quantity, Spec(CURRENCY, low=0, open_low=True)]
    """Revenue of the horizon that is to be reached."""
    budget: Annotated[Quantity | None, MONEY] = None
    """Lines and funds may not exceed it; without it nothing is checked."""
    phasing: Annotated[tuple[Quantity, ...] | None, POSITIVE] = None
    """The plan's revenue path, a weight a month, normalised to sum 1; by default the path that it expects itself."""


class Season(Part):
    """A seasonal pattern."""

    weights: Annotated[tuple[Quantity, ...], POSITIVE]
    """Twelve weights, January to December, normalised to mean 1."""


class Demand(Part):
    """Demand that all streams share, and the noise of each."""

    level: Annotated[Quantity, POSITIVE] = Quantity(1.0)
    """Factor on the whole forecast."""
    volatility: Annotated[Quantity, POSITIVE] = Quantity(0.0)
    """Standard deviation of the monthly innovation of log demand."""
    persistence: Annotated[Quantity, Spec("1", low=0, high=1, open_high=True)] = Quantity(0.0)
    """AR(1) coefficient of log demand."""
    noise_correlation: Annotated[Quantity, SHARE] = Quantity(0.0)
    """Correlation between the streams' own noises."""


class Launch(Part):
    """A stream that starts within the horizon."""

    peak: Annotated[Quantity, Spec(PER_MONTH, low=0)]
    """Revenue a month once established, before season."""
    start: Annotated[Quantity, Spec("month")] = Quantity(0.0)
    """Planned start, in months after the plan's."""
    slip: Annotated[Quantity, Spec("month", low=0, random=True)] = Quantity(0.0)
    """Months late."""
    ramp: Annotated[Quantity, Spec("month", low=0)] = Quantity(0.0)
    """Time constant of the rise; 0 is at once."""


class Customers(Part):
    """A stream of counted customers."""

    count: Annotated[Quantity, Spec("count", low=0, high=1e6)]
    """Customers at the start, rounded to a whole number."""
    spend: Annotated[Quantity, Spec("currency/year", low=0)]
    """Revenue of one customer a year."""
    churn: Annotated[Quantity, Spec("1/year", low=0, high=1, open_high=True)] = Quantity(0.0)
    """Share of customers lost in a year."""
    rescue: Annotated[Quantity, SHARE] = Quantity(0.0)
    """Share of would-be losses that is kept."""
    wins: Annotated[tuple[Quantity, ...] | None, Spec("count/month", low=0, high=1e6)] = None
    """Expected new customers in each month of the plan."""


class Stream(Part):
    """The smallest unit of revenue; exactly one of baseline, launch and customers says where it comes from."""

    labels: dict[str, str] = {}
    """Labels by which selectors find it and results are grouped."""
    baseline: Annotated[Quantity | None, MONEY] = None
    """Revenue in the twelve months before the plan's start."""
    launch: Launch | None = None
    """A stream that starts within the horizon."""
    customers: Customers | None = None
    """A stream of counted customers."""
    growth: Annotated[Quantity, Spec("1/year", low=-1, open_low=True)] = Quantity(0.0)
    """Organic growth a year, with no plan spend."""
    season: str | None = None
    """Name of its season; flat by default."""
    volatility: Annotated[Quantity, POSITIVE] = Quantity(0.0)
    """Standard deviation of its own monthly log noise."""
    demand_beta: Annotated[Quantity, ANY] = Quantity(1.0)
    """How strongly log demand moves it."""
    margin: Annotated[Quantity, ANY]
    """Gross margin, a share of revenue."""


class LineResponse(Part):
    """What spending on a line does to sales."""

    kind: Literal["exponential", "hill"] = "exponential"
    """Shape: concave, or a hill that is S-shaped where the slope exceeds 1."""
    ceiling: Annotated[Quantity, ANY]
    """Lift that unlimited spend approaches."""
    scale: Annotated[Quantity, Spec(PER_MONTH, low=0, open_low=True)]
    """Effective monthly spend that gives 63 % of the ceiling (exponential) or half of it (hill)."""
    slope: Annotated[Quantity, Spec("1", low=0, open_low=True)] = Quantity(1.0)
    """Steepness of a hill."""


def _word_or(raw: Any) -> str:
    return "word" if isinstance(raw, str) else "other"


Phasing = Annotated[
    Annotated[str, Tag("word")] | Annotated[tuple[Quantity, ...], Tag("other")], Discriminator(_word_or)
]
Duration = Annotated[
    Annotated[Literal["rest"], Tag("word")] | Annotated[Quantity, Tag("other")], Discriminator(_word_or)
]


class Line(Part):
    """A budget line: money that can be moved."""

    amount: Annotated[Quantity, MONEY] = Quantity(0.0)
    """Money of the horizon."""
    minimum: Annotated[Quantity, MONEY] = Quantity(0.0)
    """Least amount for the optimiser."""
    maximum: Annotated[Quantity | None, MONEY] = None
    """Greatest amount for the optimiser; by default the budget."""
    unit: Annotated[Quantity, MONEY] = Quantity(0.0)
    """Above 0: money goes in whole units of this."""
    phasing: Annotated[Phasing, POSITIVE] = "even"
    """When it is spent: "even", a season's name, or a weight a month; normalised to sum 1."""
    carryover: Annotated[Quantity, Spec("1", low=0, high=1, open_high=True)] = Quantity(0.0)
    """Share of the effective spend that lasts into the next month (adstock)."""
    initial: Annotated[Quantity, Spec(PER_MONTH, low=0)] = Quantity(0.0)
    """Effective monthly spend inherited from last year."""
    response: LineResponse | None = None
    """What it does to sales; by default nothing."""
    effectiveness: Annotated[Quantity, Spec("1", low=0, random=True)] = Quantity(1.0)
    """How well it works, 1 being the plan's own estimate."""
    reach: Annotated[dict[str, Quantity], ANY] = {}
    """Share of the lift that streams get, by selector."""


class Fund(Part):
    """Money held back."""

    amount: Annotated[Quantity, MONEY] = Quantity(0.0)
    """Money of the horizon."""
    minimum: Annotated[Quantity, MONEY] = Quantity(0.0)
    """Least amount for the optimiser."""
    maximum: Annotated[Quantity | None, MONEY] = None
    """Greatest amount for the optimiser; by default the budget."""


class Buffer(Part):
    """Safety stock."""

    days: Annotated[Quantity, Spec("day", low=0)] = Quantity(0.0)
    """How long it lasts."""
    share: Annotated[Quantity, SHARE] = Quantity(0.0)
    """Share of the hit that it keeps away meanwhile."""


class Response(Part):
    """The answer to a risk."""

    trigger: Annotated[Quantity, POSITIVE] = Quantity(0.0)
    """Acts where the severity reaches this."""
    lag_days: Annotated[Quantity, Spec("day", low=0)] = Quantity(0.0)
    """Days until it works."""
    effectiveness: Annotated[Quantity, Spec("1", low=0, random=True)]
    """Share of the hit undone at full cover; above 1 it wins sales."""
    cost_ratio: Annotated[Quantity, POSITIVE] = Quantity(0.0)
    """Cost per unit of revenue at stake that it protects."""
    cost_per_month: Annotated[Quantity, Spec(PER_MONTH, low=0)] = Quantity(0.0)
    """Cost of a month in which it acts."""
    fund: str | None = None
    """What pays for it; by default it is paid from outside, always in full, still counted."""


class Risk(Part):
    """Something that may happen and takes revenue away."""

    level: Literal["red", "orange", "yellow", "blue", "high", "medium", "low"] | None = None
    """For charts and the register."""
    probability: Annotated[Quantity | None, SHARE] = None
    """Of one start in the window; or give `rate`."""
    rate: Annotated[Quantity | None, Spec("1/year", low=0)] = None
    """Poisson starts a year; or give `probability`."""
    max_events: Annotated[StrictInt, Field(ge=1, le=12)] | None = None
    """With `rate`: the first so many starts count; 6 by default."""
    timing: Literal["uniform", "hazard"] = "uniform"
    """Where the start falls, given one: uniform over the window, or by a constant hazard."""
    window: Annotated[tuple[Quantity, Quantity] | None, Spec("month")] = None
    """When it may start; the whole horizon by default."""
    severity: Annotated[Quantity, Spec("1", low=0, random=True)]
    """How deep it is."""
    duration: Annotated[Duration, Spec("month", low=0, random=True)]
    """How long it lasts; "rest" is to the end of the horizon."""
    shape: Literal["step", "decay"] = "step"
    """Full strength to the end, or an exponential decline."""
    exposure: Annotated[dict[str, Quantity], ANY] = {"*": Quantity(1.0)}
    """Share of revenue lost per unit of severity, by selector."""
    buffer: Buffer = Buffer()
    """Safety stock."""
    deferred: Annotated[Quantity, SHARE] = Quantity(0.0)
    """Share of the loss that comes back later."""
    release: Annotated[Quantity, SHARE] = Quantity(1.0)
    """Share of the backlog that comes back in a free month."""
    margin_loss: Annotated[Quantity, ANY] = Quantity(0.0)
    """Fall of the gross margin of exposed revenue per unit of severity."""
    churn_multiplier: Annotated[Quantity, ANY] = Quantity(0.0)
    """Rise of the churn hazard of exposed customers per unit of severity."""
    response: Response | None = None
    """The answer to it."""


class ReviewLevel(Part):
    """A level of the answer to a plan that lags."""

    lag: Annotated[Quantity, SHARE]
    """Acts where cumulative revenue lags the plan by more than this."""
    amount: Annotated[Quantity, MONEY] = Quantity(0.0)
    """Corrective money."""
    line: str | None = None
    """Line that spends it next month."""
    fund: str | None = None
    """Fund that pays it; by default it comes from outside."""


class Review(Part):
    """The monthly review."""

    levels: tuple[ReviewLevel, ...] = ()
    """Levels, ordered by lag."""


class Incentives(Part):
    """Variable pay."""

    streams: str = "*"
    """Selector of the streams whose revenue is paid on."""
    tiers: Annotated[tuple[tuple[Quantity, Quantity], ...], POSITIVE]
    """Pairs of (attainment of the month from which the tier holds, rate), rising."""
    line: str | None = None
    """Line whose amount was budgeted for it."""


class Target(Part):
    """A further goal of the plan."""

    measure: Literal[
        "revenue", "gross_margin", "margin_rate", "customers", "retention", "fund_left", "incentive_overrun"
    ]
    """What is measured."""
    where: str = "*"
    """Selector of streams, or the name of a fund for fund_left."""
    of: str | None = None
    """Selector of the whole that makes the measure a share."""
    months: tuple[StrictInt, ...] | None = None
    """Months of the plan, counted from 1; all by default."""
    at_least: Annotated[Quantity | None, ANY] = None
    """Lower bound; or give `at_most`."""
    at_most: Annotated[Quantity | None, ANY] = None
    """Upper bound; or give `at_least`."""


class Group(Part):
    """Lines and funds whose money together keeps within shares of the budget."""

    members: tuple[str, ...]
    """Names of the lines and funds."""
    at_least: Annotated[Quantity | None, SHARE] = None
    """Least share of the budget."""
    at_most: Annotated[Quantity | None, SHARE] = None
    """Greatest share of the budget."""


class Optimise(Part):
    """What the optimiser may do with the money, besides the bounds of each line and fund."""

    fixed: tuple[str, ...] = ()
    """Lines and funds that keep the plan's amount."""
    away: Annotated[Quantity | None, POSITIVE] = None
    """Most that an amount may differ from the plan's, as a share of it; by default no such bound."""
    groups: dict[str, Group] = {}
    """Shares of the budget that several lines and funds keep to together, by name."""
    phasing: Literal["plan", "quarters"] = "plan"
    """Whether lines keep the plan's phasing, or their money may move between quarters too."""


class Scenario(Part):
    """One scenario: a plan, its risks and its budget."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    """Version of this format."""
    plan: Plan
    """The plan."""
    seasons: dict[str, Season] = {}
    """Seasonal patterns by name."""
    demand: Demand = Demand()
    """Demand and noise."""
    streams: dict[str, Stream] = {}
    """Streams of revenue by name."""
    lines: dict[str, Line] = {}
    """Budget lines by name."""
    funds: dict[str, Fund] = {}
    """Funds by name."""
    risks: dict[str, Risk] = {}
    """Risks by name."""
    review: Review = Review()
    """The monthly review."""
    incentives: Incentives | None = None
    """Variable pay."""
    correlation: Annotated[dict[str, Quantity], Spec("1", low=-1, high=1)] = {}
    """Spearman rank correlations of pairs of drivers, or of pairs of uncertain knobs: "first ~ second"."""
    targets: dict[str, Target] = {}
    """Further goals by name; the plan's revenue target is implied."""
    optimise: Optimise = Optimise()
    """Constraints on the budget that `attain optimise` sets out."""

    _file: str = PrivateAttr(default="scenario")
    _text: str = PrivateAttr(default="")

    @property
    def file(self) -> str:
        """Name of the file, for messages."""
        return self._file

    @property
    def title(self) -> str:
        """Name of the plan, or of its file where it has none."""
        return self.plan.name or self._file

    @property
    def hash(self) -> str:
        """SHA-256 of the resolved text."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    def resolved_text(self) -> str:
        """The scenario as one TOML file: parents, changes and samples put in."""
        return self._text

    def __hash__(self) -> int:
        return hash((self._text, self._file))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scenario) and (self._text, self._file) == (other._text, other._file)

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """JSON Schema of a scenario file, for editors."""
        found = with_quantities(super().model_json_schema(*args, **kwargs))
        for part in Part.__subclasses__():
            fields = found["$defs"].get(part.__name__, {}).get("properties", {})
            for name, field in part.model_fields.items():
                if isinstance(field.default, Quantity) and name in fields:
                    fields[name]["default"] = field.default.value
        found["properties"] = {
            "extends": {"type": "string", "description": "Another scenario file to start from, relative to this one."},
            "remove": {"type": "array", "items": {"type": "string"}, "description": "Items of the parent to drop."},
            **found["properties"],
        }
        found.pop("required", None)  # a file that extends another may leave anything out
        return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found


def spec_of(part: type[Part], name: str) -> Spec | None:
    """Spec of a field; None where it holds no quantities."""
    return next((m for m in part.model_fields[name].metadata if isinstance(m, Spec)), None)
