"""The review page: what it says is what the run did, in a real browser; and no text of a page it shows can do anything."""

import base64
import copy
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import pipeline
from pipeline.errors import PlanError
from pipeline.filter import Bound, judge
from pipeline.inspect.report import embedded, page, report
from pipeline.inspect.report.examples import Fate, is_hidden
from pipeline.inspect.report.gather import gather
from pipeline.inspect.report.units import Judge
from pipeline.planning import Plan
from pipeline.shards import is_withheld
from pipeline.stages import Filter
from pipeline.tasks import View
from tests import browser
from tests.browser import Browser
from tests.running import ROOT, Finished, World

FOLDER = ROOT / "pipeline" / "inspect" / "report"
WORDS: dict[str, list[str]] = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))
needs_browser = pytest.mark.skipif(browser.executable() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def planned(world: World, finished: Finished) -> Plan:
    return pipeline.plan(world.recipe(), finished.work)


@pytest.fixture(scope="module")
def written(planned: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(planned, tmp_path_factory.mktemp("report") / "report.html", price=0.05)


@pytest.fixture(scope="module")
def data(written: Path) -> dict[str, Any]:
    return data_of(written)


def data_of(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


# --- what it says -------------------------------------------------------------------------------------------------------------


def test_the_funnel_is_the_releases_own(data: dict[str, Any], finished: Finished) -> None:
    stats = finished.release.stats
    assert {d: n[0] for d, n in data["funnel"]["read"].items()} == {
        d: sum(r["documents"] for r in stats["read"] if r["domain"] == d) for d in {r["domain"] for r in stats["read"]}
    }
    assert [s["name"] for s in data["funnel"]["stages"]] == stats["stages"]
    out = sum(n for s in data["funnel"]["stages"] for n, _ in s["dropped"].values())
    assert sum(n for n, _ in data["funnel"]["read"].values()) - out == stats["kept"]
    assert data["complete"] and data["mixture"] == finished.release.mixture


def test_every_bound_of_the_recipe_is_there_and_drops_what_the_ledger_says(data: dict[str, Any], finished: Finished, planned: Plan) -> None:
    ledger = finished.release.ledger
    for stage in planned.recipe.stages:
        if isinstance(stage, Filter):
            shown = next(f for f in data["filters"] if f["name"] == stage.name)
            assert {m["name"]: (m["min"], m["max"]) for m in shown["measures"]} == {k: (v.min, v.max) for k, v in stage.bounds.items()}
            mine = ledger.filter(pc.equal(ledger.column("stage"), stage.name))
            assert sum(shown["dropped"].values()) == mine.num_rows
            named: dict[str, int] = {}
            for measure in shown["measures"]:
                named.update({why: sum(by.values()) for why, by in measure["dropped"].items()})
            assert named == {row["values"]: row["counts"] for row in pc.value_counts(mine.column("reason")).to_pylist()}


def test_the_same_run_gives_the_same_page_and_a_small_one(planned: Plan, written: Path, tmp_path: Path) -> None:
    again = report(planned, tmp_path / "again.html", price=0.05)
    assert again.read_bytes() == written.read_bytes()
    assert written.stat().st_size < 3_000_000


def test_withheld_texts_are_nowhere_in_the_file(written: Path, data: dict[str, Any], planned: Plan) -> None:
    hidden = [e for e in data["examples"]["documents"] if is_withheld(e["stage"], e["reason"])]
    assert {e["stage"] for e in hidden} >= {"sensitive", "licences"}
    assert all(set(e) <= {"id", "stage", "reason", "domain", "value", "other", "withheld"} for e in hidden)
    content = written.read_text(encoding="utf-8")
    every, mine = ({text[:80] for text in texts_of(planned, ids)} for ids in (None, dropped_for(planned, "sensitive")))
    assert len(mine) >= 5 and sum(embedded(text)[1:-1] in content for text in every) > 50
    assert not [text for text in mine if embedded(text)[1:-1] in content], "nor in a copy that left for being one"


def dropped_for(planned: Plan, stage: str) -> set[str]:
    found = set()
    for u in range(len(planned.units)):
        artefacts = planned.artefacts(u, len(planned.steps) - 1)
        ids = planned.store.read_table(artefacts.text, ["id"]).column("id")
        for name in artefacts.drops:
            found |= {ids[d["row"]].as_py() for d in planned.store.read_table(name).to_pylist() if d["stage"] == stage}
    return found


def texts_of(planned: Plan, ids: set[str] | None) -> list[str]:
    found = []
    for u in range(len(planned.units)):
        table = planned.store.read_table(planned.artefacts(u, 1).text, ["id", "text"])
        if ids is not None:
            table = table.filter(pc.is_in(table.column("id"), value_set=pa.array(sorted(ids))))
        found += table.column("text").to_pylist()
    return [text for text in found if len(text) >= 80]


@pytest.mark.parametrize(
    ("fate", "hidden"),
    [
        ({"judge": 1, "reason": "sensitive_adult <= 0.2", "other": None}, True),  # the copy that stayed at first was dropped for it
        ({"judge": 0, "reason": "similarity < 0.8", "other": "c"}, True),  # it left for a copy of its own, of which nothing is known
        ({"judge": 0, "reason": "similarity < 0.8", "other": "a"}, False),
        ({"judge": 2, "reason": "draw < 0.5", "other": None}, False),
        (None, False),
    ],
)
def test_a_copy_shares_the_fate_of_what_it_is_a_copy_of(fate: dict[str, Any] | None, hidden: bool) -> None:
    judges = [Judge(n, n, None, name) for n, name in enumerate(("deduplicate_minhash", "sensitive", "mix"))]
    drop = {"judge": 0, "reason": "similarity < 0.8", "other": "b"}
    assert is_hidden(drop, judges, {"b": Fate("b", 0, 0, 0, fate), "a": Fate("a", 0, 1, 0, drop)}) is hidden


def test_a_run_that_is_not_finished_says_so(world: World, finished: Finished, tmp_path: Path) -> None:
    work = Path(shutil.copytree(finished.work, tmp_path / "work", symlinks=True))
    shutil.rmtree(work / "releases")
    planned = pipeline.plan(world.recipe(), work)
    cut = next(i for i, step in enumerate(planned.steps) if step.name == "deduplicate_minhash")
    for u in range(len(planned.units)):
        for step in planned.steps[cut:-1]:
            (work / f"{step.artefact(u)}.json").unlink()
    found = gather(planned)
    assert not found["complete"] and found["mixture"] is None
    assert found["pairs"] == [] and not any(s["dropped"] for s in found["funnel"]["stages"] if s["name"] in ("deduplicate_minhash", "sensitive", "mix"))
    assert sum(n for n, _ in found["funnel"]["read"].values()) == finished.release.stats["records"]["documents"]
    nothing = pipeline.plan(world.recipe(), tmp_path / "empty")
    with pytest.raises(PlanError, match="run` first"):
        report(nothing, tmp_path / "none.html")
    with pytest.raises(PlanError, match="speaks en and zh"):
        report(planned, tmp_path / "none.html", language="fr")
    assert not (tmp_path / "none.html").exists()


# --- languages ----------------------------------------------------------------------------------------------------------------


def test_both_languages_have_every_word() -> None:
    script, html = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.js", "page.html"))
    for key, (english, chinese) in WORDS.items():
        assert english and chinese, key
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese)), key
        assert re.search(r"[一-鿿]", chinese) or key == "other_language", key
        assert not re.search(r"[一-鿿]", english) or key == "other_language", key
        assert f'"{key}"' in script or f'"{key}"' in html or re.search(rf"const SECTIONS = {{[^}}]*\b{key}\b", script), f"{key} is used nowhere"
    asked = set(re.findall(r'\bt\("(\w+)"', script)) | set(re.findall(r'data-(?:word|label)="(\w+)"', html))
    assert asked <= set(WORDS)


# --- in a browser ---------------------------------------------------------------------------------------------------------------


@needs_browser
def test_it_loads_alone_and_in_silence(chromium: Browser, written: Path) -> None:
    for width, dark in ((1400, False), (400, True)):
        chromium.open(written, width, dark=dark)
        chromium.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert chromium.run("document.documentElement.scrollWidth") == width, "nothing sticks out to the side"
        assert chromium.run("document.querySelectorAll('.card svg').length") > 20
        assert chromium.console == [] and chromium.requests == []


@needs_browser
def test_the_button_changes_the_language(chromium: Browser, written: Path, planned: Plan, tmp_path: Path) -> None:
    chromium.open(written)
    texts = []
    for language in (0, 1, 0):
        shown = chromium.run("[...document.querySelectorAll('h2, nav a, #language')].map((n) => n.textContent)")
        sections = [WORDS[k][language] for k in ("funnel", "bounds", "examples", "duplicates", "shares", "time")]
        assert [s for s in shown if s in sections] == sections * 2 and WORDS["other_language"][language] in shown
        assert chromium.run("document.documentElement.lang") == ("en", "zh-Hans")[language]
        texts.append(chromium.run("document.body.innerText"))
        chromium.run("document.getElementById('language').click()")
    assert texts[0] == texts[2]
    for words, there in ((WORDS, texts[1]),):
        for key in ("bounds_lead", "excerpts", "funnel_lead", "shares_lead"):
            assert words[key][1].split("{")[0] in there and words[key][0].split("{")[0] not in there
    chromium.open(report(planned, tmp_path / "zh.html", language="zh"))
    assert chromium.run("document.documentElement.lang") == "zh-Hans"
    assert chromium.console == []


@needs_browser
def test_the_funnel_tells_a_rows_numbers(chromium: Browser, written: Path, finished: Finished) -> None:
    chromium.open(written)
    for name in ("gopher_quality", "deduplicate_text"):
        chromium.run(f"document.querySelector('.flow .row[data-stage={name}]').focus()")
        told = chromium.run("document.querySelector('.flow aside').innerText")
        mine = [d for d in finished.release.stats["dropped"] if d["stage"] == name]
        assert name in told and f"Dropped {sum(d['documents'] for d in mine):,}:" in told
        assert all(d["reason"] in told for d in mine)
    chromium.run("document.querySelector('#domains [data-domain=zh]').click()")
    assert chromium.run("document.querySelector('.flow .row[data-stage=gopher_quality]')") is None
    there = chromium.run("document.querySelector('#funnel table').textContent")
    zh = sum(d["documents"] for d in finished.release.stats["dropped"] if d["stage"] == "deduplicate_text" and d["domain"] == "zh")
    assert f"deduplicate_text−{zh}" in there


class Twin:
    """What a filter's documents are, found in the work folder without the report's code."""

    def __init__(self, planned: Plan, finished: Finished, name: str) -> None:
        self.stage = next(s for s in planned.recipe.stages if isinstance(s, Filter) and s.name == name)
        order = finished.release.stats["stages"]
        parts, fates, kept = [], [], []
        for u in range(len(planned.units)):
            view = View(planned.store, planned.artefacts(u, len(planned.steps) - 1))
            table = view.columns(list(dict.fromkeys(["id", *self.stage.reads()])))
            fate = np.full(table.num_rows, len(order))
            for artefact in view.artefacts.drops:
                for d in planned.store.read_table(artefact).to_pylist():
                    fate[d["row"]] = order.index(d["stage"])
            mine = self.stage.mask(table) & (fate >= order.index(name))
            parts.append(table.filter(pa.array(mine)))
            fates.append(fate[mine] == order.index(name))
            kept.append(fate[mine] == len(order))
        self.table, self.dropped, self.kept = pa.concat_tables(parts), np.concatenate(fates), np.concatenate(kept)

    def moved(self, column: str, side: str, threshold: float | None) -> dict[str, int]:
        """What one bound would do at another threshold, by judging again."""
        bounds = {b.column: b for b in self.stage.bound_list()}
        other = "max" if side == "min" else "min"
        bounds[column] = Bound(column, **{side: threshold, other: getattr(bounds[column], other)})
        columns = {c: self.table.column(c) for c in bounds}
        alone = judge(columns, [bounds[column]], missing="keep").dropped
        all_ = judge(columns, list(bounds.values()), missing="keep").dropped
        go = ~self.dropped & all_
        return {"alone": int(alone.sum()), "go": int(go.sum()), "kept": int((go & self.kept).sum()), "return": int((self.dropped & ~all_).sum())}


def said(chromium: Browser, name: str, column: str) -> dict[str, int]:
    card = f"document.querySelector('[data-filter={name}] [data-measure={column}]')"
    return {
        key: int(chromium.run(f"{card}.querySelector('[data-{at}]')?.dataset.{key} ?? 0"))
        for key, at in (("alone", "alone"), ("go", "go"), ("kept", "go"), ("return", "return"))
    }


@needs_browser
@pytest.mark.parametrize(
    ("name", "column", "side", "thresholds"),
    [
        ("gopher_quality", "word_count", "min", (50, 20, 120, 400)),
        ("gopher_quality", "word_count", "max", (300, 100_000)),
        ("gopher_repetition", "duplicate_line_fraction", "max", (0.3, 0.05, 0.5)),
        ("shape_zh", "character_count", "min", (200, 90, 800)),
        ("shape_zh", "terminal_punctuation_line_fraction", "min", (0.12, 0.5)),
        ("sensitive", "sensitive_adult", "max", (0.2, 0.9)),
    ],
)
def test_a_slider_says_what_judging_again_would_say(
    chromium: Browser, written: Path, planned: Plan, finished: Finished, name: str, column: str, side: str, thresholds: tuple[float, ...]
) -> None:
    twin = Twin(planned, finished, name)
    chromium.open(written)
    chromium.run(f"document.querySelector('details[data-filter={name}]').open = true")
    chromium.run("new Promise((done) => setTimeout(done, 60))")  # `toggle` comes a task later
    card = f"document.querySelector('[data-filter={name}] [data-measure={column}]')"
    number, slider = (f"{card}.querySelector('input[type={kind}][data-side={side}]')" for kind in ("number", "range"))
    assert said(chromium, name, column) == twin.moved(column, side, thresholds[0] if side == "min" or name != "gopher_quality" else 100_000)
    for threshold in thresholds:
        chromium.run(f"{number}.value = {threshold}; {number}.dispatchEvent(new Event('change'))")
        found, expected = said(chromium, name, column), twin.moved(column, side, threshold)
        if "about" in chromium.run(f"{card}.querySelector('output').innerText"):
            assert all(abs(found[k] - expected[k]) <= max(3, 0.02 * twin.table.num_rows) for k in found)
        else:
            assert found == expected
    chromium.run(f"{slider}.focus()")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft", "Home", "ArrowRight", "End"):
        chromium.press(key)
        at = chromium.run(f"{number}.value")
        assert said(chromium, name, column) == twin.moved(column, side, float(at) if at else None), f"exact where the slider stops, {at}"
    chromium.run(f"{slider}.value = 500; {slider}.dispatchEvent(new Event('input'))")
    at = chromium.run(f"{number}.value")
    assert said(chromium, name, column) == twin.moved(column, side, float(at) if at else None)
    assert chromium.console == []


@needs_browser
def test_search_and_rules_choose_examples(chromium: Browser, written: Path, data: dict[str, Any]) -> None:
    chromium.open(written)
    documents = data["examples"]["documents"]
    one = next(e for e in documents if e["stage"] == "gopher_quality")
    count = "document.querySelector('#examples [role=status]').textContent"
    assert chromium.run(count).startswith(f"{len(documents)} of {len(documents)} ")

    def search(words: str) -> list[str]:
        chromium.run(
            f"(() => {{ const box = document.querySelector('#examples input'); box.value = {json.dumps(words)}; box.dispatchEvent(new Event('input')); }})()"
        )
        return list(chromium.run("[...document.querySelectorAll('#examples .doc')].map((n) => n.innerText)"))

    found = search(one["id"])
    assert len(found) == 1 and one["address"] in found[0] and one["reason"] in found[0]
    word = max(re.findall(r"\w+", one["text"]), key=len)
    expected = [e for e in documents if all(word.lower() in str(list(e.values())).lower() for word in (word, "gopher_quality"))]
    assert len(search(f"{word.upper()} gopher_quality")) == min(24, len(expected)) > 0
    assert search("nothing on earth is called so") == [] and WORDS["nothing_found"][0] in chromium.run("document.querySelector('#examples .list').innerText")
    search("")
    chromium.run("(() => { const rule = document.querySelector('#examples select'); rule.value = 'kept'; rule.dispatchEvent(new Event('change')); })()")
    kept = [e for e in documents if not e["stage"]]
    assert chromium.run(count).startswith(f"{len(kept)} of ")
    chromium.run("document.querySelector('#domains [data-domain=code]').click()")
    assert chromium.run(count).startswith(f"{sum(e['domain'] == 'code' for e in kept)} of ")


@needs_browser
def test_a_price_makes_a_cost(chromium: Browser, data: dict[str, Any], tmp_path: Path) -> None:
    timed = copy.deepcopy(data)
    for step in timed["timings"]:
        step.update(core_seconds=36.0, rows=1000, tasks=1, wall_seconds=20.0)
    path = tmp_path / "timed.html"
    path.write_text(page(timed), encoding="utf-8")
    chromium.open(path)
    hours = len(timed["timings"]) * 36 / 3600
    assert float(chromium.run("document.querySelector('#time [data-cost]').dataset.cost")) == pytest.approx(hours * 0.05)
    chromium.run("(() => { const box = document.getElementById('price'); box.value = '2'; box.dispatchEvent(new Event('input')); })()")
    assert float(chromium.run("document.querySelector('#time [data-cost]').dataset.cost")) == pytest.approx(hours * 2)
    assert chromium.console == []


# --- hostile text -----------------------------------------------------------------------------------------------------------------

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<!--<script>window.hacked=2</script>",
    "<img src=x onerror='window.hacked=3'><svg onload=window.hacked=4>",
    "]]>\u2028window.hacked=5\u2029//",
    "\\u003c/script\\u003e \\\" ' ` ${window.hacked=6} {data} {script}",
    "<style>body{display:none}</style><base href='https://bad.example/'><meta http-equiv=refresh content='0;url=https://bad.example/'>",
    "\ufffd\ufeff\u202e\u0000\U0001f469\u200d\U0001f52c \U000e0001 &lt;b&gt; &#60;script&#62;",
)
PROSE = (
    "The keeper climbed the tower every evening at six and lit the lamp before the boats came round the point into the bay. "
    "He wrote down the wind and the weather in a book with a green cover that nobody had asked to read in forty years. "
    "On some nights there was nothing to write but the hour, and he wrote the hour, and then he went down to his supper. "
)
RECIPE = """\
name: hostile
version: '1'
policy: "POLICY"
sources:
  a: {reader: jsonl, files: "DIR/*.jsonl", domain: en}
stages:
  - filter: {name: length, bounds: {word_count: {min: 8}}}
  - deduplicate: {by: id}
  - deduplicate: {by: minhash, threshold: 0.5}
mix: {shares: {en: 1}}
release: {validation: 0, validation_documents: 0}
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose documents, addresses and policy try to be more than text: dropped ones, kept ones, near-duplicates."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = []
    for i, attack in enumerate(HOSTILE):
        own = " ".join(f"Number{i}x{j} stands for itself alone." for j in range(60))
        rows.append({"text": f"{attack} short", "url": f"https://a.example/{i}/{attack}"})
        rows.append({"text": f"{attack} {PROSE} {own}", "url": f"javascript:window.hacked=7//{i}"})
        rows.append({"text": f"{PROSE} {own} {attack} {attack} as it were", "url": f"https://b.example/{i}/{attack}"})
    (folder / "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    (folder / "r.yaml").write_text(RECIPE.replace("DIR", str(folder)).replace("POLICY", HOSTILE[0]), encoding="utf-8")
    recipe = pipeline.Recipe.load(folder / "r.yaml")
    pipeline.run(recipe, folder / "work", here=True)
    return report(pipeline.plan(recipe, folder / "work"), folder / "report.html", examples=100)


def test_text_cannot_leave_its_script_element(hostile: Path) -> None:
    content = hostile.read_text(encoding="utf-8")
    data = data_of(hostile)
    assert len(data["examples"]["documents"]) == 3 * len(HOSTILE) and len(data["pairs"]) == len(HOSTILE)
    everything = json.dumps(data, ensure_ascii=False)
    assert "</script>" in everything and "\u2028" in everything, "the attacks are there, as text"
    assert content.count("</script>") == content.count("<script") == 3 and "<!--" not in content and "\u2028" not in content
    assert json.loads(embedded(list(HOSTILE))) == list(HOSTILE)


def test_the_policy_names_what_is_in_the_file_and_forbids_the_rest(hostile: Path) -> None:
    content = hostile.read_text(encoding="utf-8")
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', content)
    assert found and found[1].startswith("default-src 'none'; ") and "unsafe" not in found[1] and "http" not in found[1]
    for tag in ("style", "script"):
        inner = re.search(rf"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
        assert inner and base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode() in found[1]
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|setTimeout|fetch\(|XMLHttp|import\(", script)


@needs_browser
def test_hostile_text_is_shown_and_does_nothing(chromium: Browser, hostile: Path) -> None:
    for width in (1400, 400):
        chromium.open(hostile, width)
        chromium.run("document.querySelectorAll('button').forEach((b) => { if (/more/.test(b.textContent)) b.click(); })")
        chromium.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        shown = chromium.run("document.body.textContent")
        for attack in HOSTILE:
            assert attack.replace("\u0000", "") in shown.replace("\u0000", "")
        for attack in HOSTILE[:4]:
            chromium.run(
                f"(() => {{ const box = document.querySelector('#examples input'); box.value = {json.dumps(attack)}; box.dispatchEvent(new Event('input')); }})()"
            )
            assert chromium.run("document.querySelectorAll('#examples .doc').length") > 0
        assert chromium.run("window.hacked") is None
        assert chromium.run("document.querySelectorAll('img, iframe, base, object, embed, meta[http-equiv=refresh], main script, main style').length") == 0
        assert chromium.run("document.querySelectorAll('main a[href]:not([href^=\"#\"])').length") == 0
        assert chromium.run("getComputedStyle(document.body).display") == "block"
        assert chromium.run("document.documentElement.scrollWidth") == width
        assert chromium.run("location.protocol") == "file:"
        assert chromium.console == [] and chromium.requests == []


@needs_browser
def test_the_policy_stops_a_script_that_got_in(chromium: Browser, hostile: Path, tmp_path: Path) -> None:
    """The second wall, if the first fell."""
    path = tmp_path / "planted.html"
    path.write_text(
        hostile.read_text(encoding="utf-8").replace("<main ", "<script>window.hacked=8</script><img src=x onerror='window.hacked=9'><main ", 1),
        encoding="utf-8",
    )
    chromium.open(path)
    assert chromium.run("window.hacked") is None
    assert any("Content Security Policy" in line for line in chromium.console)
