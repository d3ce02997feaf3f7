"""What the kernel takes and gives, and where in its arrays each thing stands.

A scenario reaches the kernel as four arrays: `numbers` (one row of float64 a world), `whole` (int64: structure, the
same in all worlds), `tables` (float64 quantile tables) and `streams` (uint64, a world's random stream). A lane block
works in one float64 array whose rows hold LANES numbers each. The NamedTuples below say where: they hold nothing but
counts and offsets, and reach compiled code as one record (`jit.packed`).

Fields marked (n) are offsets into a world's row of `numbers`, (i) into `whole`, (r) rows of the block, unmarked are
counts. Letters: t month, i stream, b line, f fund, r risk, k occurrence, c class, g profile, u group of profiles, m
lift group, d random field, v review level, q target, s stream set. Money in the plan's currency, times in months.
"""

from typing import Any, NamedTuple

from numpy import ndarray

REVENUE, GROSS_MARGIN, MARGIN_RATE, COUNT, RETENTION, FUND_LEFT, OVERRUN = range(7)
GREEN, YELLOW, RED = range(3)
LOOK_REVENUE, LOOK_MARGIN, LOOK_CUSTOMERS = 1, 2, 4  # what is summed over a set of streams
OUTSIDE = -1  # no fund: paid in full from elsewhere
ABSENT = -1  # no such random field, line or set
SWITCHABLE = 52  # risks that can be switched off: a float64 holds a whole number of so many bits
ALL_RISKS = 2**SWITCHABLE - 1  # the set of all of them
SLOTS_PER_RISK = 5  # occurs, start, severity, duration, effectiveness


class DrawAt(NamedTuple):
    """Random fields (severity, duration, effectiveness, slip): how a uniform becomes a variate."""

    fields: int
    loc: int  # (n) d
    scale: int  # (n) d
    shape: int  # (n) d
    kind: int  # (i) d: variates.CONSTANT ... STEPS
    start: int  # (i) d: first node of the field's table
    stride: int  # (i) d: nodes from one world's table to the next; 0 where all share one
    bits: int  # (i) d: resolution of the table, or the number of samples


class DemandAt(NamedTuple):
    """Common demand and the noise that streams share."""

    volatility: int  # (n)
    persistence: int  # (n)
    correlation: int  # (n) of the streams' own noises
    drivers: int  # (i) demand, common noise


class StreamAt(NamedTuple):
    """Base volume and noise of the streams; launches and customers by their own indices."""

    streams: int
    launches: int
    clients: int
    volume: int  # (n) i x t: revenue a month at lift 0; a customer's for clients; without G_t for launches
    beta: int  # (n) i
    volatility: int  # (n) i
    margin: int  # (n) i
    noise_driver: int  # (i) i
    lift_group: int  # (i) i
    profile: int  # (i) i
    place: int  # (i) i: of its Y0 among the bases
    launch: int  # (i) i: index among launches or ABSENT
    launch_start: int  # (n) launches
    launch_ramp: int  # (n) launches
    launch_slip: int  # (i) launches: random field
    launch_driver: int  # (i) launches
    client: int  # (i) i: index among clients or ABSENT
    client_stream: int  # (i) clients
    client_count: int  # (n) clients
    client_stay: int  # (n) clients: log(1 - churn) (1 - rescue) / 12
    client_wins: int  # (n) clients x t
    client_drivers: int  # (i) clients x 2: lost, won


class LineAt(NamedTuple):
    """Budget lines: response and reach."""

    lines: int
    groups: int
    ceiling: int  # (n) b
    scale: int  # (n) b
    slope: int  # (n) b
    carryover: int  # (n) b
    adstock: int  # (n) b x t: effective spend of the plan's own amount
    response: int  # (n) b x t: U at that spend
    reach: int  # (n) entries
    hill: int  # (i) b: 1 where the response is a hill
    effectiveness: int  # (i) b: random field
    driver: int  # (i) b
    group_ptr: int  # (i) m + 1: reach entries of a lift group
    group_line: int  # (i) entries


