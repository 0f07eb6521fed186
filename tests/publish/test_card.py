"""The card: what it says is what the files hold, in both languages, in the Hub's format, and whatever the texts' metadata holds it stays text."""

import json
import re
import shutil
import socket
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from markdown_it import MarkdownIt

import pipeline
from pipeline.errors import PipelineError
from pipeline.publish.card import card, front_matter, is_card_file, page, size_category
from pipeline.publish.facts import Facts, Tally
from pipeline.publish.figures import Bar, bars
from pipeline.publish.markdown import code, plain, size
from pipeline.publish.sections.making import shortage_zh
from pipeline.shards import RELEASE, open_release
from tests.publish.releases import RECIPE, SCORES, make_release, row, rows_of
from tests.running import ROOT, Finished, World, digests

CARDS = ("README.md", "README.zh-CN.md")
REGENERATE = """
python -m pipeline run recipes/skypile.yaml --here --work WORK --input 'web=sample://small/crawl/*.warc.gz' --input 'social=sample://small/social/*.jsonl' \\
    --input 'encyclopaedia=sample://small/encyclopaedia/*.jsonl' --input 'code=sample://small/code/*'
python -m pipeline card WORK/releases/skypile@0.1 --out data_cards/skypile.md
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release by hand, with its card."""
    removed = [
        {
            "id": "1",
            "url": None,
            "source": "web",
            "domain": "en",
            "file": "a",
            "offset": 0,
            "stage": "shape",
            "reason": "word_count >= 50",
            "value": 3.0,
            "text": "x",
        },
        {
            "id": "2",
            "url": None,
            "source": "web",
            "domain": "zh",
            "file": "a",
            "offset": 9,
            "stage": "sensitive",
            "reason": "sensitive_adult <= 0.2",
            "value": 1.0,
        },
    ]
    tables = {
        "languages": {"Python": {"documents": 35, "text_bytes": 900, "tokens_with_repeats": 1, "share_of_bytes": 1.0}},
        "licences": {},
        "asked": {"Python": 1.0},
    }
    folder = make_release(tmp_path_factory.mktemp("card") / "small@1.0", removed=removed, code=tables)
    card(folder)
    return folder


# --- reading a page ----------------------------------------------------------------------------------------------------------------


def without_code(text: str) -> list[str]:
    """The lines of a page without its front matter and its code blocks."""
    lines, fenced = [], False
    for line in re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            lines.append(line)
    return lines


def outline(text: str) -> list[tuple[int, Counter[str]]]:
    """Of every section: the level of its heading, and its numbers, code blocks included."""
    sections: list[tuple[int, Counter[str]]] = [(0, Counter())]
    headings = {line for line in without_code(text) if line.startswith("#")}
    for line in re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).splitlines():
        if line in headings:
            sections.append((len(line) - len(line.lstrip("#")), Counter()))
        sections[-1][1].update(re.findall(r"\d+(?:[.,]\d+)*", line))
    return sections


def tables(text: str, heading: str) -> list[list[list[str]]]:
    """The tables of a section, row by row; code spans and bold as their words."""
    lines = without_code(text)
    start = next(i for i, line in enumerate(lines) if line.lstrip("# ").replace("`", "") == heading)
    level = len(lines[start]) - len(lines[start].lstrip("#"))
    out: list[list[list[str]]] = []
    inside = False
    for line in lines[start + 1 :]:
        if line.startswith("#") and len(line) - len(line.lstrip("#")) <= level:
            break
        if line.startswith("|"):
            if not inside:
                out.append([])
            if not re.fullmatch(r"\|(?: -+:? \|)+", line):
                out[-1].append([cell.strip().strip("*`") for cell in line.strip("|").split(" | ")])
        inside = line.startswith("|")
    return out


def number(cell: str) -> int:
    return int(cell.replace(",", "") or 0)


# --- format ------------------------------------------------------------------------------------------------------------------------


