"""Training: the loss falls, a run goes on to the same bits, and what goes wrong is said and loses nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from pipeline.errors import PlanError, StoreError, TaskFailed  # noqa: E402  # behind the skip
from pipeline.store import Store  # noqa: E402
from pipeline.token_shards import TokenRelease  # noqa: E402
from pipeline.train import checkpoint, loop  # noqa: E402
from pipeline.train.configs import Settings  # noqa: E402
from pipeline.train.live import Log, peak_flops  # noqa: E402
from pipeline.train.loop import train  # noqa: E402
from pipeline.train.runs import _place, train_release  # noqa: E402
from pipeline.train.score import open_scorer  # noqa: E402
from tests.running import ENVIRONMENT, ROOT  # noqa: E402
from tests.train.trained import small, tokens_at  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenRelease:
    return tokens_at(tmp_path_factory.mktemp("loop") / "work")


@pytest.fixture(scope="module")
def finished(tokens: TokenRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    train(tokens, str(out), small(), device="cpu", quiet=True)
    return out


def test_the_loss_falls_in_both_stages(finished: Path) -> None:
    lines = [line for line in Log.read(Store(str(finished))) if line["event"] == "step"]
    assert {line["phase"] for line in lines} == {"stage1", "stage2"}
    assert lines[0]["loss"] > 4 and lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    held_out = [line["losses"]["en"] for line in Log.read(Store(str(finished))) if line["event"] == "validation"]
    assert held_out[-1] < held_out[0]
    assert "<polyline" in (finished / "loss.svg").read_text()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tokens: TokenRelease, tmp_path: Path, optimizer: str) -> None:
    settings = small(optimizer=optimizer, rows_at_once=2)
    train(tokens, str(tmp_path / "whole"), settings, device="cpu", quiet=True)
    train(tokens, str(tmp_path / "parts"), settings, device="cpu", quiet=True, stop_at=7)
    assert not (tmp_path / "parts" / "export").exists()
    train(tokens, str(tmp_path / "parts"), settings, device="cpu", quiet=True)
    for name in ("model", "optimizer"):
        file = f"checkpoints/00000030/{name}.safetensors"
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
    assert (tmp_path / "whole/export/model.safetensors").read_bytes() == (tmp_path / "parts/export/model.safetensors").read_bytes()


KILLED = """
import sys, os, signal, torch
torch.set_num_threads(1)
from pipeline.train import loop
from pipeline.train.configs import Settings
import json
kept = loop.Trainer.learn
def learn(self, batch):
    if self.step == 16: os.kill(os.getpid(), signal.SIGKILL)
    return kept(self, batch)
