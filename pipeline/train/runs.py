"""What the commands `train` and `evaluate` do: a release or its tokens in, a run's folder out; a model's folder in, tables out."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import PlanError, SourceError
from pipeline.store import Store
from pipeline.token_shards import holds_tokens, open_tokens, write_tokens
from pipeline.train.configs import parsed, settings
from pipeline.train.evaluate import evaluate
from pipeline.train.evaluate import table as evaluation_table
from pipeline.train.leakage import leakage
from pipeline.train.leakage import table as leakage_table
from pipeline.train.validation_sets import ValidationSet, choose, sets_of


def train_release(
    release: str,
    config: str = "tiny",
    out: str | None = None,
    *,
    changes: Sequence[str] = (),
    device: str = "auto",
    cpus: int | None = None,
    shard: bool = False,
    tensorboard: bool = False,
) -> dict[str, Any]:
    """Train a named configuration on a release (whose tokens are made first, where they are not there yet) or on its tokens; the run's summary.

    changes: settings as NAME=VALUE. PlanError for those that are unknown, and where torch is not installed.
    """
    chosen, cores = settings(config, **parsed(changes)), cpus or os.cpu_count() or 1
    try:
        import torch
    except ImportError as error:
        raise PlanError("Training needs torch: `pip install 'skypile-builder[train]'`, or [gpu] on a machine with a GPU.") from error
    from pipeline.train.loop import train

    torch.set_num_threads(cores)
    tokens_given = holds_tokens(Store(release))
    if not tokens_given and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise PlanError(
            f"Many processes cannot make the tokens of {release} at once: run `python -m pipeline tokenize {release}`, and give the folder that it prints."
        )
    tokens = open_tokens(release) if tokens_given else write_tokens(release, cpus=cores)
    folder = out or _place(tokens.path, tokens.manifest["release"], config)
    summary = train(tokens, folder, chosen, device=device, shard=shard, tensorboard=tensorboard)
    return {**summary, "folder": os.path.abspath(folder)} if summary else {}


def evaluate_model(
    model: str,
    sets: Mapping[str, Any] | str,
    leaks: Mapping[str, str],
    documents: int = 500,
    max_bytes: int = 4096,
    out: str | None = None,
    device: str = "auto",
) -> list[Any]:
    """Tables of a model's bits per byte on held-out sets, and of its leakage test where `leaks` names a benchmark's test, train and mock items."""
    try:
        from pipeline.train.score import open_scorer
    except ImportError as error:
        raise PlanError("Evaluation needs torch: `pip install 'skypile-builder[train]'`, or [gpu] on a machine with a GPU.") from error
    if not sets and not leaks:
        raise PlanError("Nothing to score: give held-out sets with --validation NAME=GLOB or --sets FILE, or a benchmark with --leakage.")
    if leaks and set(leaks) != {"test", "train", "mock"}:
        raise PlanError(f"The leakage test compares test, train and mock; given {', '.join(sorted(leaks))}.")
    scorer = open_scorer(model, device)
    tables: list[Any] = []
    if sets:
        found = evaluate(scorer, sets_of(sets), documents=documents, max_bytes=max_bytes)
        if out:
            found.save(out)
        tables.append(evaluation_table(found))
    if leaks:
        kinds = {kind: _items(kind, glob) for kind, glob in leaks.items()}
        leaked = leakage(scorer, kinds["test"], kinds["train"], kinds["mock"])
        if out:
            Store(os.path.dirname(out) or ".").write_json(f"{os.path.basename(out)}.leakage.json", leaked.to_dict(), sort_keys=False)
        tables.append(leakage_table(leaked))
    return tables


def _place(tokens: str, release: str, config: str) -> str:
    """WORK/runs/RELEASE/CONFIG for tokens at WORK/tokens/RELEASE/TOKENIZER; beside them where they lie elsewhere."""
    beside = Path(os.path.abspath(tokens)).parent
    return str((beside.parents[1] if beside.parent.name == "tokens" else beside) / "runs" / release / config)


def _items(kind: str, files: str) -> ValidationSet:
    """A benchmark's items: question and answer, or where the first has none, `text`."""
    try:
        choose(of := sets_of({kind: {"files": files, "columns": ["question", "answer"]}})[0], documents=1)
    except SourceError:
        return sets_of({kind: files})[0]
    return of
