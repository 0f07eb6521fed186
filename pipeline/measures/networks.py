"""The kinds of model that judge a passage: a fastText linear model, a BERT under ONNX Runtime, a BERT under torch.

Each is a small class: passages in, one row of numbers a passage out, in the order of its `labels`. A passage's numbers do not depend on the
passages beside it: the int8 network was quantised with fixed scales, and how far a passage is padded follows from its own length. (Under torch,
in float32 and bf16, the last digits may depend on the batch.)
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.errors import ModelError
from pipeline.measures.language import spaced
from pipeline.store import ModelFolder

Precision = Literal["cpu-int8", "cpu-fp32", "cuda-bf16"]
PRECISIONS: tuple[Precision, ...] = ("cpu-int8", "cpu-fp32", "cuda-bf16")

_INSTALL = "pip install 'skypile-builder[train]', or [gpu] on a GPU."
_WORDS_OF_FASTTEXT = re.compile("__label__|</s>")  # in a text, these would be a label, and the end of all that is read of it
_STEP = 8  # a passage is padded to the next multiple of this many tokens, and to nothing else
_BATCH_TOKENS = {"cpu-int8": 1024, "cpu-fp32": 4096, "cuda-bf16": 1 << 17}


def engines(precision: Precision, kinds: Sequence[str]) -> dict[str, str]:
    """Libraries whose output enters the scores."""
    names = {"fasttext": ("fasttext-predict",), "bert": ("onnxruntime", "tokenizers") if precision == "cpu-int8" else ("torch", "transformers", "tokenizers")}
    try:
        return {name: version(name) for kind in kinds for name in names[kind]}
    except PackageNotFoundError as error:
        raise ModelError(f"precision {precision} needs {error.name}, which is not installed here: {_INSTALL}") from error


class FasttextScores:
    """A fastText model, one-versus-all: the probability of each label. (passages, labels) float64

    Text is lower-cased and put on one line, with a space around each Han character: what the training saw. ModelError where the file does
    not know a label; with `some_missing` (grades that no example had) only where it knows none.
    """

    def __init__(self, path: str | Path, labels: Sequence[str], some_missing: bool = False) -> None:
        import fasttext

        self.labels = tuple(labels)
        self._place = {f"__label__{label}": i for i, label in enumerate(labels)}
        self._predict: Any = fasttext.load_model(str(path)).f.predict
        known = {label.removeprefix("__label__") for _, label in self._predict("\n", -1, 0.0, "strict")}
        missing = [label for label in labels if label not in known]
        if missing and not (some_missing and len(missing) < len(labels)):
            raise ModelError(f"{path} knows no label {', '.join(missing)}, which its model.toml names; it knows {', '.join(sorted(known)[:30])}.")

    def __call__(self, passages: Sequence[str]) -> np.ndarray:
        out = np.zeros((len(passages), len(self.labels)))
        for i, passage in enumerate(passages):
            for score, label in self._predict(line_of(passage) + "\n", -1, 0.0, "strict"):
                place = self._place.get(label)
                if place is not None:
                    out[i, place] = min(score, 1.0)
        return out


def line_of(text: str) -> str:
    """A text as the fastText models read it, in training and after, less what fastText would take for a label for the end of the line, or cannot encode."""
    return _WORDS_OF_FASTTEXT.sub(" ", " ".join(spaced(text.encode("utf-8", "replace").decode().lower()).split()))


class OnnxScores:
    """A BERT as ONNX with statically quantised weights and activations, on one core. (passages, labels) float64 logits"""

    def __init__(self, network: str | Path, tokenizer: str | Path, labels: Sequence[str], max_length: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # Ray gives a core to each actor
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not exact_products():
            options.add_session_config_entry("session.x64quantprecision", "1")  # both factors uint8: exact, at half the speed
        self.labels = tuple(labels)
        self._session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
        outputs = self._session.get_outputs()[0].shape[1]
        if outputs != len(labels):
            raise ModelError(f"{network} gives {outputs} numbers a passage, but its model.toml names {len(labels)} labels: {', '.join(labels)}.")
        self._encode = encoder(tokenizer, max_length)

    def __call__(self, passages: Sequence[str]) -> np.ndarray:
        return batched(self._encode(passages), self._logits, len(self.labels), _BATCH_TOKENS["cpu-int8"])

    def _logits(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0])


def exact_products(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor adds products of uint8 and int8 without saturating (VNNI or AMX). False where nobody can say.

    Both ways give the same numbers; without these instructions, and without the other way, large products would be cut at 16 bits.
    """
    try:
        flags = next((line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("flags")), "")
    except OSError:
        return False
    return bool({"avx512_vnni", "avx_vnni", "amx_int8"} & set(flags.split()))