def test_the_front_matter_is_what_the_hub_knows(made: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    data = hub.DatasetCard((made / "README.md").read_text(encoding="utf-8")).data.to_dict()
    assert data["license"] == "other" and data["license_name"] == "mixed-by-document"
    assert data["language"] == ["en", "zh"]
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["text-generation"]
    assert data["multilinguality"] == ["multilingual"] and data["annotations_creators"] == ["machine-generated"]
    assert [c["config_name"] for c in data["configs"]] == ["default", "en", "zh", "code", "removed"]
    for config in data["configs"]:
        for part in config["data_files"]:
            found = sorted(made.glob(part["path"]))
            assert found, f"{config['config_name']}: {part['path']} names no file"
            assert {"train": "data", "validation": "validation", "removed": "removed"}[part["split"]] == found[0].relative_to(made).parts[0]
    assert not (made / "README.zh-CN.md").read_text(encoding="utf-8").startswith("---"), "the Hub reads README.md alone"


def test_it_loads_by_its_configurations(made: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    assert datasets.load_dataset(str(made), "zh", split="validation", cache_dir=str(tmp_path)).num_rows == 5
    for name, split, rows in ((None, "train", 90), ("removed", "removed", 2)):
        assert sum(1 for _ in datasets.load_dataset(str(made), name, split=split, streaming=True)) == rows


def test_one_licence_of_all_documents_is_named_and_a_link_needs_an_address(tmp_path: Path) -> None:
    rows = {("data", "en"): [row(i, "en", licence="CC0-1.0") for i in range(9)]}
    facts = Facts(open_release(str(make_release(tmp_path, rows))))
    assert front_matter(facts)["license"] == "cc0-1.0" and "license_name" not in front_matter(facts)
    rows["data", "en"][0]["licence"] = None
    facts = Facts(open_release(str(make_release(tmp_path / "mixed", rows))))
    assert front_matter(facts)["license"] == "other" and "license_link" not in front_matter(facts)
    assert front_matter(facts, "org/name")["license_link"] == "https://huggingface.co/datasets/org/name#sources-and-licences"


@pytest.mark.parametrize(
    ("rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B"), (10**13, "n>1T")],
)
def test_size_categories(rows: int, name: str) -> None:
    assert size_category(rows) == name


def test_the_same_release_gives_the_same_bytes_wherever_it_lies(made: Path, tmp_path: Path) -> None:
    before = digests(made)
    copy = tmp_path / "elsewhere" / "small@1.0"
    shutil.copytree(made, copy, ignore=lambda _, names: [n for n in names if n == "figures" or n in (*CARDS, "croissant.json")])
    written = card(copy)
    assert digests(copy) == before
    assert sorted(written) == sorted(str(copy / name) for name in before if is_card_file(name))
    assert not (copy / ".tmp").exists()
    for name in before:
        if is_card_file(name):
            text = (made / name).read_text(encoding="utf-8")
            assert str(made.parent) not in text and "/tmp" not in text, f"{name} names a folder"
            assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text), f"{name} names the machine"


