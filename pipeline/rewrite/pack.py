"""Files of one repository as one document: in the order of their dependencies, each under a line with its path. DeepSeek-Coder 2024, section 2.2.

A file comes after those that it includes or imports from the same repository, as far as names say it; where they go in a circle, the first by path
begins. Nothing is parsed: lines of imports are read, and paths looked up.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence

VERSION = 1

_INCLUDE = re.compile(r'^\s*#\s*(?:include|import)\s+"([^"\n]+)"', re.MULTILINE)  # C, C++, Objective-C
_PYTHON = re.compile(r"^\s*(?:from\s+(\.*[\w.]*)\s+import\s+([\w, ()*]+)|import\s+([\w., ]+))", re.MULTILINE)
_SCRIPT = re.compile(r"""(?:\bfrom\s+|\brequire\(\s*|\bimport\(\s*|^\s*import\s+)["'](\.{1,2}/[^"'\n]+)["']""", re.MULTILINE)  # JavaScript, TypeScript
_DOTTED = re.compile(r"^\s*import\s+(?:static\s+)?([\w.]+)(?:\.\*)?\s*;?", re.MULTILINE)  # Java, Kotlin, Scala
_RUST = re.compile(r"^\s*(?:pub(?:\([\w: ]+\))?\s+)?mod\s+(\w+)\s*;|\buse\s+crate::(\w+)", re.MULTILINE)
_RUBY = re.compile(r"""^\s*require_relative\s+["']([^"'\n]+)["']""", re.MULTILINE)
_GO = re.compile(r'^\s*(?:import\s+)?(?:\w+\s+)?"([\w./-]+)"\s*$', re.MULTILINE)
_SCRIPTS = ("", ".js", ".ts", ".tsx", ".jsx", ".mjs", ".cjs", ".vue", "/index.js", "/index.ts", "/index.tsx")


class _Paths:
    """A repository's files by path and by the ends of their paths."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.at = {path: i for i, path in enumerate(paths)}
        self.ends: dict[str, list[int]] = {}
        self.folders: dict[str, list[int]] = {}
        for i, path in enumerate(paths):
            parts = path.split("/")
            for k in range(len(parts)):
                self.ends.setdefault("/".join(parts[k:]), []).append(i)
            for k in range(len(parts) - 1):
                self.folders.setdefault("/".join(parts[k:-1]), []).append(i)

    def ending(self, end: str) -> list[int]:
        """The one file whose path ends so; none where several do."""
        found = self.ends.get(end, [])
        return found if len(found) == 1 else []


def _named(path: str, text: str, paths: _Paths) -> Iterator[int]:
    """The files that a file names as what it needs; itself perhaps among them."""
    folder, ending = posixpath.dirname(path), path.rpartition(".")[2].lower()

    def beside(name: str) -> list[int]:
        joined = posixpath.normpath(posixpath.join(folder, name))
        return [paths.at[joined]] if joined in paths.at else []

    if ending in ("c", "h", "cc", "cpp", "cxx", "hpp", "hh", "m", "mm", "cu", "cuh"):
        for found in _INCLUDE.finditer(text):
            yield from beside(found[1]) or paths.ending(found[1].lstrip("./"))
    elif ending in ("py", "pyi", "pyx"):
        for found in _PYTHON.finditer(text):
            if found[3]:
                modules = [m.split(" as ")[0].strip().replace(".", "/") for m in found[3].split(",")]
            elif found[1].startswith("."):
                up = len(found[1]) - len(found[1].lstrip("."))
                base = posixpath.normpath(posixpath.join(folder, *[".."] * (up - 1), found[1].lstrip(".").replace(".", "/")))
                modules = [base, *(f"{base}/{name.strip()}" for name in found[2].strip("() ").split(","))]
            else:
                base = found[1].replace(".", "/")
                modules = [base, *(f"{base}/{name.strip()}" for name in found[2].strip("() ").split(","))]
            for module in modules:
                for name in (f"{module}.py", f"{module}/__init__.py"):
                    yield from ([paths.at[name]] if name in paths.at else paths.ending(name))
    elif ending in ("js", "ts", "jsx", "tsx", "mjs", "cjs", "vue", "svelte"):
        for found in _SCRIPT.finditer(text):
            yield from next((hit for end in _SCRIPTS if (hit := beside(found[1] + end))), [])
    elif ending in ("java", "kt", "scala"):
        for found in _DOTTED.finditer(text):
            yield from paths.ending(f"{found[1].replace('.', '/')}.{ending}")
    elif ending == "rs":
        inside = folder if posixpath.basename(path) in ("mod.rs", "lib.rs", "main.rs") else path.removesuffix(".rs")
        for found in _RUST.finditer(text):
            name = found[1] or found[2]
            for where in (f"{inside}/{name}.rs", f"{inside}/{name}/mod.rs", f"{folder}/{name}.rs"):
                if where.lstrip("/") in paths.at:
                    yield paths.at[where.lstrip("/")]
                    break
    elif ending == "rb":
        for found in _RUBY.finditer(text):
            yield from beside(found[1]) or beside(found[1] + ".rb")
    elif ending == "go":
        for found in _GO.finditer(text):
            parts = found[1].split("/")
            for k in range(len(parts)):  # the longest end of an import path that is a folder here
                if mine := paths.folders.get("/".join(parts[k:])):
                    yield from mine
                    break


def order(paths: Sequence[str], texts: Sequence[str]) -> list[int]:
    """The files, each after what it needs; otherwise by path. In a circle the first by path goes first."""
    known = _Paths(paths)
    needs = [sorted({j for j in _named(path, text, known) if j != i}, key=lambda j: paths[j]) for i, (path, text) in enumerate(zip(paths, texts, strict=True))]
    out: list[int] = []
    state = [0] * len(paths)  # 1: its needs are being put out, 2: it is out
    for first in sorted(range(len(paths)), key=lambda i: (paths[i], i)):
        stack = [(first, iter(needs[first]))] if state[first] == 0 else []
        state[first] = state[first] or 1
        while stack:
            file, left = stack[-1]
            following = next((j for j in left if state[j] == 0), None)
            if following is None:
                state[file] = 2
                out.append(file)
                stack.pop()
            else:
                state[following] = 1
                stack.append((following, iter(needs[following])))
    return out


def packs(paths: Sequence[str], texts: Sequence[str], marker: str, max_bytes: int) -> list[tuple[list[int], str]]:
    """(files in order, their text) of one repository: one pack, or several where it is larger than `max_bytes`. A file is never cut.

    `marker` stands before each file, with `{path}` in its place."""
    found: list[tuple[list[int], str]] = []
    held: list[int] = []
    parts: list[str] = []
    size = 0
    for i in order(paths, texts):
        part = marker.replace("{path}", paths[i]) + texts[i] + ("" if texts[i].endswith("\n") else "\n")
        if held and size + len(part.encode()) > max_bytes:
            found.append((held, "".join(parts)))
            held, parts, size = [], [], 0
        held.append(i)
        parts.append(part)
        size += len(part.encode())
    if held:
        found.append((held, "".join(parts)))
    return found
