"""The small bilingual encoder, pretrained by masked language modelling as `train.toml` says."""

import shutil
from pathlib import Path

HERE = Path(__file__).parent


def train(work: Path, base: str) -> None:  # noqa: ARG001  # an encoder has no base
    """Pretrain, or go on where the last checkpoint stopped."""
    from classifiers.pretrain import pretrain

    pretrain(HERE, work)


def export(work: Path) -> None:
    """Copy the trained weights, in half precision, to the folder that ships."""
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(work / "model" / name, HERE / name)
    write_curve(work)


def evaluate(work: Path) -> None:
    """The curve of the training, into the card."""
    write_curve(work)


def write_curve(work: Path) -> None:
    import json

    from classifiers.ship import markdown_table, write_figures

    points = [json.loads(line) for line in (work / "curve.jsonl").read_text().splitlines()]
    shown = [p for p in points if "validation" in p]
    table = [[p["step"], f"{p['tokens']:,}", p["loss"], p["validation"], p["seconds"]] for p in shown]
    write_figures(HERE / "card.md", markdown_table(["step", "tokens seen", "loss", "validation loss", "seconds"], table))
