"""What the trainer's tests share: a small release's tokens with a vocabulary of its own, and a model that learns them in seconds."""

from pathlib import Path
from typing import Any

import pipeline
from pipeline.store import Store
from pipeline.token_shards import TokenRelease, write_tokens
from pipeline.tokenize import train as vocabulary
from pipeline.train.configs import Settings, settings
from tests.test_token_shards import PIECES, release_at

STEM = {"domain": ["en"], "bounds": {"stem_stem": {"min": 0.5}}}
PHASES: list[dict[str, Any]] = [
    {"name": "stage1", "tokens": 3000, "slices": []},
    {"name": "stage2", "tokens": 1000, "slices": [{"name": "stem", "select": STEM, "share": {"from": 0.1, "to": 0.4, "ramp": "quadratic"}}]},
]


def tokens_at(folder: Path, phases: list[dict[str, Any]] = PHASES) -> TokenRelease:
    """Tokens of the small release of tests/test_token_shards.py, by a vocabulary of 330 entries, with a schedule of two stages."""
    folder.mkdir(parents=True)
    path = folder / "tokenizer.json"
    path.write_bytes(vocabulary.train([PIECES * 3], 330))
    made = release_at(folder / "releases" / "small@1.0", path, str(path))
    Store(made.path).write_json("schedule.json", {"phases": phases})
    return write_tokens(pipeline.open_release(made.path), str(folder / "tokens"), tokenizer=str(path))


def small(**changes: Any) -> Settings:
    """Two layers of 32, 30 steps."""
    base = {
        "layers": 2, "width": 32, "heads": 2, "hidden": 64, "vocabulary": 512, "steps": 30, "batch_tokens": 256, "sequence_length": 64, "validate_tokens": 512,
        "learning_rate": 2e-2, "embedding_learning_rate": 2e-2, "checkpoint_every": 10,
    }  # fmt: skip
    return settings("tiny", **{**base, **changes})