def test_pictures_of_an_older_card_go(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "small@1.0"
    shutil.copytree(made, copy)
    (copy / "figures" / "old.svg").write_text("<svg/>")
    card(copy)
    assert digests(copy) == digests(made)


def test_a_card_elsewhere(made: Path, tmp_path: Path) -> None:
    card(made, out=tmp_path / "skypile.md")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["skypile-figures", "skypile.md", "skypile.zh-CN.md"]
    english = (tmp_path / "skypile.md").read_text(encoding="utf-8")
    assert english.startswith("# small 1.0") and "(skypile.zh-CN.md)" in english
    pictures = re.findall(r"\]\((skypile-figures/[^)]+)\)", english)
    assert pictures and all((tmp_path / name).exists() for name in pictures)
    card(made, out=tmp_path / "zh" / "only.md", languages=["zh"])
    assert (tmp_path / "zh" / "only.zh-CN.md").exists() and not (tmp_path / "zh" / "only.md").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"languages": ["fr"]}, "no card in 'fr'"), ({"out": "card.txt"}, "end in .md"), ({"repo": "a b"}, "ORG/NAME"), ({"published": "today"}, "YYYY-MM-DD")],
)
def test_what_cannot_be_written_is_refused_by_a_sentence(made: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(PipelineError, match=says):
        card(made, **settings)


# --- numbers -------------------------------------------------------------------------------------------------------------------------


def rows_in(folder: Path) -> list[dict[str, Any]]:
    """Every row of data/ and validation/, one by one: the slow way."""
    files = [*sorted(folder.glob("data/*/*.parquet")), *sorted(folder.glob("validation/*/*.parquet"))]
    return [{**r, "split": f.relative_to(folder).parts[0]} for f in files for r in pq.read_table(f).to_pylist()]


def test_every_number_follows_from_the_rows(made: Path) -> None:
    check_numbers(made)


def check_numbers(folder: Path) -> None:
    """Compare the card's tables with counts made row by row."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    rows = rows_in(folder)
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    assert title is not None
    glance = tables(text, title[1])[0]
    domains = glance[0][1:-1]
    assert set(domains) == {r["domain"] for r in rows}

    def by_domain(rows: list[dict[str, Any]], key: str | None = None) -> list[int]:
        found = [sum(r[key] if key else 1 for r in rows if r["domain"] == d) for d in domains]
        return [*found, sum(found)]

    train, held = [r for r in rows if r["split"] == "data"], [r for r in rows if r["split"] == "validation"]
    assert list(map(number, glance[1][1:])) == by_domain(train)
    assert list(map(number, glance[2][1:])) == by_domain(held)
    assert list(map(number, glance[3][1:])) == by_domain(train, "token_count")
    assert list(map(number, glance[4][1:])) == by_domain([{**r, "used": r["token_count"] * r["repeats"]} for r in train], "used")
    assert [c.split(" … ")[-1] for c in glance[6][1:-1]] == [max(r["date"] for r in rows if r["domain"] == d)[:10] for d in domains]

    funnel = tables(text, "How it was made")[0]
    for column in range(1, len(funnel[0])):
        read, *dropped, trained, validated = (number(line[column]) for line in funnel[1:])
        assert read - sum(dropped) == trained + validated, f"column {funnel[0][column]} does not add up"

    gone = sum(number(line[-1]) for line in funnel[2:-2])
    reasons = tables(text, "Why documents left")[0][1:]
    assert all(line[4] == f"{number(line[3]) / gone:.2%}" for line in reasons)
    assert sum(number(line[3]) for line in reasons) == gone or len(reasons) == 20

    used = sum(r["token_count"] * r["repeats"] for r in train)
    for line in tables(text, "Shares against the plan")[0][1:]:
        mine = sum(r["token_count"] * r["repeats"] for r in train if r["domain"] == line[0].removesuffix(" (binds)"))
        assert line[2] == f"{mine / used:.2%}" and number(line[4]) == mine

    sources = tables(text, "Sources and licences")
    assert {line[0]: (number(line[5]), number(line[6])) for line in sources[0][1:]} == {
        s: (sum(r["source"] == s for r in rows), sum(r["token_count"] for r in rows if r["source"] == s)) for s in {r["source"] for r in rows}
    }
    assert sum(number(line[3]) for line in sources[0][1:]) == number(funnel[1][-1]), "what was read"
    assert {line[0]: number(line[-1]) for line in sources[1][1:]} == Counter(r["licence"] for r in rows)

    spoken = {line[0]: list(map(number, line[1:])) for line in tables(text, "Language, script and length")[0][1:]}
    for language in {r["language"] for r in rows}:
        assert spoken[language or "not judged"] == by_domain([r for r in rows if r["language"] == language])
    for line in tables(text, "Length")[0][1:]:
        domain, what = line[0].split(", ")
        values = sorted(r[{"tokens": "token_count", "characters": "characters"}[what]] for r in rows if r["domain"] == domain)
        expected = [values[-(-len(values) * share // 100) - 1] for share in (5, 25, 50, 75, 95, 100)]
        assert list(map(number, line[2:])) == expected, line
        assert line[1] == f"{sum(values) / len(values):,.0f}"

    for line in tables(text, "Grades: quality")[0][1:]:
        grades = [r["quality"] for r in rows if r["domain"] == line[0] and r["quality"] is not None]
        assert number(line[1]) == len(grades)
        expected_shares = [f"{sum(min(int(g), 4) == k for g in grades) / len(grades):.2%}" for k in range(5)]
        assert line[3:] == expected_shares
    topics = Counter(r["topic"] for r in rows if r["topic"] is not None)
    listed = {line[0]: number(line[-1]) for line in tables(text, "Labels: topic")[0][1:]}
    assert all(listed[name] == n for name, n in topics.items() if name in listed) and sum(listed.values()) == topics.total()
    for line in tables(text, "Sensitive content and other flags")[0][1:]:
        shares = [r[line[0]] for r in rows if r[line[0]] is not None]
        edges = [0.0, 0.05, 0.1, 0.2]
        expected = [sum(v == 0 for v in shares)] + [sum(a < v <= b for v in shares) for a, b in zip(edges, [*edges[1:], 1.0], strict=True)]
        assert list(map(number, line[1:7])) == [*expected, len(rows) - len(shares)]

    left = number(funnel[1][-1])
    given = {}
    for line in funnel[2:-2]:
        given[line[0].removeprefix("− `")] = (left, number(line[-1]))
        left -= number(line[-1])
    for line in tables(text, "Duplicates")[0][1:]:
        assert given.get(line[0], (number(line[2]), 0)) == (number(line[2]), number(line[3]))
        assert line[4] == f"{number(line[3]) / number(line[2]):.2%}"

    clusters = tables(text, "Duplicates")[1][1:]
    assert [number(c) for c in clusters[0][1:]] == by_domain([r for r in rows if (r["cluster_size"] or 1) < 2])
    assert sum(number(line[-1]) for line in clusters) == len(rows)

    for line in tables(text, "Personal data")[0][1:]:
        values = [r[line[0]] for r in rows if r["domain"] == line[1] and r[line[0]] is not None]
        assert list(map(number, line[2:])) == [len(values), sum(v > 0 for v in values), sum(values)]
    for line in tables(text, "Columns")[0][1:]:
        if not line[0].endswith("/"):
            assert line[2] == f"{sum(r[line[0]] is not None for r in rows) / len(rows):.0%}", line


def test_a_tally_is_a_sorted_list(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.setattr("pipeline.publish.facts._SPARE", 5)
    values = np.random.default_rng(1).integers(0, 50, 1000)
    tally = Tally()
    for part in np.array_split(values, 7):
        tally.add(part)
    ordered = sorted(values.tolist())
    assert (tally.rows, tally.total, tally.quantile(0), tally.quantile(1)) == (1000, sum(ordered), ordered[0], ordered[-1])
    assert [tally.quantile(q / 100) for q in range(1, 100)] == [ordered[-(-1000 * q // 100) - 1] for q in range(1, 100)]
    assert tally.within(10, 20) == sum(10 <= v <= 20 for v in ordered)
    assert Tally().rows == Tally().total == Tally().quantile(0.5) == 0


def test_what_the_recipe_lacks_is_a_limit(tmp_path: Path, made: Path) -> None:
    said = (made / "README.md").read_text(encoding="utf-8")
    assert "**These texts were not scrubbed** (source, domain, documents): `web` (en, 35), `web` (zh, 35)." in said
    assert "**Not done.** The recipe has no `decontaminate` stage" in said and "Benchmarks were not looked for." in said
    assert "Of the rows of `removed/`, 1 show no text" in said
    stages = [*RECIPE["stages"], {"scrub": {}}, {"decontaminate": {"against": ["/private/gsm8k.jsonl"]}}]
    folder = tmp_path / "clean@1.0"
    rows = {key: [{**r, "pii_email": 1} for r in some] for key, some in rows_of().items()}
    make_release(folder, rows, recipe={**RECIPE, "stages": stages})
    facts = Facts(open_release(str(folder)))
    said = page(facts, "en")
    assert "not scrubbed" not in said and "Looked for: `gsm8k.jsonl`." in said and "/private" not in said


def test_shortage_is_said_in_both_languages(tmp_path: Path) -> None:
    sentences = [
        "zh/social: wanted 5.50%, had 3.10% at 4 epochs; the rest went to zh/web",
        "en/books: wanted 1.00%, had nothing; the rest went to en/web",
        "wanted 1,000,000 tokens, had 900,000 at these shares: zh has no more at max_epochs",
        "stem: maths is to give 1,000 tokens and has 10; it will be repeated",
    ]
    for sentence in sentences:
        assert re.search(r"[\u4e00-\u9fff]", shortage_zh(sentence)), sentence
        assert Counter(re.findall(r"\d[\d.,]*\d|\d", shortage_zh(sentence))) == Counter(re.findall(r"\d[\d.,]*\d|\d", sentence))
    assert shortage_zh("something else") == "something else"
    facts = Facts(open_release(str(make_release(tmp_path / "short@1.0", shortage=sentences))))
    assert "- zh/social: wanted 5.50%" in page(facts, "en") and "- zh/social：计划 5.50%" in page(facts, "zh")


def test_a_mix_in_another_unit(tmp_path: Path) -> None:
    size = {f"{k}_gpt2": 9 for k in ("tokens", "unique_tokens")} | {"unique_tokens_gpt2_available": 12}
    share = {"share": 0.6, "share_wanted": 0.5, "tokens": 60, "unique_tokens": 60, "documents": 3, "epochs": 1.0, "max_epochs": 2.0, "binding": False, **size}
    folder = make_release(tmp_path / "gpt2@1.0", domains={"en": share})
    mixture = json.loads((folder / "mixture.json").read_text(encoding="utf-8"))
    (folder / "mixture.json").write_text(json.dumps({**mixture, "unit": "tokens_gpt2"}), encoding="utf-8")
    english, chinese = (page(Facts(open_release(str(folder))), language) for language in ("en", "zh"))
    assert tables(english, "Shares against the plan")[0][1][4:7] == ["9", "9", "12"]
    assert "tokens of `gpt2`" in english and "`gpt2` 词元" in chinese and "`token_count_gpt2 × repeats`" in english


def test_a_schedule_is_a_table(tmp_path: Path) -> None:
    ramp = {"from": 0.1, "to": 0.4, "ramp": "quadratic"}
    part = {"name": "stem", "select": {}, "share": ramp, "mean": 0.2, "tokens": 200, "tokens_available": 100}
    phases = [{"name": "main", "tokens": 9000, "slices": [], "rest": {"mean": 1.0, "tokens": 9000}}]
    phases += [{"name": "stage2", "tokens": 1000, "slices": [part], "rest": {"mean": 0.8, "tokens": 800}}]
    folder = make_release(tmp_path / "phases@1.0", schedule={"unit": "tokens", "total": 10_000, "phases": phases, "shortage": ["stage2: stem is to give …"]})
    text = page(Facts(open_release(str(folder))), "en")
    assert tables(text, "Shares against the plan")[1][1:] == [
        ["main", "the rest", "–", "–", "–", "100.00%", "9,000"],
        ["stage2", "stem", "quadratic", "10.00%", "40.00%", "20.00%", "200"],
        ["stage2", "the rest", "–", "–", "–", "80.00%", "800"],
    ]
    assert "- stage2: stem is to give" in text


def test_parts_of_a_domain_stand_under_it(tmp_path: Path) -> None:
    share = {
        "share": 0.6,
        "share_wanted": 0.5,
        "tokens": 60,
        "unique_tokens": 60,
        "unique_tokens_available": 70,
        "documents": 3,
        "epochs": 1.0,
        "max_epochs": 2.0,
    }
    part = {**share, "share": 0.2, "binding": True}
    folder = make_release(tmp_path / "parts@1.0", domains={"en": {**share, "binding": False, "parts": {"web": share, "books": part}}})
    shown = tables(page(Facts(open_release(str(folder))), "en"), "Shares against the plan")[0]
    assert [line[0] for line in shown[1:]] == ["en", "en / web", "en / books (binds)"]


def test_a_release_without_scores_code_or_recipe(tmp_path: Path) -> None:
    """An older release, or one of another maker: what is not there is not spoken of."""
    schema = pa.schema([f for f in RELEASE if f.name not in ("characters", "text_bytes", "filter_trace") and not f.name.startswith("pii_")])
    folder = make_release(tmp_path / "old@1.0", rows_of(("en",)), recipe=None, schema=schema)
    card(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "nothing was scored" in text and "no stage that removes duplicates" in text
    assert sorted(p.name for p in (folder / "figures").iterdir()) == ["funnel.svg", "lengths.svg", "shares.svg"]
    assert [c["config_name"] for c in yaml.safe_load(text.split("---")[1])["configs"]] == ["default", "en"]


# --- both languages -------------------------------------------------------------------------------------------------------------------


def check_twins(english: str, chinese: str) -> None:
    one, two = outline(english), outline(chinese)
    assert [level for level, _ in one] == [level for level, _ in two], "the headings differ"
    for i, ((_, a), (_, b)) in enumerate(zip(one, two, strict=True)):
        assert a == b, f"section {i}: only in English {a - b}, only in Chinese {b - a}"


def test_both_cards_say_the_same(made: Path) -> None:
    english, chinese = ((made / name).read_text(encoding="utf-8") for name in CARDS)
    check_twins(english, chinese)
    assert sum("\u4e00" <= c <= "\u9fff" for c in chinese) > 1500 and not re.search(r"[\u4e00-\u9fff]", english.replace("简体中文", ""))


@pytest.mark.parametrize("name", ["README.md", "data_cards/skypile.md"])
def test_both_pages_of_the_repository_say_the_same(name: str) -> None:
    check_twins((ROOT / name).read_text(encoding="utf-8"), (ROOT / name.replace(".md", ".zh-CN.md")).read_text(encoding="utf-8"))


def settled(text: str) -> str:
    """A card without what depends on installed versions: fingerprints, and the table of engines."""
    text = re.sub(r"\b[0-9a-f]{12,}\b", "…", text)
    text = re.sub(r"(?m)^(- pyarrow[:：]) ?`.*`$", r"\1", text)
    return re.sub(r"(?ms)^\| (?:stage \| engines|阶段 \| 引擎).*?\n\n", "", text)


def test_the_samples_card_is_current(finished: Finished, tmp_path: Path) -> None:
    card(finished.release.path, out=tmp_path / "skypile.md")
    for path in sorted(tmp_path.rglob("*.*")):
        if path.is_file():
            name = path.relative_to(tmp_path)
            committed = ROOT / "data_cards" / name
            assert committed.exists() and settled(committed.read_text(encoding="utf-8")) == settled(path.read_text(encoding="utf-8")), (
                f"data_cards/{name} is not what the release says now. Write it anew: {REGENERATE}"
            )


def test_the_samples_numbers_follow_from_its_rows(finished: Finished, tmp_path: Path) -> None:
    copy = tmp_path / finished.name
    shutil.copytree(finished.release.path, copy)
    card(copy)
    check_numbers(copy)


def test_the_recipe_of_a_release_runs_as_it_is(finished: Finished, world: World) -> None:
    again = pipeline.Recipe.load(Path(finished.release.path) / "recipe.json", world.inputs)
    assert json.dumps(again.dump()) == json.dumps(world.recipe().dump()), "the order of bounds decides which of them is the reason"


# --- hostile strings -------------------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b | c",
    "`</code><b>`` ` |",
    "[click](https://evil.example)",
    "![p](https://evil.example/p.png)",
    "https://evil.example/now",
    "line\n\n# heading\n\n| x |",
    "</summary></details><h1>out</h1>",
    "*bold* _it_ ~~x~~ $math$ &lt;b&gt;",
    "\u202egpj.exe\u200b",
    "--- \nlicense: mit",
    "}\\write18{x}",
]
TAGS = {
    "h1", "h2", "h3", "p", "a", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "strong", "em", "ul", "li", "blockquote", "img", "details", "summary",
}  # fmt: skip


class Seen(HTMLParser):
    """Tags, addresses and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.addresses |= {value or "" for name, value in attrs if name in ("href", "src")}


def seen(text: str) -> Seen:
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    found = Seen()
    found.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))
    return found


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release in which every string that comes from outside is an attack."""
    rows = rows_of(train=len(HOSTILE))
    for some in rows.values():
        for r, bad in zip(some, HOSTILE, strict=False):
            r.update(licence=bad, language=bad, script=bad, topic=bad if r["topic"] else None, url=bad, date=bad, programming_language=bad)
    stages = [
        *RECIPE["stages"],
        {"licences": {"allow": HOSTILE}},
        {"decontaminate": {"against": HOSTILE}},
        {"filter": {"name": HOSTILE[0], "bounds": {HOSTILE[1]: {"min": 1.0}}, "for": {"subdomain": HOSTILE}}},
    ]
    sources = {"web": {"reader": HOSTILE[0], "files": HOSTILE, "licence": HOSTILE[4]}, "code": {"reader": "code", "files": "x'; rm", "licence": HOSTILE[3]}}
    recipe = {**RECIPE, "policy": "\n".join(HOSTILE), "sources": sources, "stages": stages}
    dropped = [{"stage": bad, "domain": "en", "reason": f"licence {bad}", "documents": 2, "bytes": 2} for bad in HOSTILE]
    dropped += [{"stage": "decontaminate", "domain": bad, "reason": bad, "documents": 1, "bytes": 1} for bad in HOSTILE[:3]]
    table = {"documents": 1, "text_bytes": 1, "tokens_with_repeats": 1, "share_of_bytes": 0.1}
    tables_ = {"languages": dict.fromkeys(HOSTILE, table), "licences": dict.fromkeys(HOSTILE, table), "asked": {}}
    folder = tmp_path_factory.mktemp("hostile") / "bad@1.0"
    make_release(folder, rows, recipe=recipe, dropped=dropped, skipped=dict.fromkeys(HOSTILE, 3), shortage=HOSTILE, code=tables_)
    card(folder, creator=HOSTILE[0])
    return folder


def test_hostile_strings_stay_text(hostile: Path) -> None:
    for name in CARDS:
        text = (hostile / name).read_text(encoding="utf-8")
        found = seen(text)
        assert set(found.tags) <= TAGS, set(found.tags) - TAGS
        assert found.attributes <= {"href", "src", "alt", "style", "class"}, found.attributes
        assert all(re.fullmatch(r"figures/[\w-]+\.svg|README(\.zh-CN)?\.md", a) for a in found.addresses), found.addresses
        assert (found.tags["details"], found.tags["summary"]) == (1, 1)
        assert not any(0x202A <= ord(c) <= 0x202E or c == "\u200b" for c in text)
        block: list[int] = []
        for line in [*without_code(text), ""]:
            if line.startswith("|"):
                block.append(len(re.findall(r"(?<!\\)\|", line)))
            elif block:
                assert len(set(block)) == 1, f"a table lost its shape: {block}"
                block = []
        assert len(re.findall(r"https?://evil", re.sub(r"`[^`]*`", "", text))) == 0, "an address outside a code span becomes a link on the Hub"


def test_hostile_strings_leave_headings_and_front_matter_alone(hostile: Path, made: Path) -> None:
    english, chinese = ((hostile / name).read_text(encoding="utf-8") for name in CARDS)
    check_twins(english, chinese)
    plain_ = [line for line in without_code((made / "README.md").read_text(encoding="utf-8")) if re.match(r"#{2,3} ", line)]
    assert [line for line in without_code(english) if re.match(r"#{2,3} ", line)] == plain_
    assert set(yaml.safe_load(english.split("\n---\n")[0].removeprefix("---\n"))["configs"][0]) == {"config_name", "data_files", "default"}


@pytest.mark.parametrize("bad", HOSTILE)
def test_a_foreign_string_is_one_code_span_or_plain_words(bad: str) -> None:
    render = MarkdownIt("commonmark", {"html": True}).enable("table").render
    span = render(f"| a |\n| --- |\n| {code(bad)} |\n")
    assert span.count("<td>") == 1 and span.count("<code>") == 1 and set(re.findall(r"<(\w+)", span)) == {"table", "thead", "tbody", "tr", "th", "td", "code"}
    assert set(re.findall(r"<(\w+)", render(f"> {plain(bad)}"))) <= {"blockquote", "p"}


def test_nothing_is_a_dash_and_long_strings_end() -> None:
    assert code(None) == code("  \n") == "–"
    assert len(code("x" * 1000)) == 122
    assert [size(n) for n in (0, 999, 1000, 999_499, 999_600, 12_345_678, 10**18)] == ["0 B", "999 B", "1 kB", "999 kB", "1 MB", "12.3 MB", "1e+03 PB"]


# --- pictures --------------------------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_pictures_are_safe_and_read_on_white_and_on_black(made: Path, hostile: Path) -> None:
    for folder in (made, hostile):
        pictures = sorted((folder / "figures").glob("*.svg"))
        referenced = set(re.findall(r"\]\((figures/[^)]+)\)", (folder / "README.md").read_text(encoding="utf-8")))
        assert referenced == {f"figures/{p.name}" for p in pictures}
        for picture in pictures:
            tree = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
            assert {e.tag.rpartition("}")[2] for e in tree.iter()} <= {"svg", "title", "text", "rect", "path"}
            assert not any(name.startswith("on") or "href" in name for e in tree.iter() for name in e.attrib)
            box = float(tree.attrib["width"])
            for element in tree.iter():
                if element.tag.endswith("text"):
                    shade = luminance(element.attrib["fill"])
                    assert min(1.05 / (shade + 0.05), (shade + 0.05) / (luminance("#0d1117") + 0.05)) > 4
                if element.tag.endswith("rect"):
                    assert float(element.attrib["x"]) >= 0 and float(element.attrib["x"]) + float(element.attrib["width"]) <= box


def test_a_bar_is_as_long_as_its_number() -> None:
    svg = ElementTree.fromstring(bars(("a", "b"), [Bar("one", (("en", 10.0), ("zh", 30.0))), Bar("two", (("en", 20.0),))], ["en", "zh"]))
    widths = [float(e.attrib["width"]) for e in svg.iter() if e.tag.endswith("rect")][2:]  # after the legend's
    assert widths[1] / widths[0] == pytest.approx(3, rel=0.01) and widths[2] / widths[0] == pytest.approx(2, rel=0.01)


def test_an_empty_funnel_still_draws() -> None:
    ElementTree.fromstring(bars(("a", "b"), [Bar("none", ())], []))


def test_card_files_are_told_from_the_releases_own(made: Path) -> None:
    listed = json.loads((made / "manifest.json").read_text(encoding="utf-8"))["files"]
    beside = {name for name in digests(made) if name not in listed} - {"manifest.json"}
    assert beside == {name for name in digests(made) if is_card_file(name)}
    assert len(SCORES) == 9 and not any(is_card_file(name) for name in listed)
