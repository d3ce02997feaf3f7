"""Hits: the share of its sales that a risk takes from each class of streams, after the responses (model 3.4, 3.5)."""

from engine.kernels.jit import part, step
from engine.kernels.needs import ask_on, asks_on, expose, need_row, pay
from engine.kernels.profiles import sum_bases
from engine.kernels.rows import add, add_product, fill


@part
def net_open(block, open_row, cover, effectiveness, answered, n):
    """o becomes o - a m oR"""
    for p in range(n):
        block[open_row, p] -= block[cover, p] * (block[effectiveness, p] * block[answered, p])


@part
def class_hit(block, exposure, severity, open_row, hit, n):
    """hit = min(1, min(1, exposure S) (o - a m oR)) of the only occurrence"""
    for p in range(n):
        depth = exposure * block[severity, p]
        value = (depth if depth < 1.0 else 1.0) * block[open_row, p]
        block[hit, p] = value if value < 1.0 else 1.0


@step
def add_class_hit(block, exposure, severity, open_row, hit, n):
    """hit += min(1, exposure S) (o - a m oR)"""
    for p in range(n):
        depth = exposure * block[severity, p]
        block[hit, p] += (depth if depth < 1.0 else 1.0) * block[open_row, p]


@part
def cap(block, hit, n):
    """hit = min(1, hit)"""
    for p in range(n):
        block[hit, p] = block[hit, p] if block[hit, p] < 1.0 else 1.0


@part
def split(block, hit, gain, n):
    """A hit into its loss (> 0) and its gain (< 0)."""
    for p in range(n):
        h = block[hit, p]
        block[hit, p] = h if h > 0.0 else 0.0
        block[gain, p] = h if h < 0.0 else 0.0


@part
def hit_classes(number, whole, at, row, block, mark, marks, r, n):
    """Hits of every class of one risk, capped at 1, and the gains among them."""
    first, last = whole[at.first + r], whole[at.first + r + 1]
    for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
        exposure, hit = number[at.exposure + c], row.hit + c
        if last - first == 1:
            class_hit(block, exposure, row.severity + first, row.open + first, hit, n)
        else:
            fill(block, hit, 0.0, n)
            for o in range(first, last):
                if mark[marks.open + o]:
                    add_class_hit(block, exposure, row.severity + o, row.open + o, hit, n)
            cap(block, hit, n)
        if mark[marks.signed + r]:
            split(block, hit, row.gain + c, n)


@step
def sum_severity(whole, at, row, block, mark, marks, r, out, n):
    """out = sum over occurrences of S times what is open"""
    fill(block, out, 0.0, n)
    for o in range(whole[at.first + r], whole[at.first + r + 1]):
        if mark[marks.open + o]:
            add_product(block, out, row.severity + o, row.open + o, n)


@step
def respond(
    number, whole, at, place, row, funds, value, exhausted, struck, block, mark, marks, span, month, n
):  # fmt: skip
    """Needs of the responses, what the funds cover of them, and the hits that are left."""
    sum_bases(whole, at, place, row, block, n)
    if value.risks_kept:
        expose(number, whole, at, row, block, mark, marks, span, struck, value.exposed, month, n)
    for f in range(funds):
        fill(block, row.fund_need + f, 0.0, n)
    for r in range(at.risks):
        if mark[marks.risk_live + r] and whole[at.effectiveness + r] >= 0:
            need_row(number, whole, at, row, block, mark, marks, span, r, month, n)
            if whole[at.fund + r] >= 0:
                add(block, row.fund_need + whole[at.fund + r], row.need + r, n)
        if asks_on(number, whole, at, r):
            ask_on(whole, at, row, block, mark, marks, r, row.fund_need + whole[at.fund + r], n)
    for f in range(funds):
        pay(block, row.fund_need + f, value.fund_balance + f, row.cover + f + 1, value.fund_need + f, exhausted + f, n)
    for r in range(at.risks):
        if mark[marks.risk_live + r] == 0:
            continue
        if number[at.margin_loss + r] != 0.0:
            sum_severity(whole, at, row, block, mark, marks, r, row.open_severity + r, n)
        if whole[at.effectiveness + r] >= 0:
            cover = row.cover + whole[at.fund + r] + 1
            add_product(block, value.response_cost + r, cover, row.need + r, n)
            for o in range(whole[at.first + r], whole[at.first + r + 1]):
                if mark[marks.open + o]:
                    net_open(block, row.open + o, cover, row.effectiveness + o, row.answered + o, n)
        if number[at.churn + r] != 0.0:
            sum_severity(whole, at, row, block, mark, marks, r, row.net_severity + r, n)
        hit_classes(number, whole, at, row, block, mark, marks, r, n)
