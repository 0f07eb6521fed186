"""Who may import whom: only downward (design: rooms and layers), and heavy libraries only inside the functions that need them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# module or package -> layer; a file may import what lies lower, and siblings of its own package
LAYERS = {
    "errors": 0, "schema": 1,
    "store": 9, "kernels": 10,
    "texts": 15, "rounds": 15,
    "measures": 20, "rewrite": 20, "dedup": 20, "tokenize": 20,
    "filter": 30,
    "sources": 40, "ledger": 40, "mix": 40, "budgets": 39, "downsample": 40, "shards": 40,
    "token_shards": 45,
    "stages": 50,
    "recipe": 60,
    "planning": 70,
    "tasks": 75,
    "engine": 78, "quarantine": 78, "timings": 79,
    "runner": 80,
    "library": 85,
    "inspect": 90, "publish": 90, "train": 90,
    "__main__": 100, "__init__": 100,
}  # fmt: skip
ONE_DOOR = {
    "ray": {"engine"},
    "torch": {"train", "measures", "tokenize"},
    "triton": {"tokenize"},
    "transformers": {"measures", "tokenize", "train"},
    "fasttext": {"measures"},
    "tokenizers": {"tokenize", "measures"},
    "onnxruntime": {"measures"},
}
LAZY = {"ray", "torch", "triton", "transformers", "onnxruntime", "fasttext", "tokenizers"}
_TRAINER = {f"train/{name}.py": {"torch"} for name in ("model", "optimizers", "checkpoint", "loop", "score")}
AT_IMPORT = {"tokenize/triton_kernels.py": {"torch", "triton"}, **_TRAINER}  # a kernel is a decorated function; who needs the file imports it in a function

FILES = sorted((ROOT / "pipeline").rglob("*.py"))


def room(path: Path) -> str:
    """The first part of a module's name under `pipeline`."""
    return path.relative_to(ROOT / "pipeline").with_suffix("").parts[0]


def imports(tree: ast.AST) -> list[tuple[str, bool]]:
    """Absolute names that a file imports, and whether it does so at import time."""
    inside = {child for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for child in ast.walk(node)}
    typing_only = {child for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) for child in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node not in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "pipeline" else [node.module]
            found += [(name, node not in inside) for name in names]
    return found


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])
def test_imports_only_downward(path: Path) -> None:
    mine = room(path)
    for name, at_import in imports(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == "pipeline" and len(parts) > 1:
            theirs = parts[1]
            assert theirs in LAYERS, f"{path}: {name} has no layer; add it to the table, and to the design"
            assert theirs == mine or LAYERS[theirs] < LAYERS[mine], f"{path} ({mine}) imports {name}: only downward"
        assert parts[0] != "classifiers", f"{path}: the pipeline imports no code of classifiers"
        if parts[0] in ONE_DOOR:
            assert mine in ONE_DOOR[parts[0]], f"{path}: {parts[0]} has one door: {ONE_DOOR[parts[0]]}"
        if parts[0] in LAZY - AT_IMPORT.get(path.relative_to(ROOT / "pipeline").as_posix(), set()):
            assert not at_import, f"{path}: import {parts[0]} inside the function that needs it"