class RiskAt(NamedTuple):
    """Risks, their exposure classes (one an exposure entry) and profiles (streams that share all classes)."""

    risks: int
    occurrences: int
    most: int  # occurrences of one risk
    classes: int
    profiles: int
    backlogs: int
    probability: int  # (n) r
    rate: int  # (n) r: starts a month
    begin: int  # (n) r: window
    end: int  # (n) r
    trigger: int  # (n) r
    lag: int  # (n) r
    buffer_share: int  # (n) r
    buffer_months: int  # (n) r
    deferred: int  # (n) r
    release: int  # (n) r
    margin_loss: int  # (n) r
    churn: int  # (n) r: churn multiplier
    cost_ratio: int  # (n) r
    cost_month: int  # (n) r
    exposure: int  # (n) c
    by_rate: int  # (i) r
    hazard: int  # (i) r
    decay: int  # (i) r
    rest: int  # (i) r: lasts to the end of the horizon
    first: int  # (i) r + 1: first occurrence of each risk
    severity: int  # (i) r: random field
    duration: int  # (i) r: random field or ABSENT
    effectiveness: int  # (i) r: random field or ABSENT: no response
    fund: int  # (i) r: or OUTSIDE
    driver: int  # (i) r
    class_ptr: int  # (i) r + 1
    class_risk: int  # (i) c
    signed: int  # (i) r: a hit may be a gain whatever the response does
    groups: int  # classes of more than one profile, without those that are the same
    sharing: int  # streams that are not the only one of their profile
    class_place: int  # (i) c: of its profiles' sum among the bases
    group_ptr: int  # (i) u + 1: profiles of a group
    group_profile: int  # (i)
    part_ptr: int  # (i) u + 1: places of what a group is summed from: profiles, or groups before it
    part: int  # (i)
    profile_ptr: int  # (i) g + 1: classes of a profile
    profile_class: int  # (i)
    profile_stream_ptr: int  # (i) g + 1: streams of a profile
    profile_stream: int  # (i)
    erosion_ptr: int  # (i) g + 1: classes of a profile whose risk takes margin
    erosion_class: int  # (i)
    backlog_ptr: int  # (i) i + 1: backlogs of a stream, one for each risk that may defer its sales
    backlog_risk: int  # (i)
    backlog_class: int  # (i)


class CopulaAt(NamedTuple):
    """Correlated drivers, sorted by name."""

    members: int
    occurrences: int
    factor: int  # (n) members x members: lower Cholesky factor
    driver: int  # (i) members
    slot: int  # (i) members: 0 occurs, 2 severity, 3 duration, 4 effectiveness; 0 for lines and launches
    given_row: int  # (i) members: row of the first occurrence's uniform among those given from outside
    of_risk: int  # (i) r x SLOTS_PER_RISK: member or ABSENT
    of_line: int  # (i) b
    of_launch: int  # (i) launches


class ControlAt(NamedTuple):
    """Plan, funds, review levels and incentives."""

    months: int
    fours: int  # of months, the last perhaps beyond the horizon: a draw makes four
    funds: int
    levels: int
    tiers: int
    plan: int  # (n) t: revenue a month
    fund_amount: int  # (n) f
    level_lag: int  # (n) v
    level_amount: int  # (n) v
    tier_from: int  # (n) tiers
    tier_rate: int  # (n) tiers
    incentive_budget: int  # (n)
    line_cost: int  # (n): spend of all lines but the incentives'
    level_line: int  # (i) v: or the number of lines: money without a line
    level_fund: int  # (i) v: or OUTSIDE
    quarter: int  # (i) t: number of the calendar quarter


class TargetAt(NamedTuple):
    """Goals checked on each path, and the sets of streams they look at."""

    targets: int
    sets: int
    paid: int  # the set whose revenue earns incentives
    bound: int  # (n) q
    measure: int  # (i) q
    where: int  # (i) q: set, or fund (ABSENT: all funds) for FUND_LEFT
    of: int  # (i) q: set or ABSENT
    months: int  # (i) q x t
    last: int  # (i) q: last month looked at
    at_least: int  # (i) q
    looks: int  # (i) s: sum of LOOK_REVENUE ... LOOK_CUSTOMERS
    set_ptr: int  # (i) s + 1
    set_stream: int  # (i)


class ValueAt(NamedTuple):
    """Rows of the results of a path: the first rows of a block, and the rows of `Outputs.values`."""

    revenue: int
    gross_margin: int
    contribution: int
    incentive_cost: int
    deferred_out: int
    monthly_revenue: int  # t
    lag: int  # t
    loss: int  # r, unless they are not asked for
    response_cost: int  # r
    fund_balance: int  # f
    fund_need: int  # f
    stream_revenue: int  # i
    customers: int  # clients
    corrective: int  # b + 1, the last for money without a line
    stream_months: int  # t x i where asked for
    fund_months: int  # t x f where asked for
    target_value: int  # q where asked for: what each target measures
    occurrence_loss: int  # k where asked for: of risks that may strike more than once
    exposed: int  # r where asked for: Y0 of the exposed streams while an occurrence is active
    drawn_start: int  # r where drivers are asked for: of the first occurrence, risks.NEVER where there is none
    drawn_severity: int  # r, as above
    drawn_duration: int  # r, as above
    drawn_effect: int  # b where drivers are asked for
    drawn_slip: int  # launches where drivers are asked for
    size: int
    losses_kept: int  # 0 where losses by risk are not asked for: `loss` then has no rows
    streams_kept: int  # 1 where stream_months is asked for
    funds_kept: int
    targets_kept: int
    occurrences_kept: int
    risks_kept: int
    drivers_kept: int


