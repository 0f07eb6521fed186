"""Verdicts that are no bounds on numbers: licences and opt-outs; and exceptions to a stage's rows."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import ModelError
from pipeline.stages import Filter, Licences, OptOut, Scrub


def test_licences_by_expression_and_confidence() -> None:
    stage = Licences.model_validate({"allow": ["MIT", "Apache-2.0"]})
    table = pa.table(
        {
            "licence": ["MIT", "MIT OR GPL-2.0-only", "GPL-2.0-only", None, "MIT", "MIT AND GPL-2.0-only", "CC-BY-4.0"],
            "licence_confidence": pa.array([1.0, 0.9, 1.0, None, 0.4, 1.0, None], pa.float64()),
        }
    )
    assert stage.broken(table) == [
        None,
        None,
        "licence GPL-2.0-only",
        "no licence known",
        "no licence known",
        "licence MIT AND GPL-2.0-only",
        "licence CC-BY-4.0",
    ]
    assert Licences.model_validate({"allow": "MIT", "unknown": "keep"}).broken(table)[3:5] == [None, None]


def test_opt_outs_name_repositories_and_owners(tmp_path: Path) -> None:
    listed = tmp_path / "out.txt"
    listed.write_text("# who asked\nOwner/Repo\n\nsomebody/   # all of theirs\nlone\n", encoding="utf-8")
    stage = OptOut.model_validate({"file": str(listed)})
    table = pa.table({"repository": ["owner/repo", "owner/other", "Somebody/x", "LONE", None, ""]})
    assert stage.broken(table) == ["opted out", None, "opted out", "opted out", None, None]
    listed.write_text("\ufefftorvalds/linux\nhttps://github.com/a/b.git\nutils\n", encoding="utf-8")
    table = pa.table({"repository": ["linux", "torvalds/linux", "other/linux", "A/B", "o1/utils", "c/b"]})
    assert stage.broken(table) == ["opted out", "opted out", None, "opted out", "opted out", None]
    listed.write_text("# who asked\nOwner/Repo\n\nsomebody/   # all of theirs\nlone\n", encoding="utf-8")
    before = stage.identity()
    (tmp_path / "moved.txt").write_text("lone\nsomebody/\nowner/repo\n", encoding="utf-8")
    assert OptOut.model_validate({"file": str(tmp_path / "moved.txt")}).identity() == before, "the content bears identity"
    listed.write_text("lone\n", encoding="utf-8")
    assert stage.identity() != before
    with pytest.raises(ModelError, match="cannot be read"):
        OptOut.model_validate({"file": str(tmp_path / "none.txt")}).identity()


def test_exceptions_reach_text_stages_too() -> None:
    stage = Scrub.model_validate({"for": {"source": ["a", "b"]}, "unless": {"source": "b"}})
    assert [stage.reaches(name) for name in "abc"] == [True, False, False]


def test_exceptions_to_a_stage() -> None:
    stage = Filter.model_validate(
        {"name": "lines", "for": {"domain": "code"}, "unless": {"programming_language": ["HTML", "JSON"]}, "bounds": {"max_line_length": {"max": 10}}}
    )
    table = pa.table({"domain": ["code", "code", "en", "code"], "programming_language": ["C", "HTML", None, None]})
    assert stage.mask(table).tolist() == [True, False, False, True]
    assert set(stage.reads()) == {"domain", "programming_language", "max_line_length"}
    assert "unless" in stage.identity()["settings"]
    assert "unless" not in Filter.model_validate({"name": "lines", "bounds": {"max_line_length": {"max": 10}}}).identity()["settings"]
