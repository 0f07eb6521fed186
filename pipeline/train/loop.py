"""Training: one loop, on one process or on many that torchrun starts; stopped at any step, it goes on to the same bits.

`train` makes the run's folder:

    settings.json log.jsonl loss.svg checkpoints/ export/ summary.json

Which tokens come when is `data`'s business, the model `model`'s. Float32 on a CPU, bf16 under autocast on a GPU with parameters in float32.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from pipeline.errors import PlanError, StoreError, TaskFailed
from pipeline.store import Store, fingerprint
from pipeline.token_shards import TokenRelease, open_tokens
from pipeline.train import checkpoint
from pipeline.train.configs import Settings
from pipeline.train.data import Batches, validation
from pipeline.train.live import Log, memory_bytes, peak_flops, plot
from pipeline.train.model import Transformer, device_of, document_mask
from pipeline.train.optimizers import optimizers, set_rate
from pipeline.train.schedule import rate_at

_LOOK_BACK = 10  # steps between two lines of the log


class World:
    """The processes that share a run, as torchrun's environment has them; one where there is none."""

    def __init__(self, device: str) -> None:
        self.process, self.processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        device = device_of(device)
        if device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        self.device = torch.device(f"cuda:{torch.cuda.current_device()}" if device == "cuda" else device)
        self.joined = self.processes > 1 and not dist.is_initialized()
        if self.joined:
            dist.init_process_group("nccl" if device == "cuda" else "gloo")

    @property
    def alone(self) -> bool:
        return self.processes == 1

    @property
    def first(self) -> bool:
        return self.process == 0

    def sum(self, *values: Tensor) -> None:
        """Over all processes, in place. Each tensor on its own, so that what is added to what never depends on when it was ready."""
        if not self.alone:
            for work in [dist.all_reduce(value, async_op=True) for value in values]:
                work.wait()

    def agreed(self, value: Any) -> Any:
        """What the first process says."""
        said = [value]
        if not self.alone:
            dist.broadcast_object_list(said)
        return said[0]

    def leave(self) -> None:
        if self.joined:
            dist.destroy_process_group()


