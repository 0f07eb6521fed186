"""Models that say how likely a text is: a run of this trainer, its export, or any causal language model that transformers loads from a folder."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.store import Store
from pipeline.train.model import device_of

_ROW_TOKENS = 4_096  # tokens that are scored at the same time


class Scorer(Protocol):
    tokenizer: str  # path of its tokenizer.json
    eos: int

    def nll(self, documents: Sequence[np.ndarray]) -> list[np.ndarray]:
        """-log p in nats of every id of every document, each document on its own behind an end-of-text token. (ids,) float32 each"""
        ...


class TorchScorer:
    """Scores with a model of torch's. What is longer than `length` is read in stretches that overlap by half, so that every token but a document's
    first has at least half of `length` before it, or all there is."""

    def __init__(self, logits: Callable[[Tensor], Tensor], tokenizer: str, eos: int, length: int, device: str) -> None:
        self.logits, self.tokenizer, self.eos, self.length, self.device = logits, tokenizer, eos, length, device

    def nll(self, documents: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See Scorer."""
        found = [np.zeros(len(document), np.float32) for document in documents]
        pieces = []  # document, where it is read from, from where on it is scored, and to where
        for n, document in enumerate(documents):
            begin, scored = 0, 0
            while scored < len(document):
                end = min(begin + self.length, len(document))
                pieces.append((n, begin, scored, end))
                scored, begin = end, end - self.length // 2
        pieces.sort(key=lambda piece: piece[1] - piece[3])  # by length, so that little is padded
        at = 0
        while at < len(pieces):
            longest = pieces[at][3] - pieces[at][1]
            some = pieces[at : at + max(1, _ROW_TOKENS // longest)]
            at += len(some)
            rows = np.full((len(some), longest + 1), self.eos, np.int64)
            for row, (n, begin, _, end) in zip(rows, some, strict=True):
                row[1 : 1 + end - begin] = documents[n][begin:end]
                row[0] = documents[n][begin - 1] if begin else self.eos
            losses = self._losses(torch.from_numpy(rows).to(self.device)).cpu().numpy()
            for row, (n, begin, scored, end) in zip(losses, some, strict=True):
                found[n][scored:end] = row[scored - begin : end - begin]
        return found

    def _losses(self, rows: Tensor) -> Tensor:
        """(B, T + 1) -> (B, T) float32. What stands behind a row's end is padding, which nothing before it sees."""
        with torch.no_grad():
            logits = self.logits(rows[:, :-1])
            parts = [torch.nn.functional.cross_entropy(one.float(), targets, reduction="none") for one, targets in zip(logits, rows[:, 1:], strict=True)]
        return torch.stack(parts)


def open_scorer(model: str, device: str = "auto", length: int | None = None) -> TorchScorer:
    """The model in a folder: a run's, its export's, or transformers'. `length` bounds what it reads at once, in tokens. ModelError where there is none."""
    store = Store(model)
    if not store.exists("config.json") and store.exists("export/config.json"):
        store = store.sub("export")
    if not store.exists("config.json"):
        unfinished = Store(model).exists("checkpoints")
        raise ModelError(
            f"{model} holds no model that transformers loads{': its training is not finished' if unfinished else ''}. Give a run's folder, or an export."
        )
    if not store.exists("tokenizer.json"):
        raise ModelError(f"{store.root} has no tokenizer.json, so nobody knows what its ids mean.")
    try:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError as error:
        raise ModelError("transformers is not installed here: `pip install 'skypile-builder[train]'`.") from error

    device = device_of(device)
    config: dict[str, Any] = store.read_json("config.json")
    kind = torch.bfloat16 if device == "cuda" and config.get("dtype", config.get("torch_dtype")) != "float32" else torch.float32
    logging.disable_progress_bar()
    loaded: Any = AutoModelForCausalLM.from_pretrained(store.root, dtype=kind, local_files_only=True)
    loaded = loaded.to(device).eval()
    eos = config.get("bos_token_id", config.get("eos_token_id"))
    if isinstance(eos, list):
        eos = eos[0]
    if not isinstance(eos, int):
        raise ModelError(f"{store.root}/config.json names neither bos_token_id nor eos_token_id, so a document's first token could not be scored.")
    most = int(config.get("max_position_embeddings", 1_024))
    return TorchScorer(lambda ids: loaded(ids, use_cache=False).logits, os.path.join(store.root, "tokenizer.json"), eos, min(length or most, most), device)
