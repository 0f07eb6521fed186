"""The flagship against the truth about the sample: what each stage should find, it finds, and nothing else."""

from collections.abc import Mapping

import pytest

from pipeline.sources.sample import score
from tests.running import Finished, World


def scored(world: World, finished: Finished) -> dict[str, dict[str, float]]:
    """stage -> expected, found, precision and recall."""
    kept = {value for split in ("train", "validation") for batch in finished.release.documents(split=split, columns=["id", "url"]) for column in batch.columns for value in column.to_pylist()}
    ledger = finished.release.ledger.to_pylist()
    kept |= {value for row in ledger if row["stage"] in ("mix", "downsample_programming_language") for value in (row["id"], row["url"])}  # sound, but more than the mix needs
    table = score(world.truth, [row for row in ledger if row["stage"] not in ("mix", "downsample_programming_language")], kept)
    return {row["stage"]: row for row in table.to_pylist()}
