"""The model: a decoder of the LLaMA family in plain PyTorch, with documents that do not see one another, and a loss that never holds all logits.

Shapes: B rows, T places of a row, D width, H heads, K heads of keys and values, W width of a head, V vocabulary, N = B x T places of a batch.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # as everybody has it
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pipeline.errors import PlanError
from pipeline.train.configs import Shape

_CHUNK = {"cuda": 16_384, "cpu": 256}  # places whose logits exist at the same time: 2 GB in bf16, or 64 MB in float32, at 65,536 entries


class Attention(nn.Module):
    """Causal, with rotary positions; grouped queries and norms of queries and keys where the shape says so."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        heads, keys = shape.heads * shape.head_width, shape.key_heads * shape.head_width
        self.q = nn.Linear(shape.width, heads, bias=False)
        self.k = nn.Linear(shape.width, keys, bias=False)
        self.v = nn.Linear(shape.width, keys, bias=False)
        self.o = nn.Linear(heads, shape.width, bias=False)
        if shape.qk_norm:
            self.q_norm = nn.RMSNorm(shape.head_width, eps=shape.norm_epsilon)
            self.k_norm = nn.RMSNorm(shape.head_width, eps=shape.norm_epsilon)

    def forward(self, x: Tensor, rope: Tensor, mask: Any) -> Tensor:
        """(B, T, D) -> (B, T, D). rope: (2, T, W). mask: (B, 1, T, T) bool, a BlockMask of flex attention, or None for one document a row."""
        b, t, _ = x.shape
        q, k, v = (y.view(b, t, -1, self.shape.head_width) for y in products(x, self.q, self.k, self.v))
        v = v.transpose(1, 2)
        if self.shape.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q.transpose(1, 2), rope).to(v.dtype), rotate(k.transpose(1, 2), rope).to(v.dtype)  # (B, H, T, W), (B, K, T, W)
        grouped = self.shape.heads != self.shape.key_heads
        if mask is None or isinstance(mask, Tensor):
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=grouped)
        else:
            from torch.nn.attention.flex_attention import flex_attention

            y = flex_attention(q, k, v, block_mask=mask, enable_gqa=grouped)
        return self.o(y.transpose(1, 2).reshape(b, t, -1))


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        gate, up = products(x, self.gate, self.up)
        return self.down(F.silu(gate) * up)


def products(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """What some layers make of the same x, in one product: matrices of small models are too small to fill a GPU one by one."""
    weights = [layer.weight for layer in layers]
    return F.linear(x, torch.cat(weights)).split([len(weight) for weight in weights], dim=-1)


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.attention = Attention(shape)
        self.feed_forward_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.feed_forward = FeedForward(shape)

    def forward(self, x: Tensor, rope: Tensor, mask: Any) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        x = x + self.attention(self.attention_norm(x), rope, mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Transformer(nn.Module):
    """All of it. Makes no parameter larger than the embeddings, so the 13B shape can be looked at on the meta device."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.judge: Judge = judged

    def compile_parts(self) -> None:
        """Have torch compile what it fuses well: the blocks, all alike, so once; and what the loss does to logits. Products of the loss stay as they are.

        Kernels are chosen by rule and not by a race, and the gradient of the embeddings, which would be summed in any order, is left out: a run that goes on
        has to come to the same bits. For shapes as they come: flex attention is slower where sizes are left open.
        """
        options: dict[str, Any] = {"dynamic": False, "options": {"deterministic": True}}
        for block in self.blocks:
            block.compile(**options)
        self.judge = torch.compile(judged, **options)

    def initialise(self, seed: int) -> "Transformer":
        """Normal with the shape's deviation; what adds to the residual stream is divided by sqrt(2 layers) (GPT-2, Radford et al. 2019)."""
        with torch.no_grad():
            chance = torch.Generator().manual_seed(seed)  # on the CPU, so that every device begins with the same numbers
            for name, parameter in self.named_parameters():
                if parameter.ndim < 2:
                    parameter.fill_(1.0)
                    continue
                into_residual = name.endswith(("attention.o.weight", "feed_forward.down.weight"))
                deviation = self.shape.init_std / (math.sqrt(2 * self.shape.layers) if into_residual else 1)
                parameter.copy_(torch.empty(parameter.shape).normal_(0, deviation, generator=chance))
        return self

    def forward(self, ids: Tensor, targets: Tensor | None = None, mask: Any = None) -> Tensor:
        """With targets, (B, T) int64: the sum over all places of -log p(target), in nats, a scalar float32. Without: logits, (B, T, V)."""
        x = self.embed(ids)
        rope = rotary(ids.shape[1], self.shape, ids.device)
        for block in self.blocks:
            x = block(x, rope, mask)
        x = self.norm(x)
        if targets is None:
            return self.head(x)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        weight = self.head.weight if torch.is_grad_enabled() else self.head.weight.detach()  # of a parameter, a gradient would be made for nobody
        return CrossEntropy.apply(x.flatten(0, 1), weight, targets.flatten(), self.judge)


Judge = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor, Tensor]]


