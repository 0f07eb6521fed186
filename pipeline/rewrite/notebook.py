"""Jupyter notebooks as scripts: code cells as they are, prose cells as comments, outputs left out. StarCoder's `jupyter-scripts` (2023, section 3.1)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

VERSION = 1
_LONE = re.compile("[\ud800-\udfff]")  # which JSON can spell and UTF-8 cannot hold

_COMMENT = {"python": "#", "r": "#", "julia": "#", "bash": "#", "ruby": "#", "perl": "#", "javascript": "//", "typescript": "//", "java": "//", "scala": "//", "kotlin": "//",
            "c++": "//", "c": "//", "go": "//", "rust": "//", "csharp": "//", "c#": "//", "f#": "//", "fsharp": "//", "sql": "--", "haskell": "--", "lua": "--", "matlab": "%", "octave": "%"}  # fmt: skip


def script_of(text: str) -> str | None:
    """A notebook's cells in order, a blank line between them; None for what is no notebook of format 3 or 4.

    Magics (`%time`, `!pip`) stay as they are. A notebook without cells gives the empty text."""
    try:
        notebook = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(notebook, dict):
        return None
    cells = notebook.get("cells")
    if cells is None and isinstance(sheets := notebook.get("worksheets"), list):  # format 3
        cells = [cell for sheet in sheets if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list) for cell in sheet["cells"]]
    if not isinstance(cells, list):
        return None
    mark = _COMMENT.get(_language(notebook), "#")
    parts = [part for cell in cells if isinstance(cell, dict) for part in _cell(cell, mark)]
    return _LONE.sub("\ufffd", "\n\n".join(parts) + ("\n" if parts else ""))


def _cell(cell: dict[str, Any], mark: str) -> Iterator[str]:
    source = cell.get("source", cell.get("input", ""))
    text = "".join(s for s in source if isinstance(s, str)) if isinstance(source, list) else source if isinstance(source, str) else ""
    text = text.strip("\n")
    if text.strip():
        yield text if cell.get("cell_type") == "code" else "\n".join(f"{mark} {line}".rstrip() for line in text.split("\n"))


def _language(notebook: dict[str, Any]) -> str:
    about = notebook.get("metadata")
    about = about if isinstance(about, dict) else {}
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        if isinstance(about.get(key), dict) and isinstance(about[key].get(name), str):
            return str(about[key][name]).lower()
    return "python"


def notebooks_batch(texts: pa.Array, languages: pa.Array) -> pa.Array:
    """The texts, where the language is Jupyter Notebook as scripts. What is no notebook, in spite of its name, stays."""
    rows = [i for i, language in enumerate(languages.to_pylist()) if language == "Jupyter Notebook"]
    if not rows:
        return texts
    values = texts.to_pylist()
    for i in rows:
        if values[i] is not None and (script := script_of(values[i])) is not None:
            values[i] = script
    return pa.array(values, texts.type)
