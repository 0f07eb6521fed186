"""What moves the parameters: Muon or AdamW the matrices of the blocks, AdamW embeddings, head and norms, at a rate of their own. torch's own."""

from typing import Any

import torch

from pipeline.train.configs import Settings
from pipeline.train.model import Transformer


def optimizers(model: Transformer, settings: Settings) -> list[Any]:
    """One or two optimizers. Weight decay on matrices alone. Every group keeps its peak rate as `peak`, which the loop multiplies."""
    blocks = [p for p in model.blocks.parameters() if p.ndim == 2]
    ends = [model.embed.weight, model.head.weight]
    norms = [p for p in model.parameters() if p.ndim < 2]
    rate, end_rate, decay = settings.learning_rate, settings.embedding_learning_rate, settings.weight_decay
    adam: dict[str, Any] = {"betas": settings.betas, "eps": 1e-8, "fused": True}
    others = [_group(ends, end_rate, decay), _group(norms, end_rate, 0.0)]
    if settings.optimizer == "adamw":
        made: list[Any] = [torch.optim.AdamW([_group(blocks, rate, decay), *others], **adam)]
    else:
        muon = torch.optim.Muon([_group(blocks, rate, decay)], momentum=settings.momentum, nesterov=True, adjust_lr_fn="match_rms_adamw")
        made = [muon, torch.optim.AdamW(others, **adam)]
    return made


def _group(parameters: list[Any], rate: float, decay: float) -> dict[str, Any]:
    return {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}


def set_rate(made: list[Any], share: float) -> None:
    """Every group's rate, as a share of its peak."""
    for optimizer in made:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
