"""Checkpoints: safetensors, whole or absent, with all that a run needs to go on bit for bit; and the export that transformers loads.

checkpoints/00001000/model.safetensors optimizer.safetensors state.json     state.json comes last and says that the rest is whole
export/config.json model.safetensors tokenizer.json tokenizer_config.json   a LlamaForCausalLM, or with norms of queries and keys a Qwen3ForCausalLM
"""

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from pipeline.errors import StoreError
from pipeline.store import Store
from pipeline.train.configs import Settings, Shape
from pipeline.train.model import Transformer

FORMAT = "skypile-checkpoint-1"
_FOLDER = "checkpoints"


def saved(store: Store) -> list[int]:
    """The steps of the checkpoints that are whole, in order."""
    return sorted(int(name) for name in store.list(_FOLDER) if name.isdigit() and store.exists(f"{_FOLDER}/{name}/state.json"))


def write(store: Store, step: int, model: Mapping[str, Tensor], optimizer: Mapping[str, Tensor], state: Mapping[str, Any], keep: int) -> None:
    """Write a checkpoint, then remove all but the newest `keep`. StoreError where the disk is full: those that were there are still."""
    folder = f"{_FOLDER}/{step:08d}"
    try:
        store.write_bytes(f"{folder}/model.safetensors", save(dict(model)))
        store.write_bytes(f"{folder}/optimizer.safetensors", save(dict(optimizer)))
        store.write_json(f"{folder}/state.json", {"format": FORMAT, "step": step, **state})
    except StoreError as error:
        store.remove(folder)
        last = saved(store)
        kept = f"The last checkpoint, of step {last[-1]:,}, is kept" if last else "There is no checkpoint yet"
        raise StoreError(f"{error} {kept}.") from error
    for old in saved(store)[:-keep]:
        store.remove(f"{_FOLDER}/{old:08d}")


def read(store: Store, step: int, shape: Shape) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Model, optimizer and state of a checkpoint. StoreError where it is of another shape, or damaged."""
    folder = f"{_FOLDER}/{step:08d}"
    state = store.read_json(f"{folder}/state.json")
    if state.get("format") != FORMAT:
        raise StoreError(f"{store.at(folder)} is no checkpoint of the format {FORMAT}. Give another folder with --out.")
    theirs = Settings.of(state["settings"]).shape
    if theirs != shape:
        differs = ", ".join(f"{k} {v} there and {shape.__dict__[k]} here" for k, v in theirs.__dict__.items() if v != shape.__dict__[k])
        raise StoreError(
            f"{store.at(folder)} is of a model of another shape: {differs}. Give the configuration that it was made with, or another folder with --out."
        )
    return weights(store, step), weights(store, step, "optimizer"), state


def weights(store: Store, step: int, name: str = "model") -> dict[str, Tensor]:
    """The tensors of a checkpoint, `model` or `optimizer`. StoreError where they are damaged."""
    folder = f"{_FOLDER}/{step:08d}"
    try:
        return dict(load(store.read_bytes(f"{folder}/{name}.safetensors")))
    except Exception as error:  # safetensors has an exception of its own
        raise StoreError(f"{store.at(folder)} is damaged ({error}). Remove that folder, and the run goes on from the checkpoint before it.") from error


def optimizer_tensors(model: Transformer, optimizers: list[Any]) -> dict[str, Tensor]:
    """What optimizers remember, by parameter and name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}:{key}": torch.as_tensor(value).clone().contiguous()
        for optimizer in optimizers
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def restore_optimizers(model: Transformer, optimizers: list[Any], tensors: Mapping[str, Tensor]) -> None:
    """Give optimizers back what they remembered."""
    by_name: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        parameter, key = name.rsplit(":", 1)
        by_name.setdefault(parameter, {})[key] = tensor
    parameters = dict(model.named_parameters())
    for optimizer in optimizers:
        mine = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        for name, state in by_name.items():
            if parameters[name] in mine:
                device = parameters[name].device
                optimizer.state[parameters[name]] = {key: value.to(device) for key, value in state.items()}  # "step" too: fused AdamW wants it there


# --- export -----------------------------------------------------------------------------------------------------------------------

_NAMES = {
    "embed.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
    "attention_norm": "input_layernorm",
    "feed_forward_norm": "post_attention_layernorm",
    "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
    **{f"attention.{n}.": f"self_attn.{n}_proj." for n in "qkvo"},
    **{f"feed_forward.{n}.": f"mlp.{n}_proj." for n in ("gate", "up", "down")},
    "blocks.": "model.layers.",
}


def transformers_name(name: str) -> str:
    """A parameter's name in transformers' Llama."""
    for ours, theirs in _NAMES.items():
        if ours == name:
            return theirs
        if not ours.endswith("weight"):
            name = name.replace(ours, theirs)
    return name


def transformers_config(shape: Shape, length: int, eos: int) -> dict[str, Any]:
    """config.json of the export."""
    return {
        "architectures": ["Qwen3ForCausalLM" if shape.qk_norm else "LlamaForCausalLM"],
        "model_type": "qwen3" if shape.qk_norm else "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_heads,
        "head_dim": shape.head_width,
        "hidden_act": "silu",
        "rms_norm_eps": shape.norm_epsilon,
        "rope_theta": shape.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "max_position_embeddings": length,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": eos,  # documents begin with it
        "eos_token_id": eos,
        "initializer_range": shape.init_std,
        "dtype": "float32",
        "use_cache": True,
    }


def export(store: Store, model: Mapping[str, Tensor], shape: Shape, length: int, eos: int, tokenizer: bytes) -> None:
    """Write the folder that transformers loads; config.json comes last."""
    tensors = {transformers_name(name): tensor.detach().float().cpu().contiguous() for name, tensor in model.items()}
    store.write_bytes("export/model.safetensors", save(tensors, {"format": "pt"}))
    store.write_bytes("export/tokenizer.json", tokenizer)
    added = {token["id"]: token["content"] for token in json.loads(tokenizer).get("added_tokens", [])}
    end = {"eos_token": added[eos], "bos_token": added[eos]} if eos in added else {}
    store.write_json("export/tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length, **end})
    store.write_json("export/config.json", transformers_config(shape, length, eos))
