"""A byte-level BPE tokenizer as arrays, read from a `tokenizer.json`; what the engines could not encode exactly is refused here.

Reading is strict: every field of the file that could change an id is either understood or refused with the reason. Fields that
only decode, or only add special tokens around a text (`decoder`, `post_processor`), do not matter and are not looked at.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.tokenize.patterns import GPT2, PATTERNS, Pattern

MAX_IDS = 1 << 21  # what a slot of the CPU engine's table holds
_NEUTRAL: dict[str, tuple[Any, ...]] = {  # settings of the model that must say nothing
    "dropout": (None, 0, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
}


def byte_characters() -> list[str]:
    """The character that stands for each byte in the files of byte-level tokenizers. GPT-2's `bytes_to_unicode`. (256,)"""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in shown else next(hidden)) for byte in range(256)]


@dataclass(frozen=True)
class Added:
    """A token that cuts the text wherever its content stands, before anything else is looked at."""

    content: bytes
    id: int
    normalized: bool  # looked for in the normalized text, after those that are not


@dataclass(frozen=True, eq=False)
class Bpe:
    """A tokenizer's tables. Merges in order of rank: row r of `merges` says that tokens left and right make a third."""

    sha256: str  # of the file
    source: bytes  # the file
    pattern: Pattern
    nfc: bool  # texts are normalized first
    whole_words: bool  # a piece that is an entry is that token, whatever the merges say (`ignore_merges`)
    entries: dict[bytes, int]  # what merges make, and the 256 bytes; not the added tokens
    byte_ids: np.ndarray  # (256,) uint32
    merges: np.ndarray  # (merges, 3) uint32: left, right, made
    added: tuple[Added, ...]

    @cached_property
    def vocabulary(self) -> int:
        """One more than the largest id."""
        return 1 + max(*self.entries.values(), *(a.id for a in self.added))

    @cached_property
    def id_type(self) -> np.dtype:
        """The smallest unsigned type that holds every id: uint16 or uint32."""
        return np.dtype(np.uint16 if self.vocabulary <= 1 << 16 else np.uint32)

    @classmethod
    def read(cls, source: bytes) -> "Bpe":
        """From the content of a tokenizer.json. Raises ModelError for what is none, and for what cannot be encoded exactly."""
        try:
            document = json.loads(source)
            model = document["model"]
            return cls._of(source, document, model)
        except ModelError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"This is not a tokenizer.json: {type(error).__name__}: {error}.") from error

    @classmethod
    def _of(cls, source: bytes, document: dict[str, Any], model: dict[str, Any]) -> "Bpe":
        if model.get("type", "BPE") != "BPE":
            raise ModelError(f"Only byte-level BPE can be encoded exactly; this tokenizer's model is {model['type']}.")
        for key, neutral in _NEUTRAL.items():
            if model.get(key) not in neutral:
                raise ModelError(f"The tokenizer's model sets {key}: {model[key]!r}, which these engines do not know.")
        for key in ("truncation", "padding"):
            if document.get(key):
                raise ModelError(f"The tokenizer sets {key}, so that its ids are not those of the whole text; set it to null.")
        characters = {c: byte for byte, c in enumerate(byte_characters())}
        entries: dict[bytes, int] = {}
        added = cls._added(document)
        theirs = {a.content.decode() for a in added}
        for token, number in model["vocab"].items():
            _check_id(token, number)
            try:
                if token:  # an empty entry is no piece of any text
                    entries[bytes(characters[c] for c in token)] = number
            except KeyError:
                if token not in theirs:  # some files list added tokens in the model too
                    raise ModelError(f"The vocabulary holds {token!r}, which is not written in byte-level characters.") from None
        if len(set(entries.values())) < len(entries):
            raise ModelError("Two entries of the vocabulary have the same id, so that ids do not say which text they stand for.")
        lacking = [byte for byte in range(256) if bytes([byte]) not in entries]
        if lacking:
            raise ModelError(f"The vocabulary lacks {len(lacking)} of the 256 bytes (the first: 0x{lacking[0]:02X}), so that not every text has ids.")
        _check_numbers(added, {a.content.decode(): model["vocab"].get(a.content.decode()) for a in added}, len(model["vocab"]))
        return cls(
            sha256=hashlib.sha256(source).hexdigest(),
            source=source,
            pattern=_pattern(document.get("pre_tokenizer")),
            nfc=_nfc(document.get("normalizer")),
            whole_words=bool(model.get("ignore_merges")),
            entries=entries,
            byte_ids=np.array([entries[bytes([byte])] for byte in range(256)], np.uint32),
            merges=cls._merges(model["merges"], entries, characters),
            added=added,
        )

    @staticmethod
    def _added(document: dict[str, Any]) -> tuple[Added, ...]:
        found: list[Added] = []
        for token in document.get("added_tokens") or ():
            odd = [key for key in ("single_word", "lstrip", "rstrip") if token.get(key)]
            if odd:
                raise ModelError(f"The added token {token['content']!r} sets {', '.join(odd)}, which these engines do not know.")
            _check_id(token["content"], token["id"])
            if token["content"] and token["content"].encode() not in {a.content for a in found}:
                found.append(Added(token["content"].encode(), token["id"], bool(token.get("normalized"))))
        if _nfc(document.get("normalizer")) and any(a.normalized for a in found):
            raise ModelError("The tokenizer has added tokens that are looked for in NFC text; mark them `normalized: false`.")
        return tuple(found)

    @staticmethod
    def _merges(rows: list[Any], entries: dict[bytes, int], characters: dict[str, int]) -> np.ndarray:
        last: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, row in enumerate(rows):
            parts = row.split(" ") if isinstance(row, str) else row
            if len(parts) != 2:
                raise ModelError(f"Merge {rank} is {row!r}, and not two entries.")
            left, right = (bytes(characters[c] for c in part) for part in parts)
            for entry in (left, right, left + right):
                if entry not in entries:
                    raise ModelError(f"Merge {rank} is {row!r}, and the vocabulary lacks {entry!r}.")
            last[entries[left], entries[right]] = (rank, entries[left + right])  # `tokenizers` too keeps the last of equals
        table = [(left, right, made) for (left, right), (_, made) in sorted(last.items(), key=lambda item: item[1][0])]
        return np.array(table, np.uint32).reshape(-1, 3)


