"""`report`: one HTML file that a person reviews a run by. Funnel, bounds that can be moved, examples, near-duplicates, shares, time and cost.

The file loads nothing and sends nothing: its style and script are inline and named by their hashes in its content security policy, which
forbids all else. Text of documents stands in it as JSON, and reaches the page as text nodes only. It speaks English and Chinese; a button
changes over. The same run gives the same file, but for the seconds.
"""

import base64
import hashlib
import html
import importlib.resources
import json
import os
import re
import uuid
from pathlib import Path
from typing import Any

from pipeline.errors import PlanError
from pipeline.inspect.report.gather import gather
from pipeline.planning import Plan
from pipeline.store import full_disk_told

LANGUAGES = ("en", "zh")


def report(plan: Plan, out: str | Path, *, language: str = "en", price: float | None = None, examples: int = 12) -> Path:
    """Write the review page of what this plan's run has made so far, whole or not at all, and return its path.

    `language`: the one it opens in. `price`: of a core-hour, in any currency; it can be changed on the page. `examples`: at most so many
    documents of each reason. Raises PlanError where nothing has been run, or for another language.
    """
    if language not in LANGUAGES:
        raise PlanError(f"The review page speaks {' and '.join(LANGUAGES)}, not '{language}'. Use --lang en or --lang zh; a button on the page changes over.")
    if not any(plan.done(0, u) for u in range(len(plan.units))):
        raise PlanError("Nothing has been run with this recipe in this work folder yet: `python -m pipeline run` first.")
    written = page({**gather(plan, examples), "language": language, "price": price})
    path = Path(out)
    with full_disk_told(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
        try:
            temporary.write_text(written, encoding="utf-8", newline="\n")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def page(data: dict[str, Any]) -> str:
    """The page of what `gather` found."""
    style, script, words = (_part(name) for name in ("page.css", "page.js", "words.json"))
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    parts = {
        "policy": policy,
        "title": html.escape(f"{data['name']}@{data['version']}"),
        "noscript": "This page needs JavaScript. 本页需要 JavaScript。",
        "style": style,
        "script": script,
        "words": embedded(json.loads(words)),
        "data": embedded(data),
    }
    return re.sub(r"\{(\w+)\}", lambda m: parts[m.group(1)], _part("page.html"))  # in one pass: what is put in is not looked through again


def embedded(value: Any) -> str:
    """JSON that may stand in a script element, whatever text is in it: no `<`, no line ends of JavaScript."""
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029]", lambda m: f"\\u{ord(m.group()):04x}", plain)


def _part(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


__all__ = ["LANGUAGES", "embedded", "page", "report"]
