"""Write pipeline/measures/script_characters.txt: the characters of simplified Chinese only (line 1) and of traditional only (line 2).

From OpenCC's character tables (Apache-2.0), as opencc-python-reimplemented 0.1.7 ships them in plain text. A character that either script may
use for itself (后, 里, 干) is in neither line. Run by hand when OpenCC's tables change; that raises measures.language.VERSION.

    python benchmarks/make_script_table.py
"""

import importlib.resources
from pathlib import Path


def mapping(name: str) -> dict[str, list[str]]:
    """A table of OpenCC: character -> what it may become, itself perhaps among it."""
    text = importlib.resources.files("opencc").joinpath(f"dictionary/{name}.txt").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if "\t" in line)
    return {key: values.split() for key, values in rows if len(key) == 1}


def main() -> None:
    to_traditional, to_simplified = mapping("STCharacters"), mapping("TSCharacters")
    hans = [c for c, values in to_traditional.items() if c not in values and c not in to_simplified]
    hant = [c for c, values in to_simplified.items() if c not in values and c not in to_traditional]
    lines = ["".join(sorted(c for c in side if ord(c) < 0x10000)) for side in (hans, hant)]
    out = Path(__file__).resolve().parents[1] / "pipeline/measures/script_characters.txt"
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines[0])} simplified only, {len(lines[1])} traditional only -> {out}")


if __name__ == "__main__":
    main()
