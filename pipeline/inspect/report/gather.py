"""What the review page shows, as plain values: funnel, bounds with their histograms, examples, duplicates, shares, time. It draws nothing.

From a work folder's artefacts; a run need not be finished. It costs some 10 microseconds a document. The same run gives the same values, but for
the seconds.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.inspect.report.bounds import Bounds
from pipeline.inspect.report.examples import Examples
from pipeline.inspect.report.units import Judge, Unit
from pipeline.ledger import funnel
from pipeline.planning import Plan
from pipeline.shards import open_release
from pipeline.stages import Stage, label
from pipeline.tasks import account
from pipeline.timings import timings


def gather(plan: Plan, examples: int = 12) -> dict[str, Any]:
    """Everything that the page shows, as JSON values. `examples`: at most so many of each reason."""
    judges = _judges(plan)
    units = [u for u in range(len(plan.units)) if plan.done(0, u)]
    release = open_release(plan.store.at(f"releases/{plan.release_name}")) if plan.step_done(len(plan.steps) - 1) else None
    stages = [j.name for j in judges]
    stats = release.stats if release else funnel((account(plan.store, Unit(plan, u, judges).view.artefacts, stages) for u in units), stages)
    domains = _domains(stats)
    bounds = Bounds(judges, domains)
    chosen = Examples(plan, units, judges, domains, examples)
    for u in units:
        unit = Unit(plan, u, judges)
        bounds.add(unit)
        chosen.add(unit)
    shown, pairs = chosen.examples(), chosen.pairs()
    return {
        "name": plan.recipe.name,
        "version": plan.recipe.version,
        "policy": plan.recipe.policy,
        "fingerprint": plan.release_print[:12],
        "complete": release is not None,
        "units": [len(units), len(plan.units)],
        "domains": domains,
        "funnel": _funnel(stats, judges),
        "filters": bounds.shown(),
        "examples": shown,
        "pairs": pairs,
        "mixture": release.mixture if release else None,
        "timings": _timings(plan),
    }


def _judges(plan: Plan) -> list[Judge]:
    found: list[tuple[int, Stage | None, str]] = [
        (i, stage, label(stage)) for i, step in enumerate(plan.steps) if step.kind in ("filter", "round", "pack") for stage in step.stages
    ]
    found += [(i, None, "mix") for i, step in enumerate(plan.steps) if step.kind == "mix"]
    return [Judge(n, *each) for n, each in enumerate(found)]


def _domains(stats: dict[str, Any]) -> list[str]:
    usual = ("en", "zh", "code")
    return sorted({r["domain"] for r in stats["read"]}, key=lambda d: (d == "other", usual.index(d) if d in usual else len(usual), d))


def _funnel(stats: dict[str, Any], judges: Sequence[Judge]) -> dict[str, Any]:
    """Documents and bytes by domain: read, and dropped by stage and reason."""
    read: dict[str, list[int]] = {}
    for r in stats["read"]:
        held = read.setdefault(r["domain"], [0, 0])
        held[0] += r["documents"]
        held[1] += r["bytes"]
    stages = []
    for j in judges:
        dropped: dict[str, list[int]] = {}
        reasons: dict[str, dict[str, int]] = {}
        for d in stats["dropped"]:
            if d["stage"] == j.name:
                held = dropped.setdefault(d["domain"], [0, 0])
                held[0] += d["documents"]
                held[1] += d["bytes"]
                reasons.setdefault(d["reason"], {})[d["domain"]] = d["documents"]
        ordered = sorted(reasons.items(), key=lambda item: (-sum(item[1].values()), item[0]))
        stages.append({"name": j.name, "dropped": dropped, "reasons": [list(item) for item in ordered]})
    return {"read": read, "stages": stages, "records": stats["records"], "released": stats.get("released")}


def _timings(plan: Plan) -> list[dict[str, Any]]:
    """The steps in order with what is known of their time."""
    known = timings(plan)
    return [{"step": step.name, "kind": step.kind, **known.get(step.name, {})} for step in plan.steps]
