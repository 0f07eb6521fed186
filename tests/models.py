"""Model folders that tests make: model.toml as somebody wrote it, beside files of their own or those of the bundled models.

Nothing here depends on what the bundled weights have learned: only that there are some.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.measures.classifier import describe
from pipeline.store import open_folder, open_model

SENSITIVE = "bundled:sensitive"  # a BERT; several labels, thresholds for en and zh
LABELS = describe(SENSITIVE).labels
LANGUAGES = ("en", "zh", "de", "fr", "ja", "ru", "es", "ko", "it", "pt")[: len(LABELS)]  # labels that lid.176.ftz knows, as many as the BERT has

HARMLESS = "The ferry to the island leaves at seven, and the ticket office opens half an hour before. 渡轮七点出发，售票处提前半小时开门。"


def bundled_files() -> dict[str, bytes]:
    """The network and the tokenizer of `bundled:sensitive`, under the names that `card` gives them."""
    about = open_folder(SENSITIVE)
    return {name: (Path(about.path) / about.card["bert"][key]).read_bytes() for name, key in (("model.onnx", "file"), ("tokenizer.json", "tokenizer"))}


def language_files() -> dict[str, bytes]:
    """A fastText model that comes with a dependency: it knows languages."""
    return {"student.ftz": Path(open_model("bundled:lid176").path).read_bytes()}


def card(task: str = "labels", labels: Iterable[str] = LABELS, *, student: bool = False, network: bool = True, threshold: float = 0.5, more: str = "") -> str:
    """A model.toml without its [files]."""
    lines = [f'task = "{task}"', f"labels = [{', '.join(repr(label) for label in labels)}]", "max_length = 128"]
    lines += ["[fasttext]", 'file = "student.ftz"'] if student else []
    lines += ["[bert]", 'file = "model.onnx"', 'tokenizer = "tokenizer.json"'] if network else []
    for language in ("en", "zh") if task == "labels" else ():
        lines += [f"[thresholds.{language}]", *(f"{label} = {threshold}" for label in labels)]
    return "\n".join([*lines, more, ""])


def write_model(folder: Path, text: str, files: Mapping[str, bytes]) -> str:
    """Write a model's folder: the files, and model.toml with their sha256. Returns its path, as a recipe names it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    listed = "".join(f'"{name}" = "{hashlib.sha256(content).hexdigest()}"\n' for name, content in files.items())
    (folder / "model.toml").write_text(f"{text}\n[files]\n{listed}", encoding="utf-8")
    return str(folder)


def write_checkpoint(folder: Path, *labels: str, positions: int = 64, **settings: Any) -> Path:
    """Write a tiny random BERT and its tokenizer, as anybody's save_pretrained does; the test is skipped where torch or transformers is missing."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "given.json").write_bytes(bundled_files()["tokenizer.json"])
    specials = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "given.json"), **specials)
    (folder / "given.json").unlink()
    torch.manual_seed(5)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        pad_token_id=tokenizer.pad_token_id,
        **settings,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