class FlagAt(NamedTuple):
    """Rows of the yes-or-no results, which follow the values in a block and are the rows of `Outputs.flags`."""

    status: int  # t: 0 green, 1 yellow, 2 red
    fund_exhausted: int  # f
    acted: int  # v
    target_met: int  # q
    struck: int  # r where `exposed` is asked for: an occurrence is active at some time
    size: int


class RowAt(NamedTuple):
    """Scratch rows of a block (r)."""

    path: int  # number of the path
    acting: int  # whole number whose bits say which risks act, where that is chosen path by path
    uniform: int  # 4
    made: int  # 5 an occurrence, b, launches: uniforms of paths that the next block may share
    work: int  # 12
    start: int  # k
    end: int  # k
    severity: int  # k
    duration: int  # k
    effectiveness: int  # k
    respond: int  # k
    previous: int  # r
    open: int  # k: o, then o - a m oR
    answered: int  # k: oR
    height: int  # k: of a decay at the start of the month
    height_answered: int  # k: of a decay when the response begins
    height_entered: int  # k: of a decay at the end of the month in which it begins
    fading: int  # k: factor of the height of a decay from one month to the next
    inverse: int  # k: 1 / duration
    hit: int  # c: where the risk is signed, what it takes
    gain: int  # c: what a signed risk brings, below 0
    open_severity: int  # r: sum of S o
    net_severity: int  # r: sum of S (o - a m oR)
    need: int  # r
    lasting: int  # r: next to nothing, where a decay has asked for money
    fund_need: int  # f
    cover: int  # f + 1, the first all ones: money from outside
    backlog: int
    free: int  # r: share of its backlogs that comes back this month
    owed: int  # r: sum of its backlogs
    zero: int
    one: int
    base: int  # Y0: g, u, and of the streams that share their profile
    kept: int  # factor of the Y0 of the profile at hand
    share: int  # share of it that is lost per unit of hit
    lost_base: int  # g, u: Y0 lost per unit of hit
    gain_base: int  # g, u: Y0 gained per unit of hit
    linked: int  # members
    linked_normal: int  # members
    shock: int  # months of whole fours
    state: int
    line_effect: int  # b
    slip: int  # launches
    missing: int  # launches: what a rise still lacks at the start of the month
    missing_first: int  # launches: and at the end of the month in which it begins
    extra: int  # b
    decided: int  # b + 1
    response: int  # b
    lift: int  # m
    y: int  # i
    margin: int  # i
    cumulative: int
    spoken: int  # v
    before: int  # clients
    lost: int  # clients
    client_uniform: int  # clients x 2 x months of whole fours
    set_revenue: int  # s
    set_margin: int  # s
    set_before: int  # s
    set_lost: int  # s
    set_after: int  # s
    tally: int  # q x 4
    size: int


class MarkAt(NamedTuple):
    """Marks of a block (int64): which rows hold anything."""

    risk_live: int  # r
    signed: int  # r: a hit may be a gain
    open: int  # k
    combined: int  # c: rows of the hits of a profile
    backlog_live: int  # r
    line_live: int  # b + 1
    chosen: int  # 1 where the row `acting` counts
    shared: int  # 1 where blocks one after the other may be of the same paths, whose draws are then made once
    drawn: int  # k x 2, b, launches, members, fours x (2 + i + 2 clients): whether a draw has been made
    size: int


class Layout(NamedTuple):
    """All offsets of one scenario."""

    draw: DrawAt
    demand: DemandAt
    stream: StreamAt
    line: LineAt
    risk: RiskAt
    copula: CopulaAt
    control: ControlAt
    target: TargetAt
    value: ValueAt
    flag: FlagAt
    row: RowAt
    mark: MarkAt


class PlanArrays(NamedTuple):
    """One scenario in all its worlds."""

    numbers: ndarray  # (w, n) float64
    whole: ndarray  # (n,) int64
    tables: ndarray  # (n,) float64
    streams: ndarray  # (w,) uint64
    layout: Layout


class Outputs(NamedTuple):
    """What the kernel fills; a column a path: world 0's, then world 1's, and so on."""

    values: ndarray  # (ValueAt.size, p) float64
    flags: ndarray  # (FlagAt.size, p) int8


def consecutive(kind: Any, sizes: dict[str, int], start: int = 0, **rest: int) -> Any:
    """Lay fields out one after the other; `size` is where they end, `rest` are fields of their own."""
    at, offset = {}, start
    for name, size in sizes.items():
        at[name] = offset
        offset += size
    return kind(**at, **rest, size=offset)