class TorchScores:
    """Any sequence classifier that transformers loads, from a folder or the Hub, in float32 on the CPU or bf16 on a GPU. Logits, as above."""

    def __init__(self, folder: ModelFolder, precision: Precision, labels: Sequence[str] | None = None, max_length: int = 512) -> None:
        try:
            import torch
            from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
        except ModuleNotFoundError as error:
            raise ModelError(f"{folder.name} with precision {precision} needs torch and transformers: {_INSTALL}") from error
        if precision == "cuda-bf16" and not torch.cuda.is_available():
            raise ModelError(f"{folder.name}: the recipe asks for precision cuda-bf16, and there is no GPU here. cpu-int8 and cpu-fp32 run on a CPU.")
        where: dict[str, Any] = {"revision": folder.revision} if folder.revision else {}
        with opened_by_transformers(folder):
            config = AutoConfig.from_pretrained(folder.path, **where)
        self.labels = tuple(str(config.id2label[i]) for i in range(config.num_labels))
        if labels is not None and tuple(labels) != self.labels:
            raise ModelError(f"The checkpoint {folder.name} has the labels {', '.join(self.labels)}, where {', '.join(labels)} were expected.")
        self._torch = torch
        self._device = "cuda" if precision == "cuda-bf16" else "cpu"
        self._tokens = _BATCH_TOKENS[precision]
        dtype = torch.bfloat16 if precision == "cuda-bf16" else torch.float32
        with opened_by_transformers(folder):
            network = AutoModelForSequenceClassification.from_pretrained(folder.path, dtype=dtype, attn_implementation="sdpa", **where)
            fast = AutoTokenizer.from_pretrained(folder.path, **where)
            check_tokenizer(fast, getattr(config, "vocab_size", 0))
        self._model = network.to(self._device).eval()
        self._pad = int(fast.pad_token_id or 0)
        limit = min(max_length, getattr(config, "max_position_embeddings", max_length), fast.model_max_length)
        limit -= limit % _STEP  # padding must not lead beyond the last position either
        self._encode: Callable[[Sequence[str]], list[list[int]]] = lambda passages: fast(list(passages), truncation=True, max_length=limit)["input_ids"]

    def __call__(self, passages: Sequence[str]) -> np.ndarray:
        return batched(self._encode(passages), self._logits, len(self.labels), self._tokens, self._pad)

    def _logits(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with self._torch.inference_mode():
            given = {"input_ids": self._torch.from_numpy(ids), "attention_mask": self._torch.from_numpy(mask)}
            if self._device == "cuda":
                given = {k: v.pin_memory().to("cuda", non_blocking=True) for k, v in given.items()}
            return np.asarray(self._model(**given).logits.float().cpu().numpy())


def check_tokenizer(tokenizer: Any, vocabulary: int) -> None:
    """ValueError for a tokenizer with less than half of the network's vocabulary. transformers makes one of five special tokens where a folder of
    some architectures holds none at all, and every text would be empty."""
    if 2 * len(tokenizer) < vocabulary:
        raise ValueError(f"its tokenizer has {len(tokenizer):,} entries, the network {vocabulary:,}: the tokenizer's files are missing or another's.")


@contextmanager
def opened_by_transformers(folder: ModelFolder) -> Iterator[None]:
    """What transformers raises for a checkpoint that it cannot fetch or read, as a ModelError."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError) as error:
        where = f"{folder.path} at {folder.revision}" if folder.revision else folder.path
        remedy = (
            "Is the Hub reachable, and is there such a commit?" if folder.revision else "It needs what save_pretrained writes of a model and of its tokenizer."
        )
        raise ModelError(f"transformers cannot open the checkpoint {where}: {' '.join(str(error).split())[:300]} {remedy}") from error


def encoder(tokenizer: str | Path, max_length: int) -> Callable[[Sequence[str]], list[list[int]]]:
    """Passages -> token ids with specials, cut at `max_length`."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(tokenizer))
    made.enable_truncation(max_length)
    made.no_padding()
    return lambda passages: [e.ids for e in made.encode_batch_fast(list(passages))]


def batched(ids: Sequence[Sequence[int]], logits: Callable[[np.ndarray, np.ndarray], np.ndarray], labels: int, batch_tokens: int, pad: int = 0) -> np.ndarray:
    """Run a network over passages sorted by length, in batches of one padded length each and about `batch_tokens` tokens. (passages, labels) float64"""
    out = np.zeros((len(ids), labels))
    if not ids:
        return out
    lengths = np.array([len(i) for i in ids])
    padded = np.maximum(-(-lengths // _STEP), 1) * _STEP  # a tokenizer without specials may leave nothing of a passage
    order = np.argsort(padded, kind="stable")
    start = 0
    while start < len(order):
        length = int(padded[order[start]])
        same = int(np.searchsorted(padded[order], length, side="right"))
        rows = order[start : min(same, start + max(1, batch_tokens // length))]
        block = np.full((len(rows), length), pad, np.int64)
        mask = np.zeros((len(rows), length), np.int64)
        for i, row in enumerate(rows):
            block[i, : lengths[row]] = ids[row]
            mask[i, : lengths[row]] = 1
        out[rows] = logits(block, mask)
        start += len(rows)
    return out
