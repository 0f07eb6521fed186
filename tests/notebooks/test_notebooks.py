"""The review notebooks run from top to bottom on the sample's release, show figures and tables, and are kept in git without what they showed."""

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import pipeline
from tests.running import ENVIRONMENT, ROOT, Finished

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 240  # for one cell, on a machine that does much else


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def sources() -> list[tuple[str, str]]:
    """Every piece of Python there: the cells, and what they share."""
    found = [(f"{p.name}: {c['id']}", "".join(c["source"])) for p in NOTEBOOKS for c in cells(p) if c["cell_type"] == "code"]
    return [*found, *((p.name, p.read_text(encoding="utf-8")) for p in sorted(FOLDER.glob("*.py")))]


# --- as they are kept -----------------------------------------------------------------------------------------------------------------


def test_there_are_four() -> None:
    assert [p.name[:2] for p in NOTEBOOKS] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_that_was_shown_is_kept(path: Path) -> None:
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    assert whole["metadata"] == {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    for cell in whole["cells"]:
        assert cell["metadata"] == {}
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
    assert not re.search(r"/(?:home|root|tmp|Users|work/)\b", path.read_text(encoding="utf-8").replace("work/notebooks", "").replace("work/releases", ""))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_have_names_of_their_own(path: Path) -> None:
    """Names, not random ids: a change of one cell is a change of that cell."""
    ids = [c["id"] for c in cells(path)]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z]+(?:-[a-z]+)*", i) for i in ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_section_has_a_line_of_chinese(path: Path) -> None:
    for cell in cells(path):
        if cell["cell_type"] == "markdown":
            assert re.search(r"[一-鿿]", cell["source"][-1]), f"{cell['id']} ends without one"
        else:
            assert not re.search(r"[一-鿿]", "".join(cell["source"])), "a figure's font may have no Han characters"


def test_they_use_public_names_only() -> None:
    used = set()
    for where, text in sources():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] != "pipeline", f"{where} imports from {node.module}"
            elif isinstance(node, ast.Import):
                assert all(not a.name.startswith("pipeline.") for a in node.names), where
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pipeline":
                assert node.attr in pipeline.__all__, f"{where}: pipeline.{node.attr} is not public"
                used.add(node.attr)
    assert {"open_release", "run", "Recipe", "measure", "diff"} <= used


# --- as they run ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished work folder, in which notebook 04 makes a release of its own."""
    folder = tmp_path_factory.mktemp("notebooks") / "work"
    shutil.copytree(finished.work, folder)
    return folder


@pytest.fixture
def run_notebook(work: Path, finished: Finished) -> Any:
    for name in ("nbclient", "ipykernel", "matplotlib", "duckdb", "pandas"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install -e '.[notebooks]'")
    import nbformat
    from nbclient import NotebookClient

    def run(path: Path) -> Any:
        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
        client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}})
        environment = {**ENVIRONMENT, "SKYPILE_RELEASE": f"{work}/releases/{finished.name}", "SKYPILE_WORK": str(work)}
        environment.pop("SKYPILE_OTHER", None)
        client.execute(env={k: v for k, v in environment.items() if k != "MPLBACKEND"})
        return notebook

    return run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_and_shows_figures_and_tables(path: Path, run_notebook: Any) -> None:
    notebook = run_notebook(path)
    outputs = [(c["id"], o) for c in notebook.cells for o in c.get("outputs", ())]
    assert not [i for i, o in outputs if o["output_type"] == "error"]
    assert not [o["text"] for _, o in outputs if o["output_type"] == "stream" and o["name"] == "stderr" and "Warning" in o["text"]]
    pictures = {i for i, o in outputs if "image/png" in o.get("data", {})}
    tables = {i: o["data"]["text/html"] for i, o in outputs if "<table" in o.get("data", {}).get("text/html", "")}
    assert pictures == {c["id"] for c in notebook.cells if c["id"].endswith("-plot")} and pictures
    assert set(tables) == {c["id"] for c in notebook.cells if c["id"].endswith("-table")} and tables
    assert all(table.count("<tr") > 1 for table in tables.values()), "no table is empty"
    if path.stem.startswith("04"):
        for words in ("stages.gopher_quality.bounds.word_count.min", "stages.shape_zh.bounds.newline_per_100_characters.max"):
            assert words in tables["recipe-table"] and words in tables["verdicts-table"]


def test_the_sample_that_they_make_is_one_of_the_flagship(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[notebooks]'")
    pytest.importorskip("IPython", reason="IPython is not installed: pip install -e '.[notebooks]'")
    monkeypatch.syspath_prepend(str(FOLDER))
    import pandas
    import review

    recipe = pipeline.Recipe.load("skypile", review.SMALL)
    assert {name: source.files for name, source in recipe.sources.items()} == {name: (files,) for name, files in review.SMALL.items()}
    shown = review.show(pandas.DataFrame({"text": ["<script>alert(1)</script>", None], "n": [1234.0, float("nan")]})).data
    assert "<script" not in shown and "&lt;script&gt;" in shown and "1,234" in shown and "nan" not in shown.lower()
