"""The vocabulary and the shape of the small bilingual BERT. Nothing here trains; `pretrain` and `finetune` do."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)


def train_vocabulary(texts: Iterator[str], entries: int, alphabet: int) -> Tokenizer:
    """WordPiece over lower-cased text in which every Han character is a token of its own.

    NFKC first: half-width and full-width spellings of the same sign are one entry. (Only the model's view of a text; the text stays.)
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=entries, limit_alphabet=alphabet, special_tokens=list(SPECIALS), continuing_subword_prefix="##", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def config(vocabulary: int, layers: int, width: int, positions: int) -> Any:
    """The shape: heads of 64, a feed-forward part four times the width, and norms before each part rather than after it.

    With norms after (as BERT has them) the same budget of a few million tokens ended on the plateau of word frequencies: masked-word loss
    7.03 against 6.76 after 0.3 million tokens at the best rate of each.
    """
    from transformers import RobertaPreLayerNormConfig

    return RobertaPreLayerNormConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        max_position_embeddings=positions + PAD + 1,  # positions are counted from the padding id on
        type_vocab_size=1,
        pad_token_id=PAD,
        bos_token_id=CLS,
        eos_token_id=SEP,
    )


def start_positions(weight: Any) -> None:
    """Begin position embeddings as sinusoids: that a neighbour is near need not be learned first."""
    import torch

    positions, width = weight.shape
    rates = torch.exp(-math.log(10_000.0) * torch.arange(width // 2) / (width // 2))
    angles = torch.arange(positions)[:, None] * rates
    with torch.no_grad():
        weight.copy_(torch.cat([torch.sin(angles), torch.cos(angles)], dim=1) * 0.03)


@contextmanager
def without_denormals() -> Iterator[None]:
    """Numbers below the smallest normal one are 0 meanwhile: with them a step may take ten times as long on a CPU. It holds for the whole process."""
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def optimizer_of(model: Any, learning_rate: float, weight_decay: float) -> Any:
    """AdamW as both trainings use it: matrices decay, biases and norms do not."""
    import torch

    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True)


def descend(model: Any, optimizer: Any, loss: Any, rate: float, before: Callable[[], None] = lambda: None) -> float:
    """One step down a loss at a learning rate, its gradient cut to length 1; `before` is called between the two. Returns the loss."""
    import torch

    for group in optimizer.param_groups:
        group["lr"] = rate
    loss.backward()
    before()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """As transformers reads it: tokenizer.json and its small companion."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]", model_max_length=512
    )
    fast.save_pretrained(folder)
