"""A fine-tuned BERT -> an ONNX network with int8 weights and activations whose scales are fixed: the form that ships.

Dynamic quantisation takes its activation scale from the whole batch, so that a score would depend on its neighbours. Here every scale comes
from calibration texts, once; integer products are exact in any order, and the rest is computed row by row.
"""

import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# What stays float32: attention's two products (of activations both: little time, much precision), and everything that is not a product.
_QUANTISED = ["MatMul", "Gemm", "Gather"]


def inference_form(model: Any) -> Any:
    """A RobertaPreLayerNormForSequenceClassification as the module that is exported: the same numbers with a third less work.

    Tokens lie in one matrix (so that a product and its bias are one Gemm, which the quantiser fuses), attention is ONNX's own operator on
    query, key and value as those products leave them (no transposed copies, no scores of all heads in memory), and the last layer computes
    its output for [CLS] alone, which is all that the head reads.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812  # torch's own short name

    class Inference(torch.nn.Module):  # type: ignore[misc]  # untyped where torch is not installed
        def __init__(self) -> None:
            super().__init__()
            body, config = model.roberta_prelayernorm, model.config
            self.heads, self.width = config.num_attention_heads, config.hidden_size
            self.embeddings, self.layers, self.norm = body.embeddings, body.encoder.layer, body.LayerNorm
            self.head = model.classifier
            with torch.no_grad():
                table = self.embeddings.position_embeddings.weight[config.pad_token_id + 1 :]  # the first token has the place after the padding id
                self.positions = torch.nn.Parameter(table + self.embeddings.token_type_embeddings.weight[0])  # every token is of type 0

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            b, s = input_ids.shape
            hidden = F.embedding(input_ids, self.embeddings.word_embeddings.weight) + self.positions[:s]
            hidden = self.embeddings.LayerNorm(hidden).reshape(b * s, self.width)
            unseen = (1.0 - attention_mask.to(hidden.dtype)).reshape(b, 1, 1, s) * -1e4
            for i, layer in enumerate(self.layers):
                normed = layer.attention.LayerNorm(hidden)
                attention = layer.attention.self
                key, value = attention.key(normed).reshape(b, s, self.width), attention.value(normed).reshape(b, s, self.width)
                if i == len(self.layers) - 1:
                    hidden, normed = (t.reshape(b, s, self.width)[:, 0] for t in (hidden, normed))
                query = attention.query(normed).reshape(b, -1, self.width)
                mask = unseen.expand(b, 1, query.shape[1], s)
                context = torch.onnx.ops.attention(query, key, value, mask, q_num_heads=self.heads, kv_num_heads=self.heads)[0].reshape(-1, self.width)
                hidden = layer.attention.output.dense(context) + hidden
                inner = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(layer.intermediate.LayerNorm(hidden)))
                hidden = layer.output.dense(inner) + hidden
            return self.head.out_proj(torch.tanh(self.head.dense(self.norm(hidden))))

    return Inference()


def export_onnx(model: Any, path: Path) -> None:
    """Write a sequence classifier of transformers as ONNX with inputs input_ids and attention_mask, both (batch, length) int64, and output logits."""
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc]  # the same
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    model = model.float().eval()
    model.config._attn_implementation = "eager"
    module = inference_form(model) if model.config.model_type == "roberta-prelayernorm" else Logits()
    example = (torch.ones(2, 16, dtype=torch.int64), torch.ones(2, 16, dtype=torch.int64))
    batch, length = torch.export.Dim("batch", min=1, max=65536), torch.export.Dim("length", min=2, max=512)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            example,
            str(path),
            dynamo=True,
            opset_version=23,  # the first with an attention operator
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": {0: batch, 1: length}, "attention_mask": {0: batch, 1: length}},
            external_data=False,
            verbose=False,
        )


class _Calibration:
    """Batches of calibration texts, as onnxruntime's quantiser reads them: one text a batch, so that no padding enters the ranges."""

    def __init__(self, ids: Sequence[Sequence[int]]) -> None:
        self._feed: Iterator[dict[str, np.ndarray]] = iter(
            [{"input_ids": np.array([i], np.int64), "attention_mask": np.ones((1, len(i)), np.int64)} for i in ids if len(i) > 1]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feed, None)


def quantise(source: Path, target: Path, ids: Sequence[Sequence[int]]) -> None:
    """Quantise statically: int8 weights a channel, uint8 activations with scales from the calibration texts' token ids."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        model = onnx.load(source)
        del model.graph.value_info[:]  # shapes that the exporter noted trip the quantiser
        plain, prepared = Path(folder) / "plain.onnx", Path(folder) / "prepared.onnx"
        onnx.save(model, plain)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        initializers = {i.name for i in graph.initializer}
        # Products of two activations: attention's. They stay float32.
        keep = [n.name for n in graph.node if n.op_type == "MatMul" and not any(i in initializers for i in n.input)]
        quantize_static(
            str(prepared),
            str(target),
            _Calibration(ids),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=keep,
            calibrate_method=CalibrationMethod.MinMax,
            # Products give float32 back: what would follow is a sum or a norm, and a second rounding is neither quicker nor exact.
            extra_options={
                "WeightSymmetric": True,
                "ActivationSymmetric": False,
                "DisableShapeInference": True,
                "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
            },
        )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
