"""`python -m classifiers train|export|evaluate NAME`: how a shipped model is made, from the shared data to the folder that ships."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import PipelineError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
HERE = Path(__file__).parent
Name = Annotated[str, typer.Argument(help="encoder, sensitive, quality, topic or stem; for `evaluate` also cold, davidson or spam")]
Work = Annotated[Path, typer.Option(help="Where checkpoints, curves and review pages go; a run that was stopped goes on from there.")]
Base = Annotated[str, typer.Option(help="The encoder to fine-tune: a folder, or a name that transformers knows, such as hfl/chinese-macbert-base.")]


def _model(name: str) -> Any:
    if not (HERE / name / "train.py").exists():
        known = ", ".join(sorted(p.parent.name for p in HERE.glob("*/train.py")))
        raise typer.BadParameter(f"there is no model '{name}'; there are {known}")
    return importlib.import_module(f"classifiers.{name}.train")


@app.command()
def train(name: Name, work: Work = Path("classifiers-work"), base: Base = str(HERE / "encoder"), threads: int = 0) -> None:
    """Train a model; what comes out lies in the work folder until it is exported."""
    _threads(threads)
    _model(name).train(work / name, base)


@app.command()
def export(name: Name, work: Work = Path("classifiers-work")) -> None:
    """Quantise a trained model, fix its thresholds, and write the folder that ships, with its pin in the store."""
    _model(name).export(work / name)


@app.command()
def evaluate(name: Name, work: Work = Path("classifiers-work"), base: Base = str(HERE / "encoder"), threads: int = 0) -> None:
    """Measure a shipped model again: the card's tables and a review page. Or fine-tune the encoder on a set, beside a fastText baseline."""
    from classifiers import diagnostics
    from classifiers.ship import markdown_table

    _threads(threads)
    if name in diagnostics.TASKS:
        print(markdown_table(["set", "model", "n", "accuracy (95 %)", "macro-F1 (95 %)"], diagnostics.report(name, base, work / name)))
    else:
        _model(name).evaluate(work / name)


def _threads(threads: int) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)


def main() -> None:
    """The entry point: an error that is meant for the user is one paragraph."""
    try:
        app()
    except PipelineError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None


if __name__ == "__main__":
    main()
