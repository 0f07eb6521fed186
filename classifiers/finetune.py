"""Fine-tune any encoder that transformers loads into a classifier of passages: labels, a grade, or a choice. One seed, one configuration.

The base is the bundled encoder's folder, or `bert-base-chinese`, `hfl/chinese-macbert-base`, `bert-base-multilingual-cased`,
`answerdotai/ModernBERT-base`: whatever AutoModelForSequenceClassification knows. bf16 on a GPU and on CPUs that have it.
"""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.bert import descend, optimizer_of, without_denormals
from pipeline.errors import ModelError
from pipeline.measures.classifier import Task
from pipeline.measures.networks import check_tokenizer
from pipeline.store import fingerprint


@dataclass(frozen=True)
class Example:
    """A passage and what is known of it: a number a label (0 or 1; nan where nobody knows), the grade, or the number of the right choice."""

    text: str
    target: tuple[float, ...]
    lang: str = "en"
    source: str = ""
    key: str = ""
    weight: float = 1.0


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune. `batch_tokens`: padded tokens of a step."""

    task: Task
    labels: tuple[str, ...]
    base: str
    max_length: int = 256
    batch_tokens: int = 4096
    epochs: float = 3.0
    learning_rate: float = 3e-4
    warm_up: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    smoothing: float = 0.0
    seed: int = 1

    @property
    def outputs(self) -> int:
        return 1 if self.task == "grade" else len(self.labels)


class Tuned:
    """A fine-tuned model with its tokenizer: passages in, logits out, in float32."""

    def __init__(self, model: Any, encode: Callable[[Sequence[str]], list[list[int]]], settings: FineTuning, pad: int) -> None:
        self.model, self.encode, self.settings, self.pad = model, encode, settings, pad

    def __call__(self, passages: Sequence[str]) -> np.ndarray:
        """(passages, outputs) float64 logits"""
        import torch

        from pipeline.measures.networks import batched

        device = next(self.model.parameters()).device

        def logits(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return np.asarray(
                    self.model(input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device)).logits.float().cpu().numpy()
                )

        self.model.eval()
        return batched(self.encode(passages), logits, self.settings.outputs, self.settings.batch_tokens, self.pad)

    def save(self, folder: Path) -> None:
        """As transformers reads it, in half precision."""
        import copy

        copy.deepcopy(self.model).half().save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    tokenizer: Any = None


def batches(lengths: np.ndarray, batch_tokens: int, chance: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows in random order, those of like length together, each batch of at most `batch_tokens` padded tokens."""
    order = chance.permutation(len(lengths))
    groups: list[np.ndarray] = []
    for start in range(0, len(order), 4096):
        pool = order[start : start + 4096]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        held: list[int] = []
        for row in pool:
            if held and int(lengths[row]) * (len(held) + 1) > batch_tokens:
                groups.append(np.array(held))
                held = []
            held.append(int(row))
        if held:
            groups.append(np.array(held))
    for i in chance.permutation(len(groups)):
        yield groups[i]


def _schedule(lengths: np.ndarray, settings: FineTuning) -> Iterator[tuple[bool, np.ndarray]]:
    """Batches of epoch after epoch, each with whether it ends its epoch. Epochs differ a little in their number of batches."""
    for epoch in itertools.count():
        order = list(batches(lengths, settings.batch_tokens, np.random.default_rng([settings.seed, epoch])))
        yield from ((i == len(order) - 1, rows) for i, rows in enumerate(order))


