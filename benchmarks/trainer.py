"""The trainer's speed: tokens a second, MFU, memory, and how long a step waits for its data.

    python benchmarks/trainer.py TOKENS [--config 50m --config 124m --config 350m] [--steps 30] [--rows-at-once N] [--device cuda] [--cpus 2]

Real batches of a token folder, the whole step (data, forward, backward, clipping, optimizer), the median over the last two thirds of the steps; no checkpoints.
MFU against the maker's dense bf16 rate, by the count of PaLM's appendix B with causal attention counted once. On a CPU, whose peak nobody states, the peak is
this machine's: the best of a few float32 products of 2,048 x 2,048. Peers publish 41 to 46 % (nanochat) and 33 to 39 % (torchtitan) on H100.
"""

import argparse
import gc
import os
import statistics
import tempfile
import time

import torch

from pipeline.store import Store
from pipeline.token_shards import open_tokens
from pipeline.train.configs import settings
from pipeline.train.live import peak_flops
from pipeline.train.loop import Trainer, World


def measured_peak() -> float:
    """Operations a second of this CPU in a product of matrices."""
    a, rates = torch.randn(2048, 2048), []
    for _ in range(8):
        since = time.perf_counter()
        a @ a
        rates.append(2 * 2048**3 / (time.perf_counter() - since))
    return max(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tokens")
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch-tokens", type=int, default=0)
    parser.add_argument("--rows-at-once", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.cpus)
    tokens = open_tokens(options.tokens)
    for name in options.config or ["tiny"]:
        changes = {"steps": options.steps}
        changes |= {"batch_tokens": options.batch_tokens} if options.batch_tokens else {}
        changes |= {"rows_at_once": options.rows_at_once} if options.rows_at_once else {}
        chosen = settings(name, **changes)
        if torch.cuda.is_available():
            gc.collect()  # a compiled block holds itself
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(tokens, Store(folder), chosen, World(options.device))
            cuda = trainer.world.device.type == "cuda"
            seconds, waits, alone = [], [], []
            begun = time.perf_counter()
            for batch in trainer.prefetched(trainer.batches.steps):
                waits.append(time.perf_counter() - begun)
                loss, _ = trainer.learn(batch)
                float(loss)  # waits for the device
                seconds.append(time.perf_counter() - begun)
                trainer.step += 1
                begun = time.perf_counter()
            for step in range(3):
                since = time.perf_counter()
                trainer.batch(step)
                alone.append(time.perf_counter() - since)
            del trainer  # else its memory counts for the next
        step_seconds = statistics.median(seconds[len(seconds) // 3 :])
        peak = (peak_flops(torch.cuda.get_device_name()) or float("nan")) if cuda else measured_peak()
        rate = chosen.batch_tokens / step_seconds
        memory = f", {torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if cuda else ""
        print(
            f"{name}: {rate:,.0f} tokens/s, MFU {rate * chosen.shape.flops_per_token(chosen.sequence_length) / peak:.1%} of {peak / 1e12:.2f} Tflop/s{memory}; "
            f"waited for data {statistics.median(waits[len(waits) // 3 :]) / step_seconds:.2%} of a step (a batch takes {statistics.median(alone) / step_seconds:.2%} to make)"
        )


if __name__ == "__main__":
    main()