class Trainer:
    """A run at some step."""

    def __init__(self, tokens: TokenRelease, store: Store, settings: Settings, world: World, shard: bool = False) -> None:
        if tokens.vocabulary > settings.shape.vocabulary:
            raise PlanError(
                f"{tokens.path} holds ids up to {tokens.vocabulary - 1:,}, and the model's vocabulary has {settings.shape.vocabulary:,}. "
                f"Give the model a `vocabulary` of {-(-tokens.vocabulary // 128) * 128:,}."
            )
        if settings.rows % world.processes:
            raise PlanError(f"A batch of {settings.rows} rows cannot be shared equally by {world.processes} processes.")
        if shard and world.alone:
            raise PlanError(
                "One process has nobody to share the parameters with: start many with `torchrun --nproc-per-node N -m pipeline train …`, or leave --shard out."
            )
        self.tokens, self.store, self.settings, self.world, self.shard = tokens, store, settings, world, shard
        self.batches = Batches(
            tokens, rows=settings.rows, length=settings.sequence_length, steps=settings.steps, epochs=settings.epochs, seed=settings.seed
        )  # fmt: skip
        self.eos = self.batches.eos
        self.model = Transformer(settings.shape).initialise(settings.seed).to(world.device)
        if shard:
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(world.device.type, (world.processes,))
            for block in self.model.blocks:
                fully_shard(block, mesh=mesh)
            fully_shard(self.model, mesh=mesh)
        self.optimizers = optimizers(self.model, settings)
        if world.device.type == "cuda" and settings.compile:
            self.model.compile_parts()
        self.held_out = validation(tokens, settings.sequence_length, settings.validate_tokens)
        self.content = fingerprint(dict(tokens.manifest))
        self.step = 0
        self.seen: dict[str, Any] = {"seconds": 0.0}

    @property
    def rows_at_once(self) -> int:
        """Rows of a forward pass of this process."""
        mine = self.settings.rows // self.world.processes
        return min(self.settings.rows_at_once or mine, mine)

    # --- a step --------------------------------------------------------------------------------------------------------------------

    def batch(self, step: int) -> np.ndarray:
        """This process's rows of a step. (rows / processes, length + 1) int64"""
        return self.batches(step, self.world.process, self.world.processes)

    def loss(self, rows: Tensor) -> Tensor:
        """The sum of losses over all places of some rows. (n, length + 1) -> scalar"""
        ids, targets = rows[:, :-1], rows[:, 1:]
        cuda = self.world.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16) if cuda else contextlib.nullcontext():
            found: Tensor = self.model(ids, targets, document_mask(ids, self.eos))
        return found

    def learn(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """One step on a batch: the mean loss over all processes, and the norm of the gradient before it was clipped. batch: (rows / processes, length + 1) int64

        Gradients are summed when all are there. Hooks that sum them on the way, as DDP's, do so in another order in a run's first step than later: it
        would not go on to the same bits.
        """
        rows = batch.to(self.world.device, non_blocking=True)
        places = self.settings.rows * self.settings.sequence_length
        total = torch.zeros((), device=self.world.device)
        for part in rows.split(self.rows_at_once):
            loss = self.loss(part)
            (loss * ((self.world.processes if self.shard else 1) / places)).backward()  # FSDP2 makes means of sums over processes
            total += loss.detach()
        if not self.shard:
            self.world.sum(*(p.grad for p in self.model.parameters()))  # type: ignore[arg-type]  # every parameter has one
        self.world.sum(total)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        set_rate(self.optimizers, rate_at(self.step, self.settings, self.batches.phases))
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return total / places, norm.full_tensor() if hasattr(norm, "full_tensor") else norm

    def prefetched(self, end: int) -> Iterator[Tensor]:
        """The batches up to a step, one made ahead while the model is busy."""

        def made(step: int) -> Tensor:
            batch = torch.from_numpy(self.batch(step))
            return batch.pin_memory() if self.world.device.type == "cuda" else batch  # else the copy would wait for the device

        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(made, self.step)
            for step in range(self.step, end):
                batch = ahead.result()
                if step + 1 < end:
                    ahead = pool.submit(made, step + 1)
                yield batch

    # --- validation and checkpoints -----------------------------------------------------------------------------------------------------

    def validate(self) -> dict[str, float]:
        """Mean loss in nats a token on the release's own validation documents, by domain. Every process reads all: under FSDP they pass forward together."""
        found, size = {}, self.rows_at_once
        with torch.no_grad():
            for domain, held in self.held_out.items():
                rows, total = torch.from_numpy(held).to(self.world.device), torch.zeros((), device=self.world.device)
                whole = len(rows) - len(rows) % size
                for part in (*rows[:whole].split(size), *rows[whole:].split(1)):  # two shapes in all: each is compiled for itself
                    if len(part):
                        total += self.loss(part)
                found[domain] = float(total) / (len(rows) * self.settings.sequence_length)
        return found

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The model's and the optimizers' tensors, whole, on the CPU. All processes have to ask, and gather them in the same order."""

        def whole(found: dict[str, Tensor]) -> dict[str, Tensor]:
            return {k: (v.full_tensor() if hasattr(v, "full_tensor") else v).detach().cpu() for k, v in sorted(found.items())}

        return whole(self.model.state_dict()), whole(checkpoint.optimizer_tensors(self.model, self.optimizers))

    def save(self) -> None:
        model, optimizer = self.tensors()
        if self.world.first:
            state = {"settings": self.settings.plain(), "steps": self.batches.steps, "tokens": self.content, "seen": self.seen}
            checkpoint.write(self.store, self.step, model, optimizer, state, self.settings.keep_checkpoints)

    def resume(self) -> bool:
        """Go on from the newest checkpoint, where there is one. StoreError where it is of another run."""
        steps = self.world.agreed(checkpoint.saved(self.store))  # the first one writes them, so it knows
        if not steps:
            return False
        model, optimizer, state = checkpoint.read(self.store, steps[-1], self.settings.shape)
        same_tokens = state["tokens"] == self.content
        try:
            theirs, mine = Settings.of(state["settings"]).identity, self.settings.identity
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"{self.store.root} holds a run of other settings than there are now ({str(error).splitlines()[0]}). Give another folder with --out."
            ) from None
        if not same_tokens or theirs != mine:
            differs = ", ".join(f"{k} {v} there and {mine[k]} here" for k, v in theirs.items() if v != mine[k])
            what = f"other settings ({differs})" if same_tokens else "other tokens"
            raise StoreError(f"{self.store.root} holds a run with {what}. Give another folder with --out, or remove that one.")
        like = dict(self.model.named_parameters())
        self.model.load_state_dict({k: _as(v, like[k]) for k, v in model.items()})
        remembered = {k: v if k.endswith(":step") else _as(v, like[k.rsplit(":", 1)[0]]) for k, v in optimizer.items()}
        checkpoint.restore_optimizers(self.model, self.optimizers, remembered)
        self.step, self.seen = state["step"], state["seen"]
        return True


def _as(tensor: Tensor, like: Any) -> Tensor:
    """A whole tensor, parted among processes as another one is."""
    if not hasattr(like, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)  # all have read the same file


def train(
    tokens: str | TokenRelease,
    out: str,
    settings: Settings,
    *,
    device: str = "auto",
    shard: bool = False,
    tensorboard: bool = False,
    quiet: bool = False,
    stop_at: int | None = None,
) -> dict[str, Any]:
    """Train on a folder of token shards, or go on with what stands in `out`. Returns the run's summary.

    shard: parameters are parted among processes (FSDP2) instead of copied. stop_at: a step to stop at, with a checkpoint, for trying.
    PlanError, before the first step, for tokens without validation, with ids that the model lacks, or without an end of text; StoreError for a
    checkpoint of another run or shape, and for a full disk; TaskFailed where the loss is no number: the last checkpoint is kept in either case.
    """
    release = tokens if isinstance(tokens, TokenRelease) else open_tokens(tokens)
    store, world = Store(str(out)), World(device)
    try:
        if world.first:
            with store.lock():
                return _carry_out(Trainer(release, store, settings, world, shard), tensorboard, quiet, stop_at)
        return _carry_out(Trainer(release, store, settings, world, shard), False, True, stop_at)
    finally:
        world.leave()


def _carry_out(trainer: Trainer, tensorboard: bool, quiet: bool, stop_at: int | None) -> dict[str, Any]:
    settings, store, world, steps = trainer.settings, trainer.store, trainer.world, trainer.batches.steps
    trainer.resume()
    if world.agreed(trainer.step == steps and store.exists("summary.json")):
        return dict(store.read_json("summary.json"))
    log = Log(store, trainer.step, quiet=quiet, tensorboard=tensorboard) if world.first else None
    if log and not trainer.step:
        store.write_json("settings.json", settings.plain())
        shape = settings.shape
        log.console.print(
            f"{settings.name}: {shape.block_parameters:,} parameters and {shape.parameters - shape.block_parameters:,} of embeddings, {steps:,} steps of "
            f"{settings.batch_tokens:,} tokens, on {world.processes} x {world.device.type}; passes over the data: {trainer.batches.epochs()}",
            highlight=False,
        )
        for name in trainer.batches.missing:
            log.console.print(f"The schedule's slice '{name}' selects no document of this release: the others take its share.", highlight=False)
    every = settings.checkpoint_every or max(1, steps // 5)
    end = min(steps, stop_at or steps)
    marks = sorted({p.end for p in trainer.batches.phases} | set(range(every, steps + 1, every)) | {end})
    peak = peak_flops(torch.cuda.get_device_name()) if world.device.type == "cuda" else None
    since, before, waited = time.perf_counter(), trainer.step, 0.0
    asked = time.perf_counter()
    for batch in trainer.prefetched(end):
        waited += time.perf_counter() - asked
        phase = next(p.name for p in trainer.batches.phases if trainer.step < p.end)
        loss, norm = trainer.learn(batch)
        trainer.step += 1
        looked_at = trainer.step == 1 or trainer.step % _LOOK_BACK == 0 or trainer.step in marks
        if looked_at:
            if not (math.isfinite(float(loss)) and math.isfinite(float(norm))):  # the loss is of before this step, the gradient of what it has become
                raise _not_a_number(trainer)
            seconds = time.perf_counter() - since
            trainer.seen["seconds"] += seconds
            rate = (trainer.step - before) * settings.batch_tokens / seconds
            line: dict[str, Any] = {
                "event": "step", "step": trainer.step, "phase": phase, "tokens": trainer.step * settings.batch_tokens, "loss": round(float(loss), 6),
                "gradient_norm": round(float(norm), 6), "rate": rate_at(trainer.step - 1, settings, trainer.batches.phases),
                "tokens_per_second": round(rate, 1), "waited_for_data": round(waited / seconds, 5),
                "memory_bytes": torch.cuda.max_memory_allocated() if world.device.type == "cuda" else memory_bytes(),
            }  # fmt: skip
            if peak:
                line["mfu"] = round(rate * settings.shape.flops_per_token(settings.sequence_length) / (peak * world.processes), 4)
            if log:
                mfu = f", MFU {line['mfu']:.1%}" if peak else ""
                log.write(
                    line,
                    f"step {trainer.step:>6,} of {steps:,} ({phase}): loss {line['loss']:.4f}, gradient {line['gradient_norm']:.2f}, {rate:,.0f} tokens/s{mfu}, "
                    f"{line['memory_bytes'] / 1e9:.1f} GB",
                )
        if trainer.step in marks:
            losses = trainer.validate()
            if not all(map(math.isfinite, losses.values())):
                raise _not_a_number(trainer)
            if log:
                told = ", ".join(f"{domain} {loss:.4f}" for domain, loss in losses.items())
                log.write(
                    {"event": "validation", "step": trainer.step, "tokens": trainer.step * settings.batch_tokens, "losses": losses}, f"  validation: {told}"
                )
            trainer.save()
        if looked_at:
            since, before, waited = time.perf_counter(), trainer.step, 0.0
        asked = time.perf_counter()
    return _finish(trainer) if world.first else {}


def _not_a_number(trainer: Trainer) -> TaskFailed:
    last = checkpoint.saved(trainer.store)
    kept = f"The checkpoint of step {last[-1]:,} is kept" if last else "There is no checkpoint yet"
    return TaskFailed(
        f"The loss or its gradient is no number at step {trainer.step:,}. {kept}. Look at the gradients in log.jsonl, and train anew in another folder with a smaller learning_rate or a longer warmup (--set)."
    )


def _finish(trainer: Trainer) -> dict[str, Any]:
    """The plot; and at the last step the export and the summary."""
    store, settings = trainer.store, trainer.settings
    lines = Log.read(store)
    store.write_bytes("loss.svg", plot(lines, f"{settings.name} on {trainer.tokens.manifest['release']}").encode())
    losses = [line for line in lines if line["event"] == "step"]
    summary = {
        "config": settings.name, "release": trainer.tokens.manifest["release"], "tokenizer": trainer.tokens.tokenizer,
        "parameters": settings.shape.parameters, "block_parameters": settings.shape.block_parameters,
        "step": trainer.step, "steps": trainer.batches.steps, "tokens": trainer.step * settings.batch_tokens,
        "loss": losses[-1]["loss"] if losses else None, "validation": next((line["losses"] for line in reversed(lines) if line["event"] == "validation"), {}),
        "passes": trainer.batches.epochs(), "seconds": round(trainer.seen["seconds"], 1), "processes": trainer.world.processes,
        "device": torch.cuda.get_device_name() if trainer.world.device.type == "cuda" else "cpu",
    }  # fmt: skip
    if trainer.step == trainer.batches.steps:
        model = checkpoint.weights(store, trainer.step)
        tokenizer = trainer.tokens.store.read_bytes("tokenizer.json")
        checkpoint.export(store, model, settings.shape, settings.sequence_length, trainer.eos, tokenizer)
        store.write_json("summary.json", summary)
    return summary
