"""From a trained model to the folder that ships: the int8 network, the tokenizer, the student, and `model.toml` with their sha256.

The pipeline opens a bundled model by the sha256 of its model.toml, which stands in `pipeline/store.py`; `pin` writes it there.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from classifiers.data import draw
from classifiers.export import export_onnx, quantise, sha256
from classifiers.finetune import Tuned

CALIBRATION = 256  # texts


def write_network(tuned: Tuned, folder: Path, texts: Sequence[str]) -> None:
    """`model.onnx` and `tokenizer.json`, calibrated on a hashed choice of `texts`."""
    chosen = sorted(texts, key=lambda t: draw(t, "calibration"))[:CALIBRATION]
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        export_onnx(tuned.model, plain)
        quantise(plain, folder / "model.onnx", tuned.encode(chosen))
    shutil.copyfile(Path(tuned.settings.base) / "tokenizer.json", folder / "tokenizer.json")


def write_description(folder: Path, about: Mapping[str, Any], files: Sequence[str]) -> str:
    """Write model.toml: what is said of the model, and its files by sha256. Returns its own sha256."""
    path = folder / "model.toml"
    path.write_text(toml({**about, "files": {name: sha256(folder / name) for name in files}}), encoding="utf-8")
    return sha256(path)


def pin(name: str, digest: str) -> None:
    """Write the sha256 of a bundled model's model.toml into the store's list."""
    path = Path(__file__).parents[1] / "pipeline" / "store.py"
    source = path.read_text(encoding="utf-8")
    line = f'    "{name}": ("classifiers", "{name}/model.toml", "{digest}"),\n'
    new, found = re.subn(rf'^    "{name}": \("classifiers", .*\n', line, source, flags=re.MULTILINE)
    if not found:
        new = source.replace("MODELS = {\n", "MODELS = {\n" + line, 1)
    path.write_text(new, encoding="utf-8")


def toml(value: Mapping[str, Any], prefix: str = "") -> str:
    """A mapping as TOML: plain keys first, then tables. Numbers, strings, lists of them, and mappings."""
    plain = [f"{_key(k)} = {_value(v)}\n" for k, v in value.items() if not isinstance(v, Mapping)]
    tables = []
    for name, v in value.items():
        if isinstance(v, Mapping):
            path = f"{prefix}{_key(name)}"
            own = any(not isinstance(x, Mapping) for x in v.values())
            tables.append((f"\n[{path}]\n" if own or not v else "") + toml(v, path + "."))
    return "".join(plain + tables)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else '"' + name.replace('"', '\\"') + '"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return "[" + ", ".join(_value(v) for v in value) + "]"


def write_figures(card: Path, markdown: str) -> None:
    """Put measured tables between the two marks of a card."""
    text = card.read_text(encoding="utf-8")
    begin, end = "<!-- figures: written by `python -m classifiers evaluate` -->", "<!-- end of figures -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    card.write_text(f"{before}{begin}\n{markdown.strip()}\n{end}{after}", encoding="utf-8")


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return "\n".join(["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers), *("| " + " | ".join(str(c) for c in row) + " |" for row in rows)])
