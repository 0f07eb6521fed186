"""Ablations: what their files may say, that no trial is trained twice, and one real one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.errors import PipelineError, PlanError, RecipeError, TaskFailed
from pipeline.store import Store, open_model
from pipeline.train import ablate as ablating
from pipeline.train.ablate import ablate
from pipeline.train.ablation_spec import Spec
from pipeline.train.evaluate import evaluate
from tests.running import World

RECIPE = """
extends: skypile
name: posts
version: "1"
sources:
  social: {reader: jsonl, files: "social/*.jsonl", columns: {text: text, url: url, date: date, domain: lang}, subdomain: social}
stages:
  - filter: {name: long, for: {subdomain: social}, bounds: {character_count: {min: 60}}}
  - deduplicate: {by: id}
mix: {shares: {en: 0.5, zh: 0.5}, max_epochs: 1}
"""
SPEC = """
name: posts
recipe: posts.yaml
baseline: raw
variants:
  raw: {without: all}
  ours: {}
train:
  config: tiny
  steps: 3
  learning_rates: [1e-2, 1e-3]
  seeds: [1, 2]
  settings: {layers: 1, width: 32, heads: 1, hidden: 64, batch_tokens: 256, sequence_length: 64, validate_tokens: 256}
evaluate: {documents: 8, max_bytes: 300}
"""


@pytest.fixture(scope="module")
def place(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An ablation's file and recipe, inputs, validation sets, and a work folder in which the arms are made once."""
    folder = tmp_path_factory.mktemp("ablate")
    (folder / "posts.yaml").write_text(RECIPE)
    (folder / "spec.yaml").write_text(SPEC)
    rows = [json.loads(line) for file in sorted((world.folder / "encyclopaedia").glob("*.jsonl")) for line in file.read_text(encoding="utf-8").splitlines()]
    for domain in ("en", "zh"):
        lines = [json.dumps({"text": row["text"]}) for row in rows if row["lang"] == domain]
        (folder / f"{domain}.jsonl").write_text("\n".join(lines) + "\n")
    return {
        "folder": folder,
        "spec": folder / "spec.yaml",
        "work": folder / "work",
        "inputs": {"social": world.inputs["social"]},
        "validation": {domain: str(folder / f"{domain}.jsonl") for domain in ("en", "zh")},
    }


class Uniform:
    """A scorer for which every token is as likely as another; how likely depends on the trial."""

    eos = 0

    def __init__(self, nats: float) -> None:
        self.nats, self.tokenizer = nats, open_model("bundled:skypile-65k").path

    def nll(self, documents: list[np.ndarray]) -> list[np.ndarray]:
        return [np.full(len(ids), self.nats, np.float32) for ids in documents]