def _check_id(token: str, number: Any) -> None:
    if type(number) is not int or not 0 <= number < MAX_IDS:
        raise ModelError(f"{token!r} has the id {number!r}; these engines hold whole numbers from 0 to {MAX_IDS - 1:,}.")


def _check_numbers(added: tuple[Added, ...], of_model: dict[str, int | None], size: int) -> None:
    """ModelError where the reference, which numbers added tokens itself when it reads a file, would give them other ids than the file says."""
    after = size
    for token in added:
        known = of_model[token.content.decode()]
        right = after if known is None else known
        if token.id != right:
            raise ModelError(
                f"The added token {token.content.decode()!r} has the id {token.id} in the file, and `tokenizers` would give it {right}: "
                "number added tokens one after the other, from the size of the model's vocabulary on."
            )
        if known is None:
            after += 1


def _pattern(setting: Any) -> Pattern:
    """The pattern that a file's pre_tokenizer says."""
    parts = setting["pretokenizers"] if setting and setting["type"] == "Sequence" else [setting]
    if len(parts) == 1 and parts[0] and parts[0]["type"] == "ByteLevel" and parts[0].get("use_regex", True) and not parts[0].get("add_prefix_space"):
        return GPT2
    if len(parts) == 2 and parts[0] and parts[1] and parts[0]["type"] == "Split" and parts[1]["type"] == "ByteLevel":
        split, level = parts
        if split["behavior"] == "Isolated" and not split.get("invert") and not level.get("use_regex", True) and not level.get("add_prefix_space"):
            for pattern in PATTERNS:
                if split["pattern"].get("Regex") == pattern.regex:
                    return pattern
            raise ModelError(f"These engines know the patterns of {', '.join(p.name for p in PATTERNS)}; this tokenizer splits by another: {split['pattern']}.")
    raise ModelError(f"These engines know byte-level tokenizers that split by one pattern; this one's pre_tokenizer is {json.dumps(setting)[:300]}.")


def _nfc(setting: Any) -> bool:
    """Whether a file's normalizer is NFC; nothing else is known."""
    if setting and setting["type"] == "Sequence":
        inner = setting["normalizers"]
        setting = inner[0] if len(inner) == 1 else (None if not inner else setting)
    if setting is None:
        return False
    if setting["type"] == "NFC":
        return True
    raise ModelError(f"The tokenizer normalizes texts by {setting['type']}; these engines know NFC, or none.")
