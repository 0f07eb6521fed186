"""Masked language modelling for the small encoder: texts -> token chunks -> a small BERT. Resumable, seeded, one configuration file.

bf16 on a GPU and on CPUs that have it in hardware; master weights stay float32. The learning rate rises, stays, and falls at the end
(a trapezoid), so that a run may be lengthened from its last checkpoint: only the fall depends on where it ends.
"""

import json
import os
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifiers import bert
from classifiers.data import Row, draw, held_out, rows


@dataclass(frozen=True)
class Pretraining:
    """What `train.toml` says. `sources`: set -> how often its chunks are seen in one pass (0.3: a hashed 30 % of them)."""

    seed: int
    vocabulary: int
    alphabet: int
    layers: int
    width: int
    length: int  # tokens of a chunk, specials included
    batch: int  # chunks
    steps: int
    warm_up: int
    decay: int
    learning_rate: float
    weight_decay: float
    masked: float
    validation: float
    sources: dict[str, float]

    @classmethod
    def load(cls, path: Path) -> "Pretraining":
        return cls(**tomllib.loads(path.read_text()))


def _validation(settings: Pretraining, row: Row) -> bool:
    return held_out(row.text) if row.set.startswith("toxicity/") else draw(row.key, f"{settings.seed}-validation") < settings.validation


def texts(settings: Pretraining) -> Iterator[str]:
    """What the vocabulary is made of: of every source the hashed share that a pass sees, and all where it sees more."""
    for name, weight in settings.sources.items():
        for row in rows(name, "train"):
            if not _validation(settings, row) and draw(row.key, f"{settings.seed}-sample") < min(1.0, weight):
                yield row.text