@without_denormals()
def fine_tune(settings: FineTuning, examples: Sequence[Example], work: Path | None = None, say: Callable[[str], None] = print) -> Tuned:
    """Train on the examples and return the model. With `work`, the curve goes to `work/curve.jsonl` and the last epoch's checkpoint is kept there,
    from which a run that was stopped goes on."""
    import torch
    from torch.nn import functional as F  # noqa: N812  # torch's own short name
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(settings.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    problem = {"labels": "multi_label_classification", "grade": "regression", "choice": "single_label_classification"}[settings.task]
    names = settings.labels[: settings.outputs]
    config = AutoConfig.from_pretrained(settings.base, num_labels=settings.outputs, problem_type=problem)
    config.id2label, config.label2id = dict(enumerate(names)), {label: i for i, label in enumerate(names)}
    for name, share in (("hidden_dropout_prob", settings.dropout), ("mlp_dropout", settings.dropout), ("attention_probs_dropout_prob", 0.0)):
        if hasattr(config, name):
            setattr(config, name, share)
    attention = "sdpa" if device == "cuda" else "eager"
    model = AutoModelForSequenceClassification.from_pretrained(settings.base, config=config, attn_implementation=attention, dtype=torch.float32).to(device)
    tokenizer = AutoTokenizer.from_pretrained(settings.base)
    try:
        check_tokenizer(tokenizer, getattr(config, "vocab_size", 0))
    except ValueError as error:
        raise ModelError(f"{settings.base} cannot be fine-tuned: {error}") from error
    limit = min(settings.max_length, int(model.config.max_position_embeddings) - 2)

    def encode(passages: Sequence[str]) -> list[list[int]]:
        return _ids(tokenizer, passages, limit)

    tuned = Tuned(model, encode, settings, int(tokenizer.pad_token_id or 0))
    tuned.tokenizer = tokenizer
    ids = encode([e.text for e in examples])
    lengths = np.array([len(i) for i in ids])
    targets = np.array([e.target for e in examples], np.float32)
    weights = np.array([e.weight for e in examples], np.float32)
    optimizer = optimizer_of(model, settings.learning_rate, settings.weight_decay)
    per_epoch = sum(1 for _ in batches(lengths, settings.batch_tokens, np.random.default_rng([settings.seed, 0])))
    total = max(1, round(per_epoch * settings.epochs))
    step, begun, running = 0, time.monotonic(), []
    # A run of more or fewer epochs goes on from the same checkpoint; anything else is another run.
    identity = fingerprint([asdict(replace(settings, epochs=0.0)), [[e.text, [repr(t) for t in e.target], e.weight] for e in examples]])
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        if (work / "checkpoint.pt").exists():
            state = torch.load(work / "checkpoint.pt", map_location=device, weights_only=True)
            if state["of"] != identity:
                raise ModelError(
                    f"{work / 'checkpoint.pt'} is of another run: other settings, another base, or other examples. Remove {work}, or give another folder."
                )
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            step = state["step"]
    model.train()
    for number, (epoch_ends, rows) in enumerate(_schedule(lengths, settings)):
        if step >= total:
            break
        if number < step:
            continue  # done before the run was stopped
        longest = int(lengths[rows].max())
        block, mask = np.full((len(rows), longest), tuned.pad, np.int64), np.zeros((len(rows), longest), np.int64)
        for i, row in enumerate(rows):
            block[i, : lengths[row]], mask[i, : lengths[row]] = ids[row], 1
        with torch.autocast(device, torch.bfloat16):
            logits = model(input_ids=torch.from_numpy(block).to(device), attention_mask=torch.from_numpy(mask).to(device)).logits
        target, weight = torch.from_numpy(targets[rows]).to(device), torch.from_numpy(weights[rows]).to(device)
        if settings.task == "labels":
            known = ~target.isnan()
            goal = target.nan_to_num().clamp(settings.smoothing, 1 - settings.smoothing)
            loss = (F.binary_cross_entropy_with_logits(logits.float(), goal, reduction="none") * known * weight[:, None]).sum() / known.sum().clamp(min=1)
        elif settings.task == "grade":
            loss = (F.mse_loss(logits.float(), target, reduction="none")[:, 0] * weight).mean()
        else:
            parts = F.cross_entropy(logits.float(), target[:, 0].long(), reduction="none", label_smoothing=settings.smoothing)
            loss = (parts * weight).mean()
        running.append(
            descend(model, optimizer, loss, settings.learning_rate * min(1.0, (step + 1) / max(1.0, settings.warm_up * total), (total - step) / total))
        )
        step += 1
        if step % 50 == 0 or step == total:
            point = {"step": step, "of": total, "loss": round(float(np.mean(running)), 4), "seconds": round(time.monotonic() - begun)}
            running.clear()
            say(json.dumps(point))
            if work is not None:
                with (work / "curve.jsonl").open("a") as curve:
                    curve.write(json.dumps(point) + "\n")
        if work is not None and (epoch_ends or step == total):
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "of": identity}, work / "checkpoint.tmp")
            os.replace(work / "checkpoint.tmp", work / "checkpoint.pt")
    model.eval()
    return tuned


def load(settings: FineTuning) -> Tuned:
    """A model that `Tuned.save` wrote, in float32."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(settings.base, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(settings.base)
    tuned = Tuned(model, lambda passages: _ids(tokenizer, passages, settings.max_length), settings, int(tokenizer.pad_token_id or 0))
    tuned.tokenizer = tokenizer
    return tuned


def _ids(tokenizer: Any, passages: Sequence[str], limit: int) -> list[list[int]]:
    return [list(i) for i in tokenizer(list(passages), truncation=True, max_length=limit)["input_ids"]]
