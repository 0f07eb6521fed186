"""The one door to the engines: `reference`, `cpu` and `gpu`, which give the same ids for the same bytes."""

import ctypes
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.errors import ModelError
from pipeline.store import MODELS, open_model
from pipeline.tokenize.bpe import Bpe
from pipeline.tokenize.gpu_tables import ID_BITS

SHIPPED = tuple(name for name, (_, path, _) in MODELS.items() if path.startswith("tokenize/"))
DEVICES = ("auto", "cpu", "cuda", "reference")


class Engine(Protocol):
    """What turns texts into ids. Not to be shared between threads."""

    bpe: Bpe

    def encode(self, content: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all texts, end to end, and how many each text has; no special tokens are added.

        content: UTF-8, (bytes,) uint8; offsets: (texts + 1,) int64. Bytes that are no UTF-8 count as U+FFFD, as Python's
        `errors="replace"` has it. Returns (tokens,) of `bpe.id_type`, (texts,) int64.
        """


def open_engine(tokenizer: str, device: str = "auto") -> Engine:
    """The engine of a device for a tokenizer: one that ships, by its name, or a path to a `tokenizer.json`.

    `auto` is CUDA where torch and triton are installed and see a GPU, else the CPU. Raises ModelError for an unknown tokenizer or
    device, for CUDA where there is none, and for a tokenizer that cannot be encoded exactly, with the reason.
    """
    if device not in DEVICES:
        raise ModelError(f"There is no device '{device}'. There are: {', '.join(DEVICES)}.")
    bpe = read_tokenizer(tokenizer)
    if device == "auto":
        device = "cpu" if _cuda_lacks() or bpe.vocabulary > 1 << ID_BITS else "cuda"
    if device == "cuda":
        lacks = _cuda_lacks()
        if lacks:
            raise ModelError(f"cuda cannot be used here: {lacks}. Use --device cpu, which gives the same ids.")
        from pipeline.tokenize.gpu import GpuEngine

        return GpuEngine(bpe)
    if device == "reference":
        from pipeline.tokenize.reference import ReferenceEngine

        return ReferenceEngine(bpe)
    from pipeline.tokenize.cpu import CpuEngine

    return CpuEngine(bpe)


def read_tokenizer(name: str) -> Bpe:
    """A tokenizer that ships, by its name, or one by the path of its `tokenizer.json`. Raises ModelError."""
    if name in SHIPPED:
        return Bpe.read(Path(open_model(f"bundled:{name}").path).read_bytes())
    try:
        return Bpe.read(Path(name).read_bytes())
    except OSError as error:
        raise ModelError(
            f"There is no tokenizer '{name}': it is neither one that ships ({', '.join(SHIPPED)}) nor a tokenizer.json that can be read ({error.strerror})."
        ) from None


def _cuda_lacks() -> str:
    """Why CUDA cannot be used; empty where it can. The driver is asked for first: importing torch takes seconds."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "this machine has no NVIDIA driver"
    try:
        import torch
        import triton  # noqa: F401  # the engine's kernels need it
    except ImportError as error:
        return f"{error.name} is not installed (the extra `gpu` brings it)"
    torch_module: Any = torch
    return "" if torch_module.cuda.is_available() else "torch sees no GPU"
