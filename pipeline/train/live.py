"""What a run shows: a line every few steps in the terminal, all of it in `log.jsonl`, TensorBoard where it is asked for, and a plot of the loss."""

import json
import os
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from pipeline.errors import PlanError
from pipeline.store import Store, full_disk_told

PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "H800": 989e12, "B200": 2_250e12, "A100": 312e12, "A800": 312e12, "L40S": 362e12, "4090": 165e12}
# Dense bf16 operations a second, as the makers publish them; MFU is shown for these alone.


def peak_flops(device: str) -> float | None:
    """What a GPU could do, by its name; None where nobody here knows."""
    return next((peak for name, peak in PEAKS.items() if name in device), None)  # the first, so longer names stand first


class Log:
    """`log.jsonl`: a line an event, those behind the step that a run goes on from taken out."""

    def __init__(self, store: Store, step: int, *, quiet: bool, tensorboard: bool) -> None:
        self.path = store.at("log.jsonl")
        kept = [line for line in self.read(store) if line["step"] <= step] if step else []
        store.write_bytes("log.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in kept))
        self.console = Console(quiet=quiet)
        self.board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise PlanError(
                    "TensorBoard is not installed here: `pip install tensorboard`, or leave --tensorboard out; log.jsonl has the same numbers."
                ) from error

            self.board = SummaryWriter(store.at("tensorboard"), purge_step=step)

    @staticmethod
    def read(store: Store) -> list[dict[str, Any]]:
        """The lines there are; one that a kill cut in two is left out."""
        lines = []
        for line in store.read_bytes("log.jsonl").splitlines() if store.exists("log.jsonl") else []:
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines

    def write(self, line: Mapping[str, Any], shown: str) -> None:
        with full_disk_told(self.path), open(self.path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")
        self.console.print(shown, highlight=False, markup=False)
        if self.board is not None:
            for name, value in line.items():
                if isinstance(value, int | float) and name != "step":
                    self.board.add_scalar(name, value, line["step"])


def memory_bytes() -> int:
    """Resident memory of this process (a GPU's is torch's to tell)."""
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def plot(lines: list[dict[str, Any]], title: str) -> str:
    """An SVG of the training loss and of each domain's validation loss, in nats a token, over tokens seen."""
    training = [(line["tokens"], line["loss"]) for line in lines if line["event"] == "step"]
    series = {"training": training}
    for line in lines:
        if line["event"] == "validation":
            for domain, loss in line["losses"].items():
                series.setdefault(f"validation, {domain}", []).append((line["tokens"], loss))
    points = [point for row in series.values() for point in row]
    if not points:
        return ""
    width, height, left, bottom = 720, 360, 50, 40
    most = max(x for x, _ in points) or 1
    low, high = min(y for _, y in points), max(y for _, y in points)
    low, high = (low, high) if high > low else (low - 1, high + 1)

    def at(x: float, y: float) -> str:
        return f"{left + x / most * (width - left - 170):.1f},{10 + (high - y) / (high - low) * (height - bottom - 10):.1f}"

    colours = ("#888888", "#1f6fb4", "#c23b22", "#2e8b57", "#8a5fbf", "#b8860b")
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" role="img">']
    parts += [f"<title>{title}</title>", f'<rect width="{width}" height="{height}" fill="white"/>']
    for k in range(5):
        level = low + (high - low) * k / 4
        x, y = at(0, level).split(",")
        parts.append(f'<path d="M{x},{y}H{width - 170}" stroke="#dddddd"/><text x="{left - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{level:.2f}</text>')
        x, y = at(most * k / 4, low).split(",")
        parts.append(f'<text x="{x}" y="{height - bottom + 18}" text-anchor="middle">{most * k / 4 / 1e6:.2f}</text>')
    parts.append(f'<text x="{(width - 170) / 2}" y="{height - 6}" text-anchor="middle">million tokens; loss in nats a token</text>')
    for k, (name, row) in enumerate(series.items()):
        colour = colours[k % len(colours)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="{1 if k == 0 else 2}" points="{" ".join(at(x, y) for x, y in row)}"/>')
        parts.append(f'<text x="{width - 160}" y="{24 + 18 * k}" fill="{colour}">{name} {row[-1][1]:.3f}</text>')
    return "\n".join([*parts, "</svg>", ""])