def judged(logits: Tensor, at: Tensor, needed: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of losses; and, where they are `needed`, their gradients by the logits: as if there were no targets, and what is to stand at the targets.

    logits: (n, V), at: (n, 1) int64 -> scalar float32, (n, V) and (n, 1) of the logits' type. Float32 logits are overwritten: on a CPU nothing is fused, and
    every fresh page costs. A target's p - 1 is made in float32, since in bf16 a p near 1 would leave nothing of it.
    """
    wide = logits.float()
    said = wide.gather(1, at)
    top = wide.amax(1, keepdim=True)
    whole = wide.sub_(top).exp_().sum(1, keepdim=True)
    loss = (whole.log() + top - said).sum()
    if not needed:
        return loss, said, said
    return loss, wide.div_(whole).to(logits.dtype), ((said - top).exp() / whole - 1).to(logits.dtype)


class CrossEntropy(torch.autograd.Function):
    """Cross-entropy over a large vocabulary, a chunk of places at a time: gradients are made beside the loss, so no logits are kept or made twice."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, targets: Tensor, judge: Judge = judged) -> Tensor:
        """x: (N, D), float32 or bf16; weight: (V, D) float32; targets: (N,) int64 -> the sum of losses, float32. Logits: at most (_CHUNK, V), of x's type.

        judge: `judged`, or it compiled.
        """
        total = torch.zeros((), dtype=torch.float32, device=x.device)
        needed = context.needs_input_grad[0] or context.needs_input_grad[1]
        x_gradient = torch.empty_like(x) if needed else None
        weight_gradient = torch.zeros_like(weight) if needed else None
        weight = weight.to(x.dtype)
        chunk = min(_CHUNK.get(x.device.type, 256), len(x))
        room = torch.empty(chunk, len(weight), dtype=x.dtype, device=x.device)  # once: fresh pages cost a CPU more than the sums do
        for begin in range(0, len(x), chunk):
            here, at = x[begin : begin + chunk], targets[begin : begin + chunk, None]
            logits = torch.mm(here, weight.T, out=room[: len(here)])
            loss, chances, at_targets = judge(logits, at, needed)
            total += loss
            if x_gradient is not None and weight_gradient is not None:
                chances.scatter_(1, at, at_targets)
                torch.mm(chances, weight, out=x_gradient[begin : begin + chunk])
                if x.dtype == torch.float32:
                    weight_gradient.addmm_(chances.T, here)
                else:
                    weight_gradient += chances.T @ here
        context.save_for_backward(x_gradient, weight_gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Of x and of weight, times what comes from above."""
        x_gradient, weight_gradient = context.saved_tensors
        return x_gradient * gradient, weight_gradient * gradient, None, None


def device_of(name: str) -> str:
    """cuda or cpu for `auto`, cuda or cpu. PlanError for others, and for a GPU that is not there. On a GPU float32 products are TF32 from here on."""
    there = torch.cuda.is_available()
    if name not in ("auto", "cpu", "cuda"):
        raise PlanError(f"There is no device '{name}'. There are auto, cpu and cuda.")
    if name == "cuda" and not there:
        raise PlanError("There is no GPU that torch sees here. Use --device cpu.")
    if name == "cpu" or not there:
        return "cpu"
    torch.set_float32_matmul_precision("high")
    return "cuda"


def rotary(length: int, shape: Shape, device: torch.device) -> Tensor:
    """Cosines and sines of rotary positions (Su et al. 2021), halves side by side as transformers has them. (2, T, W) float32"""
    powers = torch.arange(0, shape.head_width, 2, dtype=torch.float32, device=device) / shape.head_width
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), shape.rope_theta**-powers)
    return torch.stack((angles.cos(), angles.sin())).repeat(1, 1, 2)


def rotate(x: Tensor, rope: Tensor) -> Tensor:
    """(B, H, T, W), turned by the angles of its places."""
    one, other = x.float().chunk(2, dim=-1)
    return x * rope[0] + torch.cat((-other, one), dim=-1) * rope[1]


def document_mask(ids: Tensor, separator: int, blocks: bool | None = None) -> Any:
    """Who may see whom: earlier places of the same document, which begins with the separator. ids: (B, T).

    A BlockMask of flex attention, which attention reads block by block, or (B, 1, T, T) bool; the first on a GPU, unless `blocks` says.
    """
    document = (ids == separator).cumsum(1, dtype=torch.int32)  # (B, T)
    if not (ids.is_cuda if blocks is None else blocks):
        causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril()
        return (document[:, :, None] == document[:, None, :])[:, None] & causal

    def sees(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (document[row, query] == document[row, key])

    return _block_masks(ids.is_cuda)(sees, ids.shape[0], None, ids.shape[1], ids.shape[1], device=ids.device)


@cache
def _block_masks(compiled: bool) -> Any:
    """What makes block masks. Uncompiled it writes down the whole of (B, T, T) first."""
    from torch.nn.attention.flex_attention import create_block_mask

    return torch.compile(create_block_mask, dynamic=False) if compiled else create_block_mask
