"""Which of several copies stays."""

import pyarrow as pa

from pipeline.dedup.exact import preference, rank_order
from pipeline.stages import Deduplicate


def test_of_copies_the_repository_with_most_stars_stays_then_the_newest() -> None:
    documents = pa.table(
        {
            "source": ["b", "b", "a", "b", "b"],
            "stars": pa.array([5, 90_000, 0, None, 90_000], pa.int64()),
            "date": ["2024", "2020", "2019", "2025", "2021"],
            "id": ["1", "2", "3", "4", "5"],
        }
    )
    for keep, expected in (("most_stars", ["5", "2", "1", "4"]), ("newest", ["4", "1", "5", "2"]), ("oldest", ["2", "5", "1", "4"])):
        stage = Deduplicate.model_validate({"by": "text", "keep": keep, "prefer": "a"})
        ranked = documents.append_column("prefer", pa.array(preference(documents, stage))).append_column("tie", pa.array([0] * 5))
        assert ranked.sort_by(rank_order(stage.keep)).column("id").to_pylist() == ["3", *expected]
        assert ("stars" in stage.reads()) == (keep == "most_stars")
