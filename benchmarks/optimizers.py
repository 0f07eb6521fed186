"""Muon against AdamW, each at its best of some learning rates: how many steps does each need to the same validation loss?

    python benchmarks/optimizers.py TOKENS --config tiny [--set vocabulary=8192 ...] [--rates 1e-3 3e-3 1e-2] [--warmups 0.05 0.2] [--muon-rates 3e-3 1e-2 3e-2]
        [--cpus 2] [--out FOLDER]

Both move the matrices of the blocks; embeddings, head and norms are AdamW's in either run, at one rate (--set embedding_learning_rate=…). AdamW's warm-up is
looked for as well, as a share of the run; Muon's is the configuration's. TOKENS is what `python -m pipeline tokenize` wrote. Every run has the same batches, the
same number of steps and a cosine of its own; validation loss (mean over domains, the release's own held-out documents) is looked at every tenth of the run.
Said: each run's losses; and for the best AdamW the loss it ends with, and at which step of how many the best Muon of a run of as many steps was there. Runs
that are done are kept in --out.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import multiprocessing
from pathlib import Path
from typing import Any

from pipeline.store import Store
from pipeline.train.configs import parsed, settings


def one(arguments: tuple[str, str, str, str, dict[str, Any]]) -> list[tuple[int, float]]:
    """Validation loss by step."""
    import torch

    from pipeline.train.live import Log
    from pipeline.train.loop import train

    torch.set_num_threads(1)
    tokens, out, config, device, changes = arguments
    chosen = settings(config, **changes)
    train(tokens, out, chosen, device=device, quiet=True)
    lines = [line for line in Log.read(Store(out)) if line["event"] == "validation"]
    return [(line["step"], sum(line["losses"].values()) / len(line["losses"])) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tokens")
    parser.add_argument("--config", default="tiny")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3, 1e-2], help="AdamW's")
    parser.add_argument("--warmups", type=float, nargs="+", default=[0.05, 0.2], help="AdamW's, with every rate")
    parser.add_argument("--muon-rates", type=float, nargs="+", default=[3e-3, 1e-2, 3e-2], help="Muon's")
    parser.add_argument("--optimizers", nargs="+", default=["adamw", "muon"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("optimizers"))
    options = parser.parse_args()
    changes = parsed(options.set)
    base = settings(options.config, **changes)
    if not base.steps:
        parser.error("say how long a run is: --set steps=N")
    changes.setdefault("checkpoint_every", max(1, base.steps // 10))
    changes.setdefault("keep_checkpoints", 1)
    runs: dict[tuple[str, float, float], dict[str, Any]] = {}
    for rate in options.rates if "adamw" in options.optimizers else []:
        for warmup in options.warmups:
            runs["adamw", rate, warmup] = {"optimizer": "adamw", "learning_rate": rate, "warmup": warmup}
    for rate in options.muon_rates if "muon" in options.optimizers else []:
        runs["muon", rate, base.warmup] = {"optimizer": "muon", "learning_rate": rate}
    work = [
        (options.tokens, str(options.out / f"{name}-{rate:g}-{warmup:g}"), options.config, options.device, {**changes, **of})
        for (name, rate, warmup), of in runs.items()
    ]
    with multiprocessing.get_context("spawn").Pool(options.cpus) as pool:
        curves = dict(zip(runs, pool.imap(one, work), strict=True))
    best: dict[str, tuple[str, float, float]] = {}
    for run, curve in curves.items():
        print(f"{run[0]:6} {run[1]:8g}, warm-up {run[2]:g}: " + ", ".join(f"{step} {loss:.4f}" for step, loss in curve))
        if run[0] not in best or curve[-1][1] < curves[best[run[0]]][-1][1]:
            best[run[0]] = run
    for name, run in best.items():
        tried = options.rates if name == "adamw" else options.muon_rates
        edges = [word for word, value, among in (("rate", run[1], tried), ("warm-up", run[2], options.warmups)) if value in (min(among), max(among))]
        if edges:
            print(f"({name}'s best {' and '.join(edges)} at the edge of what was tried)")
    if len(best) == 2:
        last, target = curves[best["adamw"]][-1]
        there = crossing(curves[best["muon"]], target)
        print(
            f"best AdamW ({best['adamw'][1]:g}, warm-up {best['adamw'][2]:g}) ends at {target:.4f} after {last} steps; "
            f"best Muon ({best['muon'][1]:g}) ends at {curves[best['muon']][-1][1]:.4f}"
        )
        print(
            "Muon does not come there"
            if there is None
            else f"Muon is there after {there:.0f} steps: {last / there:.2f} times fewer (in a run as long, its rate not yet down)"
        )


def crossing(curve: list[tuple[int, float]], target: float) -> float | None:
    """Where a curve first comes to a loss, in a straight line between two steps."""
    before = None
    for step, loss in curve:
        if loss <= target:
            return float(step) if before is None else before[0] + (step - before[0]) * (before[1] - target) / (before[1] - loss)
        before = (step, loss)
    return None


if __name__ == "__main__":
    main()
