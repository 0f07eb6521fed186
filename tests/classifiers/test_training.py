"""The training code on tiny inputs: it learns, ends, goes on where it stopped, and what is exported says the same."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers import bert
from classifiers.data import draw, may_train, rows
from classifiers.finetune import Example, FineTuning, _schedule, batches, fine_tune, load
from classifiers.pretrain import Pretraining, masked, rate
from classifiers.sensitive.train import ways
from classifiers.ship import toml
from classifiers.written import expand, passages
from pipeline.errors import SourceError
from pipeline.measures.classifier import activated

ROOT = Path(__file__).parents[2]
GOOD, BAD = "the cat sat on the mat and slept in the sun", "win cash now click here for the best bonus casino"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random encoder of the bundled kind, much smaller, with a vocabulary of its own."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    tokenizer = bert.train_vocabulary(iter([GOOD, BAD, "你好世界，今天天气很好。"] * 20), 300, 100)
    bert.write_tokenizer(tokenizer, folder)
    model = transformers.RobertaPreLayerNormForMaskedLM(bert.config(tokenizer.get_vocab_size(), 2, 64, 64))
    bert.start_positions(model.roberta_prelayernorm.embeddings.position_embeddings.weight)
    model.half().save_pretrained(folder)
    return str(folder)


def examples(n: int = 40) -> list[Example]:
    words = [GOOD.split(), BAD.split()]
    return [Example(" ".join(words[i % 2][(i * 3) % 5 :]), (float(i % 2),), key=str(i)) for i in range(n)]


@pytest.mark.train
def test_a_fine_tuned_network_learns_and_its_int8_export_agrees(base: str, tmp_path: Path) -> None:
    from classifiers.ship import write_network
    from pipeline.measures.networks import OnnxScores

    settings = FineTuning("labels", ("spam",), base, max_length=32, batch_tokens=128, epochs=12, learning_rate=2e-3)
    tuned = fine_tune(settings, examples(), say=lambda line: None)
    said = activated(settings.task, tuned([GOOD, BAD]))[:, 0]
    assert said[0] < 0.2
    assert said[1] > 0.8
    tuned.save(tmp_path / "saved")
    assert np.allclose(activated(settings.task, load(replace(settings, base=str(tmp_path / "saved")))([GOOD, BAD]))[:, 0], said, atol=0.02)
    write_network(tuned, tmp_path, [e.text for e in examples()])
    network = OnnxScores(tmp_path / "model.onnx", tmp_path / "tokenizer.json", ["spam"], 32)
    texts = [e.text for e in examples(12)]
    together = network(texts)
    assert np.abs(activated(settings.task, together) - activated(settings.task, tuned(texts))).max() < 0.05
    assert np.array_equal(together, np.concatenate([network([t]) for t in texts])), "alone or together: the same bits"


@pytest.mark.train
def test_the_exported_form_has_the_numbers_of_transformers(base: str) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    from classifiers.export import inference_form

    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3, dtype=torch.float32).eval()
    ids = torch.randint(5, 80, (3, 17))
    mask = torch.ones_like(ids)
    mask[0, 9:] = 0
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).logits
        assert torch.allclose(inference_form(model).eval()(ids, mask), expected, atol=1e-5)


@pytest.mark.train
def test_a_run_that_was_stopped_goes_on_and_one_that_is_done_does_nothing(base: str, tmp_path: Path) -> None:
    settings = FineTuning("choice", ("a", "b"), base, max_length=32, batch_tokens=128, epochs=2, learning_rate=1e-3)
    said: list[str] = []
    fine_tune(replace(settings, epochs=1), examples(), tmp_path, said.append)
    first = len(said)
    fine_tune(settings, examples(), tmp_path, said.append)
    assert len(said) > first
    done = len(said)
    fine_tune(settings, examples(), tmp_path, said.append)
    assert len(said) == done


def test_epochs_may_differ_in_their_number_of_batches() -> None:
    """Epochs of more than one pool have unequal numbers of batches; the schedule goes on all the same, and sees every row once an epoch."""
    lengths = np.random.default_rng(0).integers(3, 120, 9000)
    settings = FineTuning("labels", ("a",), "", batch_tokens=512)
    rows_seen, ends = [], 0
    for end, chosen in itertools.islice(_schedule(lengths, settings), 6000):
        rows_seen.append(chosen)
        ends += end
        if ends == 3:
            break
    assert ends == 3
    counts = np.bincount(np.concatenate(rows_seen), minlength=9000)
    assert (counts == 3).all()


def test_batches_hold_like_lengths_and_no_more_tokens_than_asked() -> None:
    lengths = np.random.default_rng(1).integers(3, 250, 5000)
    waste = size = 0
    for chosen in batches(lengths, 4096, np.random.default_rng(0)):
        padded = int(lengths[chosen].max()) * len(chosen)
        assert padded <= 4096
        waste, size = waste + padded - int(lengths[chosen].sum()), size + padded
    assert waste / size < 0.05


def test_masking_follows_bert_and_leaves_specials_alone() -> None:
    ids = np.random.default_rng(0).integers(5, 1000, (64, 128))
    ids[:, 0] = bert.CLS
    out, places = masked(ids, 0.2, 1000, np.random.default_rng(1))
    assert abs(len(places) / ids.size - 0.2) < 0.01
    assert (out[:, 0] == bert.CLS).all()
    picked = out.reshape(-1)[places]
    assert abs((picked == bert.MASK).mean() - 0.8) < 0.02
    untouched = np.setdiff1d(np.arange(ids.size), places)
    assert np.array_equal(out.reshape(-1)[untouched], ids.reshape(-1)[untouched])


def test_the_rate_rises_stays_and_falls() -> None:
    settings = Pretraining.load(ROOT / "classifiers" / "encoder" / "train.toml")
    curve = [rate(settings, s) for s in range(settings.steps)]
    assert max(curve) == settings.learning_rate == curve[settings.warm_up]
    assert curve[0] < curve[settings.warm_up // 2] < settings.learning_rate
    assert 0 < curve[-1] < 0.01 * settings.learning_rate


def test_what_is_for_evaluation_only_teaches_nothing() -> None:
    for name in ("toxicity/hatecheck_en", "toxicity/davidson_tweets_en", "toxicity/zh_spam_mail", "text/xinwenlianbo_news_zh", "text/fewclue_tnews_zh"):
        assert not may_train(name)
        with pytest.raises(SourceError, match="evaluation only"):
            next(rows(name, "train"))
    for source in Pretraining.load(ROOT / "classifiers" / "encoder" / "train.toml").sources:
        assert may_train(source)


def test_neighbours_are_counted_by_their_distance_and_never_specials() -> None:
    from classifiers.pretrain import _together

    rows_ = np.array([[2, 5, 6, 4, 7, 5, 3], [2, 7, 7, 8, 1, 6, 3]], np.uint16)
    expected = np.zeros((9, 9), np.float32)
    for row in rows_:
        for i, j in itertools.permutations(range(len(row)), 2):
            if abs(i - j) <= 3 and min(row[i], row[j]) >= 5:
                expected[row[i], row[j]] += np.float32(1 / abs(i - j))
    assert np.allclose(_together(rows_, 9, 3, 5), expected)


@pytest.mark.train
def test_word_vectors_lie_close_where_words_stand_in_the_same_places() -> None:
    """Of 20 words the even ones stand among one set of neighbours, the odd ones among another."""
    pytest.importorskip("torch")
    from classifiers.pretrain import word_vectors

    chance = np.random.default_rng(1)
    rows_ = np.full((3000, 12), bert.CLS, np.uint16)
    for row in rows_:
        kind = chance.integers(2)
        row[1::2] = 5 + 2 * chance.integers(0, 10, 6) + kind
        row[2::2] = 30 + 10 * kind + chance.integers(0, 10, 5)
    vectors = word_vectors(rows_, 50, 8, seed=1)
    assert vectors.shape == (50, 8)
    assert np.array_equal(vectors, word_vectors(rows_, 50, 8, seed=1))
    near = vectors @ vectors.T
    alike, other = near[5:25:2, 5:25:2].mean(), near[5:25:2, 6:25:2].mean()
    assert alike > other + 0.5


SETTINGS = """
seed = 1
vocabulary = 60
alphabet = 40
layers = 1
width = 64
length = 16
batch = 8
steps = {steps}
warm_up = 4
decay = 8
learning_rate = 5e-3
weight_decay = 0.01
masked = 0.3
validation = 0.1
[sources]
"""


@pytest.mark.train
def test_pretraining_learns_goes_on_where_it_stopped_and_is_the_same_on_two_processes(base: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    vocabulary = len(json.loads((Path(base) / "tokenizer.json").read_text())["model"]["vocab"])
    chance = np.random.default_rng(0)
    chunks = np.full((256, 16), bert.CLS, np.uint16)
    chunks[:, 1:] = 5 + chance.integers(0, 20, (256, 1))  # one token, over and over
    assert chunks.max() < vocabulary

    def run(name: str, steps: int, processes: int = 1) -> dict[str, Any]:
        folder, work = tmp_path / "folder", tmp_path / name
        folder.mkdir(exist_ok=True)
        work.mkdir(exist_ok=True)
        shutil.copyfile(Path(base) / "tokenizer.json", folder / "tokenizer.json")
        (folder / "train.toml").write_text(SETTINGS.format(steps=steps))
        np.savez(work / "chunks.npz", train=chunks, validation=chunks[:32])
        start = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--no-python"] if processes > 1 else []
        code = f"from pathlib import Path; from classifiers.pretrain import pretrain; pretrain(Path({str(folder)!r}), Path({str(work)!r}))"
        env = {**os.environ, "TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run([*start, sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(torch.load(work / "checkpoint.pt", weights_only=True)["model"])

    def most_apart(a: dict[str, Any], b: dict[str, Any]) -> float:
        return max(float((a[key].float() - b[key].float()).abs().max()) for key in a)

    whole = run("whole", 80)
    points = [json.loads(line) for line in (tmp_path / "whole" / "curve.jsonl").read_text().splitlines()]
    assert points[0]["loss"] > points[-1]["loss"]
    assert points[-1]["validation"] < 1.5, "one of twenty tokens, repeated: chance is 3.0"
    run("stopped", 50)
    assert torch.load(tmp_path / "stopped" / "checkpoint.pt", weights_only=True)["step"] == 50
    # The rate falls towards the end, so a run of 50 steps that is lengthened to 80 has fallen once on its way; the start of a run has no such past.
    one, two = run("one", 3), run("two", 3, processes=2)
    assert most_apart(one, whole) > 0
    assert most_apart(one, two) < 2e-3, "the same batches, masks and steps, but for rounding; a step moves a weight by up to 5e-3"


def test_written_passages_are_many_and_their_slots_are_filled() -> None:
    found = passages(ROOT / "classifiers" / "sensitive" / "written")
    for lang in ("en", "zh"):
        mine = [(p, s) for p, s in found if p.lang == lang]
        assert len(mine) >= 300
        texts = {text for p, s in mine for text in expand(p, s, ways(p))}
        assert len(texts) >= 1500 or sum(len(expand(p, s, 2)) for p, s in mine) >= 1400
        assert not [t for t in texts if "{" in t and "}" in t and any(f"{{{slot}}}" in t for _, s in mine for slot in s)]
        held = [p for p, _ in mine if p.validation]
        assert 0.2 < len(held) / len(mine) < 0.3
    assert expand(*found[0], 3) == expand(*found[0], 3)


def test_toml_is_read_back() -> None:
    import tomllib

    value = {"name": 'a "b"\\', "labels": ["x", "y"], "n": 3, "thresholds": {"en": {"x": 0.5}, "zh": {"x": 0.25}}, "files": {"model.onnx": "00"}}
    assert tomllib.loads(toml(value)) == value


def test_a_draw_depends_on_its_key_alone() -> None:
    assert draw("a", "s") == draw("a", "s") != draw("b", "s")
    assert abs(np.mean([draw(str(i), "s") for i in range(2000)]) - 0.5) < 0.03


@pytest.mark.train
def test_training_leaves_the_processes_arithmetic_as_it_was() -> None:
    pytest.importorskip("torch")
    from classifiers.bert import without_denormals

    smallest = float(np.nextafter(0.0, 1.0))
    with without_denormals():
        assert smallest * 1.0 == 0.0
    assert smallest * 1.0 != 0.0
