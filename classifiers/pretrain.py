"""Masked language modelling for the small encoder: texts -> token chunks -> a small BERT. Resumable, seeded, one configuration file.

bf16 on a GPU and on CPUs that have it in hardware; master weights stay float32. The learning rate rises, stays, and falls at the end
(a trapezoid), so that a run may be lengthened from its last checkpoint: only the fall depends on where it ends.

It begins with word vectors, not with noise: a factorisation of the co-occurrence counts of the same text, which takes seconds and is worth the
first two million tokens (masked-word loss after 0.9 million tokens: 5.80 with it, 6.21 without).

Under `torchrun --nproc-per-node N -m classifiers train encoder` each process takes its part of every batch, on its own GPU or CPU core; the
batches, the masks and the loss are those of one process (sums differ by rounding).
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
from numba import njit

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


@njit(cache=True)
def _together(rows: np.ndarray, vocabulary: int, window: int, first: int) -> np.ndarray:
    """How often two tokens stand within `window` of each other, each time counted 1 / distance. (vocabulary, vocabulary) float32"""
    out = np.zeros((vocabulary, vocabulary), np.float32)
    for r in range(rows.shape[0]):
        row = rows[r]
        for i in range(row.shape[0]):
            if row[i] < first:
                continue
            for d in range(1, min(window, row.shape[0] - 1 - i) + 1):
                if row[i + d] >= first:
                    out[row[i], row[i + d]] += np.float32(1.0 / d)
                    out[row[i + d], row[i]] += np.float32(1.0 / d)
    return out


def word_vectors(rows: np.ndarray, vocabulary: int, width: int, seed: int, window: int = 5) -> np.ndarray:
    """Unit vectors of the tokens: the positive pointwise mutual information of neighbours, factorised. (vocabulary, width) float32

    Context counts are smoothed by the power 0.75, and the vectors are the left singular vectors times the root of their values: Levy, Goldberg
    and Dagan, Improving Distributional Similarity with Lessons Learned from Word Embeddings, TACL 2015, where it equals skip-gram. Memory:
    two float32 matrices of vocabulary x vocabulary (0.8 GB each at 14,336).
    """
    import torch

    counts = torch.from_numpy(_together(rows, vocabulary, window, len(bert.SPECIALS)))
    seen = counts.sum(dim=1).clamp(min=1e-9)
    context = seen**0.75
    context *= seen.sum() / context.sum()
    information = counts.log_().sub_(seen.log()[:, None]).sub_(context.log()[None, :]).add_(seen.sum().log()).clamp_(min=0)
    torch.manual_seed(seed)
    left, values, _ = torch.svd_lowrank(information, q=min(width + 32, vocabulary), niter=3)
    vectors = left[:, :width] * values[:width].sqrt()
    return np.asarray((vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-6)).numpy())


def start_words(embeddings: Any, bias: Any, rows: np.ndarray, seed: int) -> None:
    """Begin the token embeddings, which also are the output matrix, as word vectors, and the output's bias as the log of the tokens' frequency."""
    import torch

    vocabulary, width = embeddings.shape
    seen = np.bincount(rows.reshape(-1), minlength=vocabulary) + 1.0
    first = len(bert.SPECIALS)
    with torch.no_grad():
        embeddings[first:] = torch.from_numpy(word_vectors(rows, vocabulary, width, seed))[first:].to(embeddings)
        bias.copy_(torch.from_numpy(np.log(seen / seen.sum())).to(bias))


@bert.without_denormals()
def pretrain(folder: Path, work: Path) -> None:
    """Train the encoder that `folder/train.toml` describes; checkpoints, the curve and the result (`work/model`) go to `work`,
    the vocabulary to `folder`. A vocabulary and chunks that are there already are used: remove them where `train.toml` changes them.

    A run that was stopped goes on from its last checkpoint.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import RobertaPreLayerNormForMaskedLM

    settings = Pretraining.load(folder / "train.toml")
    rank, world = (int(os.environ.get(name, standard)) for name, standard in (("RANK", "0"), ("WORLD_SIZE", "1")))
    work.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if world > 1:
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    cache = work / "chunks.npz"
    if not rank:  # the others wait for what the first prepares
        if not (folder / "tokenizer.json").exists():
            bert.write_tokenizer(bert.train_vocabulary(texts(settings), settings.vocabulary, settings.alphabet), folder)
        if not cache.exists():
            made = chunks(settings, Tokenizer.from_file(str(folder / "tokenizer.json")))
            np.savez(cache, train=made[0], validation=made[1])
    if world > 1:
        torch.distributed.barrier()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    train, validation = (np.load(cache)[k] for k in ("train", "validation"))
    torch.manual_seed(settings.seed)
    shape = bert.config(tokenizer.get_vocab_size(), settings.layers, settings.width, 512)
    # On a CPU the plain attention is twice as fast to train as the fused one, whose backward pass knows no bf16 tiles.
    shape._attn_implementation = "sdpa" if device == "cuda" else "eager"
    shape.hidden_dropout_prob = shape.attention_probs_dropout_prob = 0.0  # fewer than two passes over the data: nothing to overfit
    model: Any = RobertaPreLayerNormForMaskedLM(shape)
    model.to(device)
    body, head = model.roberta_prelayernorm, model.lm_head
    fast = torch.compile(body)  # a third faster; there is no dropout, so training and measuring are one program
    bert.start_positions(body.embeddings.position_embeddings.weight)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = bert.optimizer_of(model, settings.learning_rate, settings.weight_decay)
    step, seen_seconds = 0, 0.0
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, seen_seconds = state["step"], state["seconds"]
    elif not rank:
        start_words(body.embeddings.word_embeddings.weight, head.bias, train, settings.seed)
    if world > 1:
        for p in weights:
            torch.distributed.broadcast(p.detach(), 0)

    def loss_of(ids: np.ndarray, chance: np.random.Generator, part: int = 0, parts: int = 1) -> Any:
        """The mean over the masked places of a batch, or this process's part of that mean."""
        corrupted, places = masked(ids.astype(np.int64), settings.masked, shape.vocab_size, chance)
        among = len(places)
        mine = slice(len(ids) * part // parts, len(ids) * (part + 1) // parts)
        ids, corrupted = ids[mine], corrupted[mine]
        places = places[(places >= mine.start * ids.shape[1]) & (places < mine.stop * ids.shape[1])] - mine.start * ids.shape[1]
        where = torch.from_numpy(places).to(device)
        target = torch.from_numpy(ids.astype(np.int64).reshape(-1)).to(device)[where]
        with torch.autocast(device, torch.bfloat16):
            hidden = fast(torch.from_numpy(corrupted).to(device)).last_hidden_state
            logits = head(hidden.reshape(-1, shape.hidden_size)[where])  # the head sees masked places only: a third of the work
        return torch.nn.functional.cross_entropy(logits.float(), target, reduction="sum") / among

    def shared() -> None:
        """Sum the gradients of all processes."""
        if world > 1:
            flat = torch.cat([p.grad.reshape(-1) for p in weights if p.grad is not None])
            torch.distributed.all_reduce(flat)
            start = 0
            for p in weights:
                if p.grad is not None:
                    p.grad.copy_(flat[start : start + p.numel()].view_as(p))
                    start += p.numel()

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
    if not rank:
        print(f"{len(train):,} chunks of {settings.length} tokens, {sum(p.numel() for p in model.parameters()):,} parameters, {world} x {device}", flush=True)
    with (work / "curve.jsonl").open("a") as curve:
        running: list[float] = []
        while step < settings.steps:
            number, within = divmod(step, per_pass)
            if within == 0 or "order" not in locals():
                order = np.random.default_rng([settings.seed, 1, number]).permutation(len(train))
            ids = train[order[within * settings.batch : (within + 1) * settings.batch]]
            loss = loss_of(ids, np.random.default_rng([settings.seed, 2, step]), rank, world)
            running.append(world * bert.descend(model, optimizer, loss, rate(settings, step), shared))  # of one process's part: an estimate
            step += 1
            if rank:
                continue
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
    if not rank:
        save()
    if world > 1:
        torch.distributed.destroy_process_group()