loop.Trainer.learn = learn
loop.train(sys.argv[1], sys.argv[2], Settings.of(json.loads(sys.argv[3])), device="cpu", quiet=True)
"""


def test_a_killed_run_goes_on_to_the_same_bits(tokens: TokenRelease, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", KILLED, tokens.path, str(out), json.dumps(small().plain())], env=ENVIRONMENT, check=False)
    assert done.returncode == -9
    assert checkpoint.saved(Store(str(out))) == [10]
    train(tokens, str(out), small(), device="cpu", quiet=True)
    assert (out / "export/model.safetensors").read_bytes() == (finished / "export/model.safetensors").read_bytes()
    steps = [line["step"] for line in Log.read(Store(str(out))) if line["event"] == "step"]
    assert steps == sorted(set(steps)) and steps[-1] == 30


def test_parts_of_a_batch_add_up(tokens: TokenRelease, tmp_path: Path) -> None:
    """Gradients too, which Muon and Adam would not show: they know no scale."""
    first, held_out = [], []
    for size in (0, 1, 3):
        train(tokens, str(tmp_path / str(size)), small(rows_at_once=size, steps=2, optimizer="adamw"), device="cpu", quiet=True)
        lines = Log.read(Store(str(tmp_path / str(size))))
        first.append(lines[0])
        held_out.append(next(line["losses"] for line in lines if line["event"] == "validation"))
    assert held_out[1] == pytest.approx(held_out[0], abs=1e-4) and held_out[2] == pytest.approx(held_out[0], abs=1e-4)
    for other in first[1:]:
        assert other["loss"] == pytest.approx(first[0]["loss"], abs=1e-5)
        assert other["gradient_norm"] == pytest.approx(first[0]["gradient_norm"], rel=1e-5)


TOGETHER = """
import json, sys, torch
from pipeline.train.loop import train
from pipeline.train.configs import Settings
torch.set_num_threads(1)
tokens, out, settings, shard, stop = sys.argv[1:]
train(tokens, out, Settings.of(json.loads(settings)), device="cpu", quiet=True, shard=shard == "sharded", stop_at=int(stop))
"""


def together(processes: int, tokens: TokenRelease, out: Path, settings: Settings, parameters: str, stop: int) -> None:
    """Train under torchrun, with gloo."""
    script = out.parent / "together.py"
    script.write_text(TOGETHER)
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), str(script),
            tokens.path, str(out), json.dumps(settings.plain()), parameters, str(stop),
        ],
        env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("parameters", ["copied", "sharded"])
def test_two_processes_train_as_one_does(tokens: TokenRelease, tmp_path: Path, parameters: str) -> None:
    """Stopped on the way, since that is where sharded tensors are put together and parted again."""
    settings = small(steps=12, checkpoint_every=6, rows_at_once=1)
    for stop in (6, 12):
        together(2, tokens, tmp_path / "two", settings, parameters, stop)
    one = train(tokens, str(tmp_path / "one"), settings, device="cpu", quiet=True)
    two = json.loads((tmp_path / "two" / "summary.json").read_text())
    assert two["processes"] == 2
    first = [Log.read(Store(str(tmp_path / name)))[0] for name in ("one", "two")]
    assert first[1]["gradient_norm"] == pytest.approx(first[0]["gradient_norm"], rel=1e-4)
    assert two["loss"] == pytest.approx(one["loss"], abs=5e-3)  # Newton-Schulz steps in bf16 part what sums in another order began


@pytest.mark.slow  # 60 s: nine interpreters
@pytest.mark.parametrize("parameters", ["copied", "sharded"])
def test_three_processes_go_on_to_the_same_bits(tokens: TokenRelease, tmp_path: Path, parameters: str) -> None:
    """With two, a sum is the same in any order."""
    settings = small(steps=6, batch_tokens=3 * 2 * 64, checkpoint_every=3)
    together(3, tokens, tmp_path / "whole", settings, parameters, 6)
    for stop in (3, 6):
        together(3, tokens, tmp_path / "parts", settings, parameters, stop)
    for name in ("model", "optimizer"):
        file = f"checkpoints/00000006/{name}.safetensors"
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()


def test_one_process_has_nothing_to_shard(tokens: TokenRelease, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="torchrun"):
        train(tokens, str(tmp_path / "run"), small(), device="cpu", quiet=True, shard=True)


def test_transformers_loads_the_export(tokens: TokenRelease, finished: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = AutoModelForCausalLM.from_pretrained(str(finished / "export")).eval()
    assert type(theirs).__name__ == "Qwen3ForCausalLM" and theirs.dtype == torch.float32
    text = "The quick brown fox. 它说："
    ids = AutoTokenizer.from_pretrained(str(finished / "export"))(text, add_special_tokens=False)["input_ids"]
    trainer = loop.Trainer(tokens, Store(str(finished)), small(), loop.World("cpu"))
    assert trainer.resume() and trainer.step == 30
    with torch.no_grad():
        ours, expected = trainer.model(torch.tensor([ids])), theirs(torch.tensor([ids])).logits
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_run_without_norms_of_queries_is_a_llama(tokens: TokenRelease, tmp_path: Path) -> None:
    train(tokens, str(tmp_path / "run"), small(qk_norm=False, kv_heads=1, steps=2), device="cpu", quiet=True)
    about = json.loads((tmp_path / "run/export/config.json").read_text())
    assert about["architectures"] == ["LlamaForCausalLM"] and about["num_key_value_heads"] == 1
    assert open_scorer(str(tmp_path / "run")).eos == tokens.eos


def test_scores_are_the_models_own(tokens: TokenRelease, finished: Path) -> None:
    """Each token by one forward pass of its own, the obvious twin; a long document in stretches."""
    scorer = open_scorer(str(finished), "cpu")
    assert scorer.length == 64
    documents = [tokens.domain("en", "validation").document(k).astype(np.int64) for k in range(3)] + [np.array([7]), np.array([], np.int64)]
    found = scorer.nll(documents)
    assert [len(f) for f in found] == [len(d) for d in documents]
    for document, losses in zip(documents, found, strict=True):
        for k in range(0, min(len(document), 60), 9):
            ids = torch.tensor([[scorer.eos, *document[:k]]])
            with torch.no_grad():
                expected = -torch.log_softmax(scorer.logits(ids)[0, -1], -1)[int(document[k])]
            assert losses[k] == pytest.approx(float(expected), abs=1e-3)
    alone = scorer.nll([documents[1]])[0]
    assert np.allclose(alone, found[1], atol=1e-4), "whatever it is scored beside"


# --- what goes wrong ----------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_shape_or_run_is_refused(tokens: TokenRelease, finished: Path, tmp_path: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(StoreError, match="another shape: layers 2 there and 3 here"):
        train(tokens, str(out), small(layers=3), device="cpu", quiet=True)
    with pytest.raises(StoreError, match=r"a run with other settings \(seed 20231030 there and 1 here\)"):
        train(tokens, str(out), small(seed=1), device="cpu", quiet=True)
    other = TokenRelease(tokens.store, {**tokens.manifest, "release": "other@1"})
    with pytest.raises(StoreError, match="a run with other tokens"):
        train(other, str(out), small(), device="cpu", quiet=True)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_serves(tokens: TokenRelease, finished: Path, tmp_path: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    file = out / "checkpoints/00000030/model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(StoreError, match="00000030 is damaged"):
        train(tokens, str(out), small(), device="cpu", quiet=True)
    shutil.rmtree(file.parent)
    (out / "summary.json").unlink()
    train(tokens, str(out), small(), device="cpu", quiet=True)
    assert (out / "export/model.safetensors").read_bytes() == (finished / "export/model.safetensors").read_bytes()


def test_ids_that_the_model_lacks_are_refused(tokens: TokenRelease, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="ids up to 329, and the model's vocabulary has 300"):
        train(tokens, str(tmp_path / "run"), small(vocabulary=300), device="cpu", quiet=True)


@pytest.mark.parametrize("broken", ["weights", "gradient"])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(
    tokens: TokenRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    kept = loop.Trainer.learn

    def learn(self: loop.Trainer, batch: torch.Tensor) -> Any:
        loss, norm = kept(self, batch)
        if self.step == 19 and broken == "gradient":  # where a checkpoint follows: the loss is still one of before
            with torch.no_grad():
                self.model.norm.weight[0] = torch.nan
            return loss, norm * torch.nan
        if self.step == 13 and broken == "weights":
            with torch.no_grad():
                self.model.norm.weight[0] = torch.inf
        return loss, norm

    monkeypatch.setattr(loop.Trainer, "learn", learn)
    with pytest.raises(TaskFailed, match=r"no number at step \d+. The checkpoint of step 10 is kept"):
        train(tokens, str(tmp_path / "run"), small(), device="cpu", quiet=True)
    assert checkpoint.saved(Store(str(tmp_path / "run"))) == [10]


def test_a_full_disk_keeps_the_last_checkpoint(tokens: TokenRelease, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "disk"
    out.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(out)], check=False, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        with pytest.raises(StoreError, match=r"disk is full.*step \d+, is kept"):
            train(tokens, str(out), small(), device="cpu", quiet=True)
        assert checkpoint.saved(Store(str(out)))
        subprocess.run(["mount", "-o", "remount,size=20m", str(out)], check=True)
        train(tokens, str(out), small(), device="cpu", quiet=True)
        assert (out / "export/model.safetensors").read_bytes() == (finished / "export/model.safetensors").read_bytes()
    finally:
        subprocess.run(["umount", "-l", str(out)], check=False)


def test_a_batch_that_processes_cannot_share_is_refused(tokens: TokenRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = loop.World("cpu")
    world.processes = 3
    with pytest.raises(PlanError, match="4 rows cannot be shared equally by 3"):
        loop.Trainer(tokens, Store(str(tmp_path)), small(), world)


def test_what_is_only_shown_and_kept_may_change(tokens: TokenRelease, finished: Path, tmp_path: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    assert train(tokens, str(out), small(checkpoint_every=4, keep_checkpoints=1), device="cpu", quiet=True)["step"] == 30


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("steps=abc", "steps is 'abc'"), ("steps=-3", "steps is -3"), ("optimizer=AdamW", "optimizer is 'AdamW'"), ("rate=cosine", "rate is 'cosine'"),
        ("weight_decay=false", "weight_decay is False"), ("layers=2.5", "layers is 2.5"), ("shape=3", "'shape' is no setting"), ("steps", "write NAME=VALUE"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_named(tokens: TokenRelease, change: str, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        train_release(tokens.path, changes=[change])


def test_a_run_lies_in_the_work_folder() -> None:
    assert _place("/w/tokens/skypile@1/skypile-65k", "skypile@1", "tiny") == "/w/runs/skypile@1/tiny"
    assert _place("/data/mine", "skypile@1", "tiny") == "/data/runs/skypile@1/tiny"


def test_a_device_that_is_not_there_is_named(tokens: TokenRelease, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no device 'gpu'"):
        train(tokens, str(tmp_path), small(), device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(PlanError, match="no GPU that torch sees"):
            open_scorer(str(tmp_path), "cuda") if (tmp_path / "config.json").exists() else train(tokens, str(tmp_path), small(), device="cuda")


def test_a_release_is_trained_on_by_the_command(tokens: TokenRelease, tmp_path: Path) -> None:
    """As a user does: settings as text, tokens found, a second time nothing."""
    changes = [f"{k}={json.dumps(v)}" for k, v in small(steps=2).plain()["shape"].items()] + [
        "steps=2",
        "learning_rate=1e-3",
        "batch_tokens=256",
        "sequence_length=64",
    ]
    found = train_release(tokens.path, out=str(tmp_path / "run"), changes=changes, device="cpu", cpus=1)
    assert found["step"] == 2 and found["folder"] == str(tmp_path / "run")
    assert json.loads((tmp_path / "run/settings.json").read_text())["learning_rate"] == 1e-3
    assert train_release(tokens.path, out=str(tmp_path / "run"), changes=changes, device="cpu", cpus=1) == found


def test_known_gpus_have_a_peak() -> None:
    assert peak_flops("NVIDIA H200") == 989e12 and peak_flops("NVIDIA A800-SXM4-80GB") == 312e12 and peak_flops("GeForce GT 710") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU for training")
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_a_gpu_trains_as_a_cpu_does_and_goes_on(tokens: TokenRelease, finished: Path, tmp_path: Path, compiled: bool) -> None:
    """bf16 against float32, flex attention against a mask, and a run stopped and gone on with on the GPU, to the same bits."""
    settings = small(compile=compiled, sequence_length=128, batch_tokens=512)
    here = train(tokens, str(tmp_path / "cpu"), settings, device="cpu", quiet=True)
    there = train(tokens, str(tmp_path / "gpu"), settings, device="cuda", quiet=True)
    train(tokens, str(tmp_path / "parts"), settings, device="cuda", quiet=True, stop_at=7)
    train(tokens, str(tmp_path / "parts"), settings, device="cuda", quiet=True)
    first = [Log.read(Store(str(tmp_path / name)))[0] for name in ("cpu", "gpu")]
    assert first[1]["loss"] == pytest.approx(first[0]["loss"], abs=0.02)
    assert there["loss"] == pytest.approx(here["loss"], abs=0.2)
    for name in ("model", "optimizer"):
        file = f"checkpoints/00000030/{name}.safetensors"
        assert (tmp_path / "gpu" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
