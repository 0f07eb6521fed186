"""What is otherwise in another release, and by which bound? Documents, tokens, verdicts, recipes, shares: of two releases, from their files alone.

It compares what both said of a document, by id; it judges nothing again. What it costs stands in `verdicts.py`: 10 million documents and as many dropped
ones in each release take under 2 GB and some minutes, and with `text=True` the reading of all texts.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from pipeline.inspect.verdicts import Group, Joined, Side, Verdict, join
from pipeline.shards import Release, open_release
from pipeline.stages import label_of

Kind = Literal["dropped", "restored", "otherwise", "moved", "gone", "new"]
SAID: dict[Kind, str] = {
    "dropped": "kept in A, dropped in B",
    "restored": "dropped in A, kept in B",
    "otherwise": "dropped in both, not by the same bound",
    "moved": "kept in both, in another split or domain",
    "gone": "in A, never seen in B",
    "new": "never seen in A, in B",
}
_ABSENT = object()  # not null, which a recipe may say


@dataclass(frozen=True)
class Setting:
    """A setting that is another one in B: its path, and both values as JSON; `(nothing)` where there is none."""

    path: tuple[str, ...]
    old: str
    new: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {_short(self.old)} -> {_short(self.new)}"

    def plain(self) -> dict[str, str]:
        return {"path": ".".join(self.path), "old": self.old, "new": self.new}


@dataclass(frozen=True)
class Change:
    """Documents of one domain whose verdict changed in the same way. `because` are the changed settings of the stages that decided, or else
    of those that make texts; where there are none, it follows from other changes: a copy that now wins, a share that is filled earlier, other inputs."""

    kind: Kind
    domain: str
    before: dict[str, str] | None  # split and domain, or stage and reason; None where A never saw it
    after: dict[str, str] | None
    documents: int
    tokens: int  # unique tokens, as counted by the release that keeps them; 0 where none does
    because: tuple[str, ...] = ()
    examples: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Difference:
    """Two releases, A and B, side by side. Prints as tables; `to_dict` is the same for machines."""

    a: str
    b: str
    domains: dict[str, dict[str, int]]  # by domain: documents and unique tokens in both, only in A, only in B
    changes: tuple[Change, ...]
    settings: tuple[Setting, ...]
    engines: tuple[Setting, ...]
    shares: dict[str, dict[str, tuple[float, ...]]]  # by domain: share, share_wanted, tokens, epochs, of A and of B
    repeats: dict[str, Any]  # documents in both that are used another number of times, and tokens with repeats
    text: dict[str, Any]  # documents in both whose text is another one, and what was compared
    apart: dict[str, tuple[int, int]] = field(default_factory=dict)  # rows that stand for no document of their own

    @property
    def same(self) -> bool:
        """Whether no document's verdict, text or repeats changed."""
        return not self.changes and not self.text["documents"] and not self.repeats["documents"]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in a fixed order."""
        return {
            "a": self.a,
            "b": self.b,
            "domains": self.domains,
            "changes": [{**vars(c), "because": list(c.because), "examples": list(c.examples)} for c in self.changes],
            "recipe": [s.plain() for s in self.settings],
            "engines": [s.plain() for s in self.engines],
            "shares": {d: {k: list(v) for k, v in row.items()} for d, row in self.shares.items()},
            "repeats": self.repeats,
            "text": self.text,
            "apart": {k: list(v) for k, v in self.apart.items()},
        }

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=160, color_system=None)
        console.print(self)
        return console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"A: {self.a}    B: {self.b}", style="bold")
        if self.same:
            yield "Every document that both saw has the same verdict, text and repeats in both."
        yield self._documents()
        if self.changes:
            yield self._verdicts()
        for title, settings in (("The recipe, where it says something else", self.settings), ("Versions", self.engines)):
            if settings:
                yield _settings_table(title, settings)
        yield self._mixture()
        yield Text(self._notes())
        for change in self.changes:
            yield from _examples(f"{SAID[change.kind]}, {change.domain}: {_words(change.before)} -> {_words(change.after)}", change.examples)
        yield from _examples("another text under the same id", self.text.get("examples", ()))
        yield from _examples("used another number of times", self.repeats.get("examples", ()))

    def _documents(self) -> Table:
        table = _table("Documents kept, and their unique tokens", "domain", *(f"{where}{what}" for what in ("", ": tokens") for where in _WHERE))
        for domain, row in [*self.domains.items(), ("all", {k: sum(r[k] for r in self.domains.values()) for k in _KEPT})]:
            table.add_row(domain, *(f"{row[k]:,}" for k in _KEPT), style="bold" if domain == "all" else None)
        return table

    def _verdicts(self) -> Table:
        table = _table("Verdicts that changed", "", "domain", "in A", "in B", "documents", "tokens", "setting that changed", words=(0, 1, 2, 3, 6))
        for c in self.changes:
            cells = (c.kind, c.domain, _words(c.before), _words(c.after), f"{c.documents:,}", f"{c.tokens:,}" if c.tokens else "")
            table.add_row(*map(Text, cells), Text("; ".join(_within(b) for b in c.because) or "-"))
        table.caption = "-: no setting that could do so was changed: it follows from the other changes (a copy that now wins, a share that fills earlier), or from the inputs."
        table.caption_justify = "left"
        return table

    def _mixture(self) -> Table:
        table = _table(
            "Shares of the mix's unit with repeats", "domain", *(f"{what} {side}" for what in ("share", "wanted", "tokens", "epochs") for side in "AB")
        )
        for domain, row in self.shares.items():
            shares = (f"{value:.2%}" for key in ("share", "share_wanted") for value in row[key])
            table.add_row(domain, *shares, *(f"{int(v):,}" for v in row["tokens"]), *(f"{v:.2f}" for v in row["epochs"]))
        return table

    def _notes(self) -> str:
        by = self.text["compared_by"]
        lines = [f"Text changed under the same id: {self.text['documents']:,} documents (compared by {', '.join(by)})."] if by else []
        if by and by != ["text"]:
            lines[0] += " With --text, texts themselves are compared."
        was, now = self.repeats["tokens_with_repeats"]
        lines.append(f"Repeats changed: {self.repeats['documents']:,} documents in both; what both have: {was:,} -> {now:,} tokens with repeats.")
        lines += [f"{name}: {was:,} -> {now:,}." for name, (was, now) in self.apart.items() if was or now]
        return "\n".join(lines)


_KEPT = ("both", "only_a", "only_b", "tokens_both", "tokens_only_a", "tokens_only_b")
_WHERE = ("both", "only A", "only B")


def diff(a: str | Path | Release, b: str | Path | Release, *, text: bool = False, documents: int = 0) -> Difference:
    """Compare two releases by their paths. `text` reads all texts, where otherwise their sizes are compared; `documents` is the number of examples
    of every change, with ids, URLs, and what became of the copy that stayed.

    Raises StoreError where one is no release, or a file of it is missing or damaged.
    """
    one, two = (r if isinstance(r, Release) else open_release(str(r)) for r in (a, b))
    joined, side_a, side_b, compared = join(one, two, text=text, examples=documents)
    settings = tuple(_recipes(_recipe(one), _recipe(two)))
    engines = tuple(_settings(_versions(one), _versions(two)))
    groups = {k: joined.groups[k] for k in sorted(joined.groups, key=lambda k: [(v is not None, v.order if v else ()) for v in k])}
    both = [(k, g) for k, g in groups.items() if all(v is not None and v.kept for v in k)]
    chosen = {i for g in groups.values() for i in (*g.other_repeats_examples, *g.other_text_examples)}
    chosen |= {i for k, g in groups.items() if _kind(*k) for i in g.examples}
    known = _Examples([side_a, side_b], chosen)
    causes = _Causes(settings, engines, frozenset(s for r in (one, two) for s in r.stats["stages"]))
    used = [sum(g.tokens_with_repeats[side] for _, g in both) for side in (0, 1)]
    return Difference(
        a=_name(one),
        b=_name(two),
        domains=_domains(groups),
        changes=tuple(_changes(groups, causes, known, documents)),
        settings=settings,
        engines=engines,
        shares=_shares([one, two]),
        repeats=_of_both(both, "other_repeats", known, documents) | {"tokens_with_repeats": used},
        text=_of_both(both, "other_text", known, documents) | {"compared_by": list(compared)},
        apart=_apart(joined),
    )


def _name(release: Release) -> str:
    return f"{release.manifest['name']}@{release.manifest['version']}"


def _apart(joined: Joined) -> dict[str, tuple[int, int]]:
    return {"Records that became no document": joined.without_id, "Further records with the id of a document": joined.repeated}


# --- verdicts ---------------------------------------------------------------------------------------------------------------


def _kind(before: Verdict | None, after: Verdict | None) -> Kind | None:
    """What happened to a document; None where nothing did. A bound that moved and is still broken is the same verdict."""
    if before is None or after is None:
        return "new" if before is None else "gone"
    if before.kept != after.kept:
        return "dropped" if before.kept else "restored"
    if before.place == after.place:
        return None
    return "moved" if before.kept else "otherwise"


def _domains(groups: Mapping[tuple[Verdict | None, Verdict | None], Group]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}

    def add(domain: str, key: str, documents: int, tokens: int) -> None:
        row = found.setdefault(domain, dict.fromkeys(_KEPT, 0))
        row[key] += documents
        row[f"tokens_{key}"] += tokens

    for (before, after), g in groups.items():
        in_a, in_b = before is not None and before.kept, after is not None and after.kept
        if after is not None and in_b:
            add(after.domain, "both" if in_a else "only_b", g.documents, g.tokens[1])
        elif before is not None and in_a:
            add(before.domain, "only_a", g.documents, g.tokens[0])
    return dict(sorted(found.items()))


def _changes(
    groups: Mapping[tuple[Verdict | None, Verdict | None], Group],
    causes: "_Causes",
    known: "_Examples",
    most: int,
) -> Iterator[Change]:
    """Every change, the largest of each kind first. What differs in nothing but the number of a bound (a draw's, by language) is one."""
    merged: dict[tuple[Any, ...], list[tuple[Verdict | None, Verdict | None, Group]]] = {}
    for (before, after), g in groups.items():
        if kind := _kind(before, after):
            domain = next(v.domain for v in ((before, after) if kind in ("dropped", "gone") else (after, before)) if v is not None)
            merged.setdefault((kind, domain, before and before.place, after and after.place), []).append((before, after, g))
    ordered = sorted(merged.items(), key=lambda kv: (list(SAID).index(kv[0][0]), -sum(g.documents for *_, g in kv[1])))
    for (kind, domain, *_), members in ordered:
        before, after = members[0][:2]
        keeper = 0 if kind in ("dropped", "gone") else 1
        yield Change(
            kind,
            domain,
            _plain([b for b, _, _ in members]),
            _plain([a for _, a, _ in members]),
            sum(g.documents for *_, g in members),
            sum(g.tokens[keeper] for *_, g in members),
            tuple(causes.of(kind, before, after)),
            tuple(known.of(sorted((i, b, a) for b, a, g in members for i in g.examples)[:most] if most else ())),
        )


def _plain(verdicts: list[Verdict | None]) -> dict[str, str] | None:
    """Verdicts of the same place as one: all their reasons where there are several."""
    if verdicts[0] is None:
        return None
    reasons = sorted({v.reason for v in verdicts if v is not None})
    found = verdicts[0].plain()
    return found if found.get("split") or len(reasons) == 1 else {**found, "reason": f"{reasons[0]} … {reasons[-1]}"}


@dataclass(frozen=True)
class _Causes:
    """What changed, to say of a verdict what may have changed it."""

    settings: tuple[Setting, ...]
    engines: tuple[Setting, ...]
    judges: frozenset[str]  # the stages that drop; the others make texts and columns

    def of(self, kind: Kind, before: Verdict | None, after: Verdict | None) -> Iterator[str]:
        """The settings and versions of the stages that decided; where these are as they were, those of the stages that make texts."""
        if kind in ("gone", "new"):
            yield from (str(s) for s in self.settings if s.path[0] == "sources")
            return
        if kind == "moved":
            yield from (str(s) for s in self.settings if s.path[0] == "seed" or s.path[:2] in _HOLDS_OUT)
            return
        decided = [(verdict, side) for side, verdict in ((-1, before), (1, after)) if verdict is not None and not verdict.kept]
        found = [str(s) for s in self.settings if any(_decides(s.path, v) and _side(s) in (0, side) for v, side in decided)]
        found += [str(s) for s in self.engines if s.path[0] == "engines" and any(s.path[1] in _stages(v) for v, _ in decided)]
        if not found and not any(v.stage == "mix" or v.stage.startswith("downsample") for v, _ in decided):
            found = [str(s) for s in (*self.settings, *self.engines) if s.path[0] in ("stages", "engines") and self._makes(s.path[1])]
        yield from found

    def _makes(self, stage: str) -> bool:
        return stage not in self.judges and not stage.startswith("score_")


_HOLDS_OUT = (("release", "validation"), ("release", "validation_documents"))


def _decides(path: tuple[str, ...], verdict: Verdict) -> bool:
    if verdict.stage == "mix":
        return path[0] in ("mix", "seed") or path[:2] in _HOLDS_OUT
    if path[0] != "stages" or path[1] not in _stages(verdict):
        return False
    return len(path) < 4 or path[2] != "bounds" or path[3] == verdict.measure


def _side(setting: Setting) -> int:
    """1 where a bound lets less through than before, -1 where it lets more through, 0 where that cannot be told."""
    if setting.path[2:3] != ("bounds",):
        return 0
    if "(nothing)" in (setting.old, setting.new):
        return 1 if setting.old == "(nothing)" else -1
    try:
        higher = float(setting.new) > float(setting.old)
    except ValueError:
        return 0
    return 1 if higher == (setting.path[-1] == "min") else -1


def _stages(verdict: Verdict) -> set[str]:
    """The stage that dropped it, and the classifier whose number it judged: `score_quality` makes `quality`, `quality_bucket`, …"""
    words = verdict.measure.split("_")
    return {verdict.stage, *("score_" + "_".join(words[:n]) for n in range(1, len(words) + 1))}


def _of_both(both: list[tuple[Any, Group]], name: str, known: "_Examples", most: int) -> dict[str, Any]:
    """Of the documents in both, those with another text, or other repeats."""
    by_domain: Counter[str] = Counter()
    examples = []
    for (before, after), g in both:
        by_domain[after.domain] += getattr(g, name)
        examples += [(i, before, after) for i in getattr(g, f"{name}_examples")]
    found: dict[str, Any] = {"documents": by_domain.total(), "by_domain": {d: n for d, n in sorted(by_domain.items()) if n}}
    return found | ({"examples": list(known.of(sorted(examples)[:most]))} if most else {})


class _Examples:
    """Some documents as both releases have them."""

    def __init__(self, sides: list[Side], ids: set[str]) -> None:
        self.sides = sides
        self.rows = [side.find(ids) for side in sides]
        others = {row["other"] for rows in self.rows for found in rows.values() for row in found if row.get("other")} - ids
        for side, rows in zip(sides, self.rows, strict=True):
            rows.update(side.find(others))

    def of(self, wanted: Any) -> Iterator[dict[str, Any]]:
        """What is known of (id, verdict in A, verdict in B): address, values, and what became of the copy that stayed."""
        for i, *verdicts in wanted:
            found: dict[str, Any] = {"id": i}
            for name, side, rows, verdict in zip("ab", self.sides, self.rows, verdicts, strict=True):
                row = next((r for r in rows[i] if verdict is not None and side.verdict(r) == verdict), None)
                if row is not None:
                    used = {k: row[k] for k in ("token_count", "repeats") if k in row}
                    found |= {"url": found.get("url") or row["url"], name: verdict.plain() | used}
                    found |= {f"value_{name}": row["value"]} if row.get("value") is not None else {}
                    if row.get("other") and row["other"] != i:
                        found |= {"other": row["other"]} | {f"other_{n}": self._last(k, row["other"]) for k, n in enumerate("ab")}
            yield found

    def _last(self, side: int, i: str) -> dict[str, str] | None:
        verdicts = sorted((self.sides[side].verdict(r) for r in self.rows[side][i]), key=self.sides[side].rank)
        return verdicts[0].plain() if verdicts else None


def _shares(releases: Iterable[Release]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Of every domain, and every part of one, what both mixtures say; 0 where a release has none of it."""
    pairs = []
    for release in releases:
        rows: dict[str, Any] = {}
        for domain, row in release.mixture["domains"].items():
            rows |= {domain: row} | {f"{domain}/{part}": of for part, of in sorted((row.get("parts") or {}).items())}
        pairs.append(rows)
    keys = ("share", "share_wanted", "tokens", "epochs")
    return {d: {k: tuple(p.get(d, {}).get(k, 0) for p in pairs) for k in keys} for d in sorted({*pairs[0], *pairs[1]})}


# --- recipes and versions ----------------------------------------------------------------------------------------------------


def _versions(release: Release) -> dict[str, Any]:
    return {k: release.manifest.get(k) for k in ("engines", "pyarrow", "tokenizer")}


def _recipe(release: Release) -> dict[str, Any]:
    """The resolved recipe, its stages by name."""
    plain = dict(release.store.read_json("recipe.json"))
    stages: dict[str, Any] = {}
    for item in plain.get("stages", ()):
        ((kind, settings),) = item.items()
        name = label_of(kind, settings)
        while name in stages:
            name += "'"
        stages[name] = settings or {"stage": kind}
    return {**plain, "stages": stages}


def _recipes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Setting]:
    """What differs, and the order of the stages that both have, where that is another one."""
    yield from _settings(old, new)
    orders = [[name for name in one["stages"] if name in two["stages"]] for one, two in ((old, new), (new, old))]
    yield from _settings({"order of stages": orders[0]}, {"order of stages": orders[1]})


def _settings(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Where two nested values differ. A list is one value, and so is what only one of them has."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _settings(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, str(key)))
    elif old != new:
        yield Setting(path, _json(old), _json(new))


def _json(value: Any) -> str:
    """JSON, where 50.0 is 50."""
    if value is _ABSENT:
        return "(nothing)"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


# --- printing ------------------------------------------------------------------------------------------------------------------


def _short(value: str, most: int = 60) -> str:
    return value if len(value) <= most else value[: most - 1] + "…"


def _table(title: str, *names: str, words: tuple[int, ...] = (0,)) -> Table:
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(names):
        table.add_column(name, justify="left" if i in words else "right", overflow="fold")
    return table


def _settings_table(title: str, settings: tuple[Setting, ...]) -> Table:
    table = _table(title, "what", "A", "B", words=(0, 1, 2))
    for s in settings:
        table.add_row(Text(".".join(s.path)), Text(_short(s.old, 200)), Text(_short(s.new, 200)))
    return table


def _within(because: str) -> str:
    """A setting without its stage, which stands beside it."""
    path, _, values = because.partition(": ")
    parts = path.split(".", 2)
    return f"{parts[2].removeprefix('bounds.')}: {values}" if parts[0] == "stages" and len(parts) == 3 else because


def _words(verdict: Mapping[str, str] | None) -> str:
    if verdict is None:
        return "not seen"
    return f"kept: {verdict['split']}, {verdict['domain']}" if verdict.get("split") else f"{verdict['stage']}: {verdict['reason']}"


def _examples(title: str, examples: Iterable[Mapping[str, Any]]) -> Iterator[Text]:
    for i, e in enumerate(examples):
        if not i:
            yield Text(f"\n{title}", style="bold")
        values = [f"{e[f'value_{n}']:.6g} in {n.upper()}" for n in "ab" if f"value_{n}" in e]
        values += [f"{name} {e['a'][name]} -> {e['b'][name]}" for name in ("token_count", "repeats") if all(name in (e.get(n) or {}) for n in "ab")]
        yield Text(f"  {e['id']}  {e.get('url') or ''}" + (f"  ({', '.join(values)})" if values else ""))
        if "other" in e:
            yield Text(f"      in its place {e['other']}: A {_words(e['other_a'])}; B {_words(e['other_b'])}")


__all__ = ["Change", "Difference", "Setting", "diff"]
