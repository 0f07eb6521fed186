"""SkyPile builder: raw crawls and source code in, a bilingual pretraining corpus out: mixed, explained, reproducible.

The public names, flat. Importing this loads neither ray, torch nor transformers: names are looked up when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# name -> module that holds it
_NAMES = {
    "Recipe": "pipeline.recipe",
    "Release": "pipeline.shards",
    "ablate": "pipeline.train.ablate",
    "card": "pipeline.publish.card",
    "classify": "pipeline.library",
    "detect_language": "pipeline.library",
    "diff": "pipeline.inspect.diff",
    "encode": "pipeline.tokenize",
    "explain": "pipeline.inspect.explain",
    "extract_text": "pipeline.rewrite.extract",
    "judge": "pipeline.library",
    "measure": "pipeline.library",
    "near_duplicates": "pipeline.dedup.near",
    "open_release": "pipeline.shards",
    "open_tokens": "pipeline.token_shards",
    "plan": "pipeline.planning",
    "probe": "pipeline.inspect.probe",
    "run": "pipeline.runner",
    "signatures": "pipeline.library",
    "takedown": "pipeline.publish.takedown",
    "verify": "pipeline.publish.verify",
    "write_tokens": "pipeline.token_shards",
}

__all__ = list(_NAMES)  # one list of names, not two

if TYPE_CHECKING:
    from pipeline.dedup.near import near_duplicates as near_duplicates
    from pipeline.planning import plan as plan
    from pipeline.recipe import Recipe as Recipe
    from pipeline.rewrite.extract import extract_text as extract_text
    from pipeline.runner import run as run
    from pipeline.shards import Release as Release
    from pipeline.shards import open_release as open_release
    from pipeline.token_shards import open_tokens as open_tokens
    from pipeline.token_shards import write_tokens as write_tokens


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'pipeline' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