class Told:
    """Stands for the training: notes down what it is asked, and fails where told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float, int]] = []
        self.draws: dict[tuple[str, int], int] = {}
        self.fails: set[int] = set()

    def __call__(self, store: Store, digest: str, tokens: str, plain: dict[str, Any], sets: Any, documents: int, max_bytes: int, keep: bool) -> dict[str, Any]:
        if len(self.asked) in self.fails:
            self.asked.append(("", 0.0, 0))
            raise TaskFailed("The loss is no number at step 2.")
        arm, _, draw = Path(tokens).parent.name.split("@")[0].removeprefix("posts-").partition(".draw")
        self.draws[arm, plain["seed"]] = int(draw or 1)
        self.asked.append((arm, plain["learning_rate"], plain["seed"]))
        nats = 9.0 + plain["learning_rate"] + 0.001 * plain["seed"] * (1 if arm == "raw" else 2) - (1.0 if arm == "ours" else 0.0)
        evaluate(Uniform(nats), sets, documents=documents, max_bytes=max_bytes).save(store.at(f"ablations/trials/{digest}/evaluation"))
        about = {"loss": 1.0, "tokens": 3, "steps": 3, "parameters": 1, "seconds": 0.5, "device": "cpu"}
        store.write_json(f"ablations/trials/{digest}/trial.json", about)
        return about


@pytest.fixture
def told(place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    found = Told()
    monkeypatch.setattr(ablating, "run_trial", found)
    yield found
    Store(str(place["work"])).remove("ablations/trials")


def run(place: dict[str, Any], spec: str | Path | Spec | None = None, **changes: Any) -> ablating.Ablation:
    arguments = {"inputs": place["inputs"], "validation": place["validation"], "here": True, **changes}
    return ablate(spec or place["spec"], place["work"], **arguments)


# --- what a file may say ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("baseline: raw", "baseline: rew", "spec.yaml:4: baseline: there is no variant 'rew' (did you mean 'raw'?)"),
        ("without: all", "wihtout: all", "spec.yaml:6: variants.raw.wihtout: unknown setting (did you mean 'without'?)"),
        ("ours: {}", "ours: {as_many_as: raw}", "spec.yaml:7: variants.ours: as_many_as needs `of:`"),
        ("ours: {}", "ours: {of: more}\n  more: {of: ours}", "spec.yaml:7: variants.ours: it is made of itself: ours -> more -> ours"),
        ("steps: 3", "steps: 0", "spec.yaml:10: train.steps"),
        ("seeds: [1, 2]", "seeds: [1, 1]", "train: seeds names one twice"),
        ("layers: 1", "seed: 1", "train: seed has a place of its own here: `seeds:`"),
        ("baseline: raw", "baseline: raw\neach_filter_off: true", None),
        ("ours: {}", "ours: {without: [long]}\neach_filter_off: true", "spec.yaml:8: each_filter_off: it compares with the recipe as it is"),
        ("max_bytes: 300", "max_bytes: 300, groups: {both: [en]}, sets: {zh: x}", "evaluate.groups.both: there is no set 'en'"),
    ],
)
def test_a_fault_of_the_file_names_line_path_and_remedy(tmp_path: Path, wrong: str, right: str, told: str | None) -> None:
    assert wrong in SPEC
    (tmp_path / "spec.yaml").write_text(SPEC.replace(wrong, right))
    if told is None:
        assert Spec.load(tmp_path / "spec.yaml").each_filter_off is True
        return
    with pytest.raises(RecipeError) as error:
        Spec.load(tmp_path / "spec.yaml")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("ours: {}", "ours: {without: [lomg]}", "variants.ours.without: 'lomg' cannot be taken away; there are all, long"),
        ("ours: {}", "ours: {without: [deduplicate_id]}", "variants.ours.without: 'deduplicate_id' cannot be taken away"),
        ("config: tiny", "config: tinny", "There is no configuration 'tinny'"),
        ("layers: 1", "leyers: 1", "'leyers' is no setting of training"),
        ("baseline: raw", "baseline: raw\neach_filter_off: [short]", "the recipe has no filter 'short'; it has long"),
    ],
)
def test_what_does_not_fit_the_recipe_or_the_trainer_is_told_before_anything_runs(place: dict[str, Any], wrong: str, right: str, told: str) -> None:
    file = place["folder"] / "wrong.yaml"
    file.write_text(SPEC.replace(wrong, right).replace("name: posts", "name: wrong"))
    with pytest.raises(PipelineError) as error:
        run(place, file)
    assert told in str(error.value)
    assert not (place["work"] / "ablations/wrong/result.json").exists()


def test_an_ablation_without_validation_sets_is_refused(place: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="--validation NAME=GLOB"):
        run(place, validation={})


# --- trials ---------------------------------------------------------------------------------------------------------------------


def test_every_arm_is_trained_with_every_rate_and_seed_once(place: dict[str, Any], told: Told) -> None:
    found = run(place)
    assert sorted(told.asked) == sorted((arm, rate, seed) for arm in ("raw", "ours") for rate in (1e-2, 1e-3) for seed in (1, 2))
    again = run(place)
    assert len(told.asked) == 8, "a second run trains nothing"
    assert again.to_dict() == found.to_dict()
    assert found.comparisons["ours"][1e-2].verdict == "better" and found.verdicts == {"ours": "better"}
    assert told.draws == {(arm, seed): seed for arm in ("raw", "ours") for seed in (1, 2)}, "half of the mix is Chinese, and more English is there"
    assert {(t.arm, t.seed, t.release.split("@")[0]) for t in found.trials} == {
        (arm, seed, f"posts-{arm}" + (f".draw{seed}" if seed > 1 else "")) for arm in ("raw", "ours") for seed in (1, 2)
    }
    assert "ours: its documents are drawn, others for each seed" in str(found)


def test_what_a_trial_does_not_depend_on_trains_nothing(place: dict[str, Any], told: Told, tmp_path: Path) -> None:
    run(place)
    moved = {}
    for domain, file in place["validation"].items():
        moved[domain] = str(tmp_path / f"{domain}.jsonl")
        Path(moved[domain]).write_text("".join(reversed(Path(file).read_text().splitlines(keepends=True))))
    run(place, validation=moved)
    (tmp_path / "sets.yaml").write_text(json.dumps({domain: [file] for domain, file in moved.items()}))
    run(place, validation=str(tmp_path / "sets.yaml"))
    other = place["folder"] / "other.yaml"
    other.write_text(SPEC.replace("name: posts", "name: other").replace("ours: {}", "again: {}"))
    run(place, other)
    assert len(told.asked) == 8, "texts in another place and order, and the same arms under other names"


@pytest.mark.parametrize(
    ("wrong", "right", "more"),
    [("seeds: [1, 2]", "seeds: [1, 2, 3]", 4), ("steps: 3", "steps: 4", 8), ("max_bytes: 300", "max_bytes: 200", 8), ("ours: {}", "ours: {}\n  half: {without: [long]}", 0)],
)  # fmt: skip
def test_what_changes_trains_what_it_touches(place: dict[str, Any], told: Told, wrong: str, right: str, more: int) -> None:
    run(place)
    file = place["folder"] / "changed.yaml"
    file.write_text(SPEC.replace(wrong, right))
    found = run(place, file)
    assert len(told.asked) == 8 + more  # the last: an arm of the very documents of another has its trials
    assert ("half has the very tokens of raw." in found.notes) == (more == 0)


def test_a_trial_that_fails_is_named_and_costs_no_other(place: dict[str, Any], told: Told) -> None:
    told.fails = {2}
    with pytest.raises(TaskFailed, match=r"1 of 8 trials failed; the others are kept. The first, raw, learning rate 0.001, seed 1: The loss is no number"):
        run(place)
    assert len(told.asked) == 8
    told.fails = set()
    run(place)
    assert told.asked[8:] == [("raw", 1e-3, 1)], "only the one that was missing"


def test_the_table_the_plot_and_the_result_say_the_same(place: dict[str, Any], told: Told) -> None:
    found = run(place)
    folder = place["work"] / "ablations/posts"
    result, table = json.loads((folder / "result.json").read_text()), (folder / "table.md").read_text()
    assert table == str(found) and "| ours | raw | better |" in table
    difference = next(c for c in result["comparisons"] if c["learning_rate"] == 1e-2)["domains"]["zh"]
    assert f"**{difference['value']:+.4f} ± {difference['error']:.4f}**" in table
    drawn = ElementTree.fromstring((folder / "differences.svg").read_text())
    circles = [node for node in drawn.iter("{http://www.w3.org/2000/svg}circle") if node.get("r") == "3"]
    assert len(circles) == 2 * 2  # domains x learning rates
    assert str(place["work"]) not in json.dumps(result), "no place of this machine"


def test_repeated_data_and_uneven_shares_are_noted(place: dict[str, Any], told: Told) -> None:
    file = place["folder"] / "long.yaml"
    file.write_text(SPEC.replace("steps: 3", "steps: 4000").replace("seeds: [1, 2]", "seeds: [1]"))
    notes = "\n".join(run(place, file).notes)
    assert "ours has " in notes and "repetition is part of the difference" in notes and "One seed" in notes


@pytest.mark.train
def test_a_real_one(place: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    file = place["folder"] / "real.yaml"
    file.write_text(SPEC.replace("name: posts", "name: real").replace("seeds: [1, 2]", "seeds: [1]").replace("[1e-2, 1e-3]", "[1e-2]"))
    found = run(place, file)
    assert {t.about["steps"] for t in found.trials} == {3} and len(found.trials) == 2
    values = [x for t in found.trials for x in (d.nll.sum() / d.text_bytes.sum() for d in t.evaluation.domains)]
    assert all(1.0 < x < 6.0 for x in values) and len(set(values)) == 4
    digests = sorted((place["work"] / "ablations/trials").iterdir())
    before = {file: file.stat().st_mtime_ns for folder in digests for file in folder.rglob("*") if file.is_file()}
    assert run(place, file).to_dict() == found.to_dict()
    assert {file: file.stat().st_mtime_ns for folder in digests for file in folder.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("command", [["evaluate", "model"], ["ablate", "filters"]])
def test_held_out_sets_are_named_in_one_way(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--sets", "held.yaml", "--validation", "en=held.jsonl"])
    assert isinstance(result.exception, PlanError) and "not both" in str(result.exception)


def test_a_file_of_held_out_sets_that_is_none_is_told(place: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=r"nowhere.yaml: the validation sets cannot be read"):
        run(place, validation="nowhere.yaml")
