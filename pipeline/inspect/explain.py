"""Why is this document in the corpus, or why not? Every measure beside its bound, the one that broke, and who stayed in its place."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from pipeline.dedup.exact import canonical_url
from pipeline.errors import PlanError
from pipeline.filter import SIDES, reason
from pipeline.measures import MEASURES
from pipeline.planning import Plan
from pipeline.stages import Filter, Stage, label
from pipeline.tasks import View


@dataclass
class Explanation:
    """Everything known of one document. Prints as a page."""

    document: dict[str, Any]
    verdict: dict[str, Any] | None  # the drop, with the other document's URL; None where the document is in the corpus (or still in)
    bounds: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    reached: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        document = self.document
        head = Table(show_header=False, box=None)
        for name in ("id", "url", "source", "domain", "subdomain", "language", "script", "date", "licence", "programming_language", "file", "offset"):
            value = {**document, **self.columns}.get(name)
            if value is not None:
                head.add_row(name, str(value))
        yield head
        text = document["text"]
        yield f"[dim]{len(text):,} characters: {' '.join(text[:160].split()).replace('[', chr(92) + '[')}{'…' if len(text) > 160 else ''}[/]"
        if self.bounds:
            table = Table(title="Bounds that apply, in the recipe's order", title_justify="left")
            for name in ("filter", "measure", "value", "bound", ""):
                table.add_column(name, justify="right" if name == "value" else "left")
            for b in self.bounds:
                table.add_row(
                    b["filter"],
                    b["measure"],
                    "not computed" if b["value"] is None else f"{b['value']:.6g}",
                    b["bound"],
                    "" if b["holds"] else "[bold red]broken[/]",
                )
            yield table
        others = {
            k: v
            for k, v in self.columns.items()
            if k not in {b["measure"] for b in self.bounds} and k not in ("domain", "language", "script") and v is not None
        }
        if others:
            yield "Also measured: " + ", ".join(f"{k} {v:.6g}" if isinstance(v, float) else f"{k} {v}" for k, v in others.items())
        if self.verdict is None:
            yield f"[bold green]In.[/] {self.reached}"
        else:
            v = self.verdict
            line = f"[bold red]Out[/] at [bold]{v['stage']}[/]: it does not hold that {v['reason']}" + (
                f" (here {v['value']:.6g})." if v["value"] is not None else "."
            )
            yield line.replace("]: it does not hold that unreadable", "]: unreadable")
            if v["other"]:
                yield f"The document that stayed in its place: {v['survivor']}" + (f"  {v['other_url']}" if v["other_url"] else "")
                if v["survivor"] != v["other"]:
                    yield f"It was compared with {v['other']}, which left later for that one."
                if v["left"]:
                    yield f"That one left too, at {v['left']['stage']}: {v['left']['reason']} does not hold for it."


def explain(plan: Plan, wanted: str) -> Explanation:
    """Explain a document by id (32 hex digits) or URL, from the artefacts of this plan.

    Raises PlanError where no document has that id or URL, and says what is nearest: a record that could not be read, a plan not run yet.
    """
    if not any(plan.done(0, u) for u in range(len(plan.units))):
        raise PlanError("Nothing has been run with this recipe in this work folder yet: `python -m pipeline run` first.")
    places = list(_find(plan, wanted))
    if not places:
        raise PlanError(_why_not(plan, wanted))
    explanations = [_explain(plan, u, row) for u, row in places]
    # A URL may stand for several documents; the one that got furthest is the answer.
    explanations.sort(key=lambda e: (e.verdict is not None, -_stage_number(plan, e.verdict["stage"]) if e.verdict else 0))
    if len(explanations) > 1:
        explanations[0].reached += f" ({len(explanations)} records have this {'URL' if '/' in wanted else 'id'}; this is the one that got furthest)"
    return explanations[0]


def _find(plan: Plan, wanted: str) -> Iterator[tuple[int, int]]:
    url = canonical_url(wanted) if "/" in wanted else None
    for u in range(len(plan.units)):
        if not plan.done(0, u):
            continue
        table = plan.store.read_table(plan.steps[0].artefact(u) + ".arrow", ["id", "url"])
        if url is None:
            yield from ((u, row) for row in pc.indices_nonzero(pc.equal(table.column("id"), wanted)).to_pylist())
        else:
            host = pc.match_substring(table.column("url"), wanted.split("/")[2] if "://" in wanted else wanted, ignore_case=True)
            for row in pc.indices_nonzero(host).to_pylist():
                if canonical_url(table.column("url")[row].as_py()) == url:
                    yield u, row


def _why_not(plan: Plan, wanted: str) -> str:
    for u in range(len(plan.units)):
        name = plan.steps[0].artefact(u) + ".unreadable.arrow"
        if plan.done(0, u):
            for row in plan.store.read_table(name).to_pylist():
                if wanted in (row["url"], f"{row['file']}:{row['offset']}"):
                    return f"{wanted} is no document: {row['reason']} ({row['file']} at {row['offset']})."
    missing = sum(not plan.done(0, u) for u in range(len(plan.units)))
    return f"No document has the {'URL' if '/' in wanted else 'id'} {wanted} in the {len(plan.units) - missing} units that were read" + (
        f" ({missing} are still to be read: run first)."
        if missing
        else ". Records that are no HTML pages, and pages with a status other than 200, become no documents."
    )


def _stage_number(plan: Plan, name: str) -> int:
    return next((i for i, s in enumerate([label(st) for step in plan.steps for st in step.stages] + ["mix"]) if s == name), 0)


def _reached(plan: Plan, u: int) -> int:
    """The first step that a unit has not been through."""
    done = 1
    while done < len(plan.steps) - 1 and plan.done(done, u):
        done += 1
    return done


def _drop(plan: Plan, u: int, row: int) -> dict[str, Any] | None:
    """The drop of a document, or None where it is still in."""
    for name in plan.artefacts(u, _reached(plan, u)).drops:
        drops = plan.store.read_table(name)
        found = drops.filter(pc.equal(drops.column("row"), row)).to_pylist()
        if found:
            return dict(found[0])
    return None


def _survivor(plan: Plan, wanted: str) -> dict[str, Any]:
    """Who stayed in the end: the copy that was kept may have left in a later round, for a copy of its own. Its URL, and its own drop."""
    seen: set[str] = set()
    while True:
        seen.add(wanted)
        drops = [(u, row, _drop(plan, u, row)) for u, row in _find(plan, wanted)]
        if not drops:
            return {"survivor": wanted, "other_url": None, "left": None}
        u, row, drop = next((d for d in drops if d[2] is None or d[2]["other"] not in (None, wanted)), drops[0])
        if drop is None or drop["other"] is None or drop["other"] in seen:
            url = View(plan.store, plan.artefacts(u, 1)).columns(["url"]).column("url")[row].as_py()
            return {"survivor": wanted, "other_url": url, "left": drop}
        wanted = drop["other"]


def _explain(plan: Plan, u: int, row: int) -> Explanation:
    done = _reached(plan, u)
    view = View(plan.store, plan.artefacts(u, done))
    document = view.columns([*("id", "url", "source", "domain", "subdomain", "date", "licence", "programming_language", "file", "offset", "text")]).slice(
        row, 1
    )
    columns: dict[str, Any] = {}
    for name in (*view.artefacts.columns, *view.artefacts.sparse):
        table = plan.store.read_table(name)
        if "row" in table.column_names:
            table = table.filter(pc.equal(table.column("row"), row)).drop_columns("row")
            columns.update(table.to_pylist()[0] if table.num_rows else dict.fromkeys(table.column_names))
        else:
            columns.update(table.slice(row, 1).to_pylist()[0])
    verdict = _drop(plan, u, row)
    if verdict and verdict["other"]:
        verdict.update(_survivor(plan, verdict["other"]))
    bounds = [b for stage in plan.recipe.stages if isinstance(stage, Filter) and stage.mask(document)[0] for b in _bounds(stage, columns)]
    reached = (
        "It passed every stage and is in the release."
        if done == len(plan.steps) - 1
        else f"It passed every stage up to '{plan.steps[done - 1].name}'; the run has not gone further."
    )
    if columns.get("split") == "validation":
        reached = "It is in the validation set, and never trained on."
    elif columns.get("repeats"):
        reached = f"It is in the release; the mix uses it {columns['repeats']} times." if columns["repeats"] > 1 else reached
    used = {b["measure"] for b in bounds}
    shown = {k: v for k, v in columns.items() if k in used or k not in MEASURES}
    return Explanation(document.to_pylist()[0], verdict, bounds, shown, reached)


def _bounds(stage: Stage, columns: dict[str, Any]) -> Iterator[dict[str, Any]]:
    assert isinstance(stage, Filter)
    for bound in stage.bound_list():
        value = columns.get(bound.column)
        low = bound.min is not None and value is not None and value < bound.min
        high = bound.max is not None and value is not None and value > bound.max
        sides = " and ".join(reason(bound, side).removeprefix(f"{bound.column} ") for side in SIDES[:2] if getattr(bound, side) is not None)
        yield {"filter": stage.name, "measure": bound.column, "value": value, "bound": sides, "holds": not (low or high)}


__all__ = ["Explanation", "explain"]
