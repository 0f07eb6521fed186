"""Which pictures a card has, and what each shows. How they are drawn is `figures`' business."""

import math
from itertools import pairwise

from pipeline.publish.facts import Facts
from pipeline.publish.figures import Bar, bars, histograms
from pipeline.publish.sections.words import flagged
from pipeline.schema import ordered

_LABELS = 16  # of a choice, in its picture


def pictures(facts: Facts) -> dict[str, str]:
    """SVG by name."""
    drawn = {"funnel": funnel(facts), "shares": shares(facts), "lengths": lengths(facts)}
    for score in facts.scores:
        if score.kind == "grade" and (svg := grade(facts, score.name)):
            drawn[f"score-{score.name}"] = svg
        elif score.kind == "choice":
            drawn[f"score-{score.name}"] = choice(facts, score.name)
    if any(score.kind == "label" for score in facts.scores):
        drawn["flags"] = flags(facts)
    return drawn


def funnel(facts: Facts) -> str:
    """Documents left after each stage that dropped any."""
    domains = facts.read_domains
    left = {d: facts.read(d) for d in domains}
    rows = [Bar("read · 读入", tuple(left.items()), f"{sum(left.values()):,}")]
    for stage in facts.release.stats["stages"]:
        if gone := facts.dropped(stage):
            left = {d: n - facts.dropped(stage, d) for d, n in left.items()}
            rows.append(Bar(stage, tuple(left.items()), f"{sum(left.values()):,} (−{gone:,})"))
    return bars(("Documents left after each stage", "各阶段后剩余的文档数"), rows, domains)


def shares(facts: Facts) -> str:
    """Shares reached, with the plan as a line across."""
    domains = facts.release.mixture["domains"]
    rows = []
    for domain in ordered(domains):
        whole = domains[domain]
        parts = {"": whole, **{f" / {part}": p for part, p in (whole.get("parts") or {}).items()}}
        rows += [Bar(domain + part, ((domain, p["share"]),), f"{p['share']:.2%} ({p['share_wanted']:.2%})", p["share_wanted"]) for part, p in parts.items()]
    return bars(("Share reached, and the plan as a line", "实际占比，竖线为计划占比"), rows, ordered(domains))


def lengths(facts: Facts) -> str:
    """Documents by their tokens, in bins of half a power of two."""
    tallies = {d: t for (name, d), t in facts.counted.whole.items() if name == "token_count"}
    tallies = {d: tallies[d] for d in facts.domains if d in tallies}
    least, most = min((t.quantile(0) for t in tallies.values()), default=1), max((t.quantile(1) for t in tallies.values()), default=1)
    first = 0
    while _edge(first + 2) <= least:
        first += 2
    last = first + 2
    while _edge(last) <= most:
        last += 1
    edges = [_edge(k) for k in range(first, last + 1)]
    counts = {d: [t.within(low, high - 1) for low, high in pairwise(edges)] for d, t in tallies.items()}
    every = 2 * -(-(last - first) // 8)
    ticks = [(k - first, f"{_edge(k):,}") for k in range(first, last + 1, every)]
    return histograms(
        ("Documents by their number of tokens", "按词元数统计的文档数"), counts, ticks, "tokens, in half powers of two · 词元数，按 2 的半次幂分组"
    )


def _edge(k: int) -> int:
    """The smallest whole number not below 2 to the power k / 2; 0 for the first, so that empty texts have a place."""
    if k % 2 == 0:
        return 2 ** (k // 2) if k else 0
    return math.isqrt(2**k - 1) + 1


def grade(facts: Facts, name: str) -> str | None:
    """Documents by grade; None where nothing was graded."""
    spreads = {d: s for d in facts.domains if (s := facts.counted.spreads.get((name, d))) is not None and s.rows}
    if not spreads:
        return None
    low, high = next((s.low, s.high) for s in spreads.values())
    ticks = [(i * 4, f"{low + (high - low) * i / 5:g}") for i in range(6)]
    return histograms((f"Grade: {name}", "评分分布"), {d: s.bins.tolist() for d, s in spreads.items()}, ticks, "grade · 评分")


def choice(facts: Facts, name: str) -> str:
    """Documents by their likeliest label."""
    found = [(value, n) for value, n in facts.counted.column(name) if value is not None]
    rows = [Bar(value, tuple((d, n[d]) for d in facts.domains), f"{n.total():,}") for value, n in found[:_LABELS]]
    return bars((f"Label: {name}", "标签分布"), rows, facts.domains)


def flags(facts: Facts) -> str:
    """Of every label: documents that stayed with a flagged window, and documents that its bound dropped."""
    kept, gone = "kept · 保留", "dropped · 剔除"
    rows = [Bar(s.name, ((kept, sum(n[1:])), (gone, out)), f"{sum(n[1:]):,} / {out:,}") for s, n, _, out in flagged(facts)]
    return bars(("Documents with flagged windows: kept / dropped", "含命中窗口的文档：保留 / 剔除"), rows, [kept, gone])