def chunks(settings: Pretraining, tokenizer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation chunks, each [CLS] … [SEP] of `length` tokens without padding. (n, length) uint16 twice."""
    inner = settings.length - 2
    train: list[np.ndarray] = []
    validation: list[np.ndarray] = []
    for name, weight in settings.sources.items():
        held: dict[bool, list[np.ndarray]] = {True: [], False: []}
        every = list(rows(name, "train"))
        for start in range(0, len(every), 512):
            block = every[start : start + 512]
            for row, encoded in zip(block, tokenizer.encode_batch([r.text for r in block], add_special_tokens=False), strict=True):
                held[_validation(settings, row)].append(np.array([*encoded.ids, bert.SEP], np.uint16))
        for mine, out in ((True, validation), (False, train)):
            if not held[mine]:
                continue
            stream = np.concatenate(held[mine])
            n = len(stream) // inner
            body = np.full((n, settings.length), bert.CLS, np.uint16)
            body[:, 1:-1] = stream[: n * inner].reshape(n, inner)
            body[:, -1] = bert.SEP
            chance = np.random.default_rng([settings.seed, len(train)])
            whole, part = divmod(1.0 if mine else weight, 1.0)
            out.extend([body] * int(whole))
            out.append(body[chance.random(n) < part])
    return np.concatenate(train), np.concatenate(validation)


def rate(settings: Pretraining, step: int) -> float:
    """The learning rate of a step: up over `warm_up`, level, down over the last `decay`."""
    return settings.learning_rate * min(1.0, (step + 1) / settings.warm_up, (settings.steps - step) / settings.decay)


def masked(ids: np.ndarray, share: float, vocabulary: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """BERT's corruption: of a `share` of positions 80 % become [MASK], 10 % another token, 10 % stay. Returns ids and flat positions."""
    pick = (chance.random(ids.shape) < share) & (ids >= len(bert.SPECIALS))
    kind = chance.random(ids.shape)
    out = ids.copy()
    out[pick & (kind < 0.8)] = bert.MASK
    random = pick & (kind >= 0.8) & (kind < 0.9)
    out[random] = chance.integers(len(bert.SPECIALS), vocabulary, int(random.sum()))
    return out, np.flatnonzero(pick.reshape(-1))


def pretrain(folder: Path, work: Path) -> None:
    """Train the encoder that `folder/train.toml` describes; checkpoints, the curve and the result (`work/model`) go to `work`,
    the vocabulary to `folder`. A vocabulary and chunks that are there already are used: remove them where `train.toml` changes them.

    A run that was stopped goes on from its last checkpoint.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import RobertaPreLayerNormForMaskedLM

    settings = Pretraining.load(folder / "train.toml")
    work.mkdir(parents=True, exist_ok=True)
    if not (folder / "tokenizer.json").exists():
        bert.write_tokenizer(bert.train_vocabulary(texts(settings), settings.vocabulary, settings.alphabet), folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    cache = work / "chunks.npz"
    if cache.exists():
        train, validation = (np.load(cache)[k] for k in ("train", "validation"))
    else:
        train, validation = chunks(settings, tokenizer)
        np.savez(cache, train=train, validation=validation)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(settings.seed)
    torch.set_flush_denormal(True)  # without it a step may take ten times as long on a CPU
    shape = bert.config(tokenizer.get_vocab_size(), settings.layers, settings.width, 512)
    # On a CPU the plain attention is twice as fast to train as the fused one, whose backward pass knows no bf16 tiles.
    shape._attn_implementation = "sdpa" if device == "cuda" else "eager"
    shape.hidden_dropout_prob = shape.attention_probs_dropout_prob = 0.0  # fewer than two passes over the data: nothing to overfit
    model: Any = RobertaPreLayerNormForMaskedLM(shape)
    model.to(device)
    body, head = model.roberta_prelayernorm, model.lm_head
    fast = torch.compile(body)  # a third faster; there is no dropout, so training and measuring are one program
    bert.start_positions(body.embeddings.position_embeddings.weight)
    optimizer = bert.optimizer_of(model, settings.learning_rate, settings.weight_decay)
    step, seen_seconds = 0, 0.0
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, seen_seconds = state["step"], state["seconds"]

    def loss_of(ids: np.ndarray, chance: np.random.Generator) -> Any:
        corrupted, places = masked(ids.astype(np.int64), settings.masked, shape.vocab_size, chance)
        where = torch.from_numpy(places).to(device)
        target = torch.from_numpy(ids.astype(np.int64).reshape(-1)).to(device)[where]
        with torch.autocast(device, torch.bfloat16):
            hidden = fast(torch.from_numpy(corrupted).to(device)).last_hidden_state
            logits = head(hidden.reshape(-1, shape.hidden_size)[where])  # the head sees masked places only: a third of the work
        return torch.nn.functional.cross_entropy(logits.float(), target)

    def save() -> None:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seen_seconds + time.monotonic() - began}
        torch.save(state, checkpoint.with_suffix(".tmp"))
        os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
        half = RobertaPreLayerNormForMaskedLM(shape)
        half.load_state_dict(model.state_dict())
        half.half().save_pretrained(work / "model")

    def evaluate() -> float:
        with torch.no_grad():
            chance = np.random.default_rng(1)
            picked = validation[np.random.default_rng(0).permutation(len(validation))[: 16 * settings.batch]]
            losses = [float(loss_of(picked[i : i + settings.batch], chance)) for i in range(0, len(picked), settings.batch)]
        return float(np.mean(losses))

    began = time.monotonic()
    model.train()
    per_pass = len(train) // settings.batch
    print(f"{len(train):,} chunks of {settings.length} tokens, {sum(p.numel() for p in model.parameters()):,} parameters, {device}", flush=True)
    with (work / "curve.jsonl").open("a") as curve:
        running: list[float] = []
        while step < settings.steps:
            number, within = divmod(step, per_pass)
            if within == 0 or "order" not in locals():
                order = np.random.default_rng([settings.seed, 1, number]).permutation(len(train))
            ids = train[order[within * settings.batch : (within + 1) * settings.batch]]
            loss = loss_of(ids, np.random.default_rng([settings.seed, 2, step]))
            running.append(bert.descend(model, optimizer, loss, rate(settings, step)))
            step += 1
            if step % 50 == 0 or step == settings.steps:
                point = {"step": step, "loss": round(float(np.mean(running)), 4), "rate": rate(settings, step - 1), "tokens": step * ids.size}
                point["seconds"] = round(seen_seconds + time.monotonic() - began)
                if step % 500 == 0 or step == settings.steps:
                    point["validation"] = round(evaluate(), 4)
                    save()
                running.clear()
                curve.write(json.dumps(point) + "\n")
                curve.flush()
                print(point, flush=True)
    save()
