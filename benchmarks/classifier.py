"""Classifiers: documents of 256 tokens a second on one core, ours against torch and ONNX Runtime in float32, in one run.

    python benchmarks/classifier.py [--name sensitive] [--documents 64] [--rounds 5] [--text '../shared/data/text/*.jsonl.zst']
    python benchmarks/classifier.py --device cuda [--model FOLDER] [--windows 16384]

The peers have the bundled network's shape (the encoder's train.toml) and random weights: how fast a network is depends on its shape alone.
All get the same batches on one thread. Then: what padding adds on windows of real texts, and the tokenizer's share of the time. With
`--device cuda`: windows a second in bf16 for FOLDER as `save_pretrained` writes it, else for the bundled shape and for a BERT-base.

On the CPU, medians over interleaved rounds of processor time, which is wall time for one thread but for what a neighbour takes out of
the caches: where the machine is shared, compare the ratios, each taken within a round. To pin it: taskset -c 1 python benchmarks/classifier.py.
"""

import argparse
import glob
import io
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.measures.classifier import Classifier
from pipeline.measures.networks import _BATCH_TOKENS, OnnxScores, TorchScores, batched, encoder
from pipeline.measures.windows import windows
from pipeline.store import open_data, open_folder

TOKENS = 256
BUDGET, FP32_THERE, INT8_THERE = 130, 49, 136  # documents a second per core; what a reference machine had
BUDGET_CUDA = {"bundled shape": 60_000, "BERT-base shape": 8_000}  # windows a second on one H200
MOST_WINDOWS = 16  # of a text: what the `score` stage looks at
_WINDOW = int((TOKENS - 2) / 1.2)  # as Classifier cuts them

Ids = list[list[int]]


def read(pattern: str, limit_bytes: int) -> list[str]:
    """The first texts of each file, about the same bytes of each, in sorted order; the package's own sample where nothing matches."""
    import zstandard

    paths = sorted(glob.glob(pattern))
    if not paths:
        sample = [line for name in ("en", "zh") for line in open_data(f"sources/sample_data/prose_{name}.jsonl").splitlines()]
        return ["\n".join(json.loads(line)["paragraphs"]) for line in sample]
    texts = []
    for path in paths:
        room = limit_bytes // len(paths)
        with open(path, "rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw), "utf-8"):
                texts.append(json.loads(line).get("text") or "")
                room -= len(texts[-1].encode())
                if room < 0:
                    break
    return texts


def cut_documents(texts: Sequence[str], tokenizer: Path, count: int) -> list[str]:
    """`count` documents of exactly 256 tokens, [CLS] and [SEP] included, from texts in turn."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(tokenizer))
    out: list[str] = []
    for text in sorted(texts, key=len, reverse=True):
        start = 0
        while len(out) < count and start < len(text):
            piece = text[start : start + 3000]
            offsets = made.encode(piece, add_special_tokens=False).offsets
            if len(offsets) < TOKENS - 2:
                break
            end = offsets[TOKENS - 3][1]
            if len(made.encode(piece[:end]).ids) == TOKENS:
                out.append(piece[:end])
            start += max(end, 1) * 3  # not all from one book
        if len(out) == count:
            return out
    if not out:
        raise SystemExit("there is no text of 256 tokens")
    return [out[i % len(out)] for i in range(count)]


def shape(tokenizer: Path) -> Any:
    """The configuration of the bundled encoder, as its train.toml says."""
    from tokenizers import Tokenizer

    from classifiers.bert import config

    said = tomllib.loads((Path(__file__).parents[1] / "classifiers/encoder/train.toml").read_text())
    return config(Tokenizer.from_file(str(tokenizer)).get_vocab_size(), said["layers"], said["width"], 512)


def random_network(settings: Any, outputs: int) -> Any:
    """A sequence classifier of a shape, with random weights."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    settings.num_labels = outputs
    return AutoModelForSequenceClassification.from_config(settings, attn_implementation="sdpa").eval()


def machine() -> str:
    """What it ran on, and how busy that was."""
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    return f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores usable, load average {load}"


# --- one core --------------------------------------------------------------------------------------------------------------


def on_cpu(name: str, pattern: str, count: int, rounds: int) -> None:
    import onnxruntime
    import torch

    from classifiers.export import export_onnx, inference_form

    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    folder = Path(open_folder(f"bundled:{name}").path)
    card = open_folder(f"bundled:{name}").card
    labels, tokenizer = tuple(card["labels"]), folder / card["bert"]["tokenizer"]
    ours = OnnxScores(folder / card["bert"]["file"], tokenizer, labels, TOKENS)
    stage = Classifier(f"bundled:{name}")  # labels are judged by both models, a grade by the network
    texts = read(pattern, 6_000_000)
    documents = cut_documents(texts, tokenizer, count)
    encode = encoder(tokenizer, TOKENS)
    ids = encode(documents)
    languages = ["en"] * count
    network = random_network(shape(tokenizer), len(labels))
    with tempfile.TemporaryDirectory() as scratch:
        export_onnx(random_network(shape(tokenizer), len(labels)), Path(scratch) / "plain.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        plain = onnxruntime.InferenceSession(str(Path(scratch) / "plain.onnx"), options, providers=["CPUExecutionProvider"])
    form = inference_form(random_network(shape(tokenizer), len(labels))).eval()

    def from_torch(run: Callable[[Any, Any], Any]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        def logits(block: np.ndarray, mask: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return np.asarray(run(torch.from_numpy(block), torch.from_numpy(mask)).numpy())

        return logits

    def alone(logits: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[], object]:
        return lambda: batched(ids, logits, len(labels), _BATCH_TOKENS["cpu-int8"])

    def onnx_logits(block: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.asarray(plain.run(None, {"input_ids": block, "attention_mask": mask})[0])

    contenders: dict[str, Callable[[], object]] = {
        "torch float32, as transformers runs it": alone(from_torch(lambda b, m: network(input_ids=b, attention_mask=m).logits)),
        "torch float32, the form that is exported": alone(from_torch(form)),
        "ONNX Runtime float32": alone(onnx_logits),
        "ONNX Runtime int8 (ours), from token ids": alone(ours._logits),
        "ours, from text": lambda: ours(documents),
        "ours, from text, as the stage calls it": lambda: stage(documents, languages),
        "the tokenizer alone": lambda: encode(documents),
    }
    times: dict[str, list[float]] = {key: [] for key in contenders}
    walls: list[float] = []
    before = machine()
    for number in range(rounds + 1):
        for key, work in contenders.items():
            wall, start = time.perf_counter(), time.process_time()
            work()
            if number:  # the first round warms up
                times[key].append(time.process_time() - start)
                walls.append((time.perf_counter() - wall) / max(times[key][-1], 1e-9))
    print(f"{count} documents of {TOKENS} tokens, {rounds} interleaved rounds, one thread; bundled:{name}, {sum(map(len, ids)) // count} tokens each")
    print(
        f"torch {version('torch')}, onnxruntime {version('onnxruntime')}; before: {before}; after: {machine()}; wall / processor time {statistics.median(walls):.2f}"
    )
    base = times["torch float32, as transformers runs it"]
    print(f"{'':42} {'documents/s':>12} {'slowest':>8} {'fastest':>8} {'x torch':>8}")
    for key, spent in times.items():
        rate = [count / s for s in spent]
        ratio = statistics.median(b / s for b, s in zip(base, spent, strict=True))
        print(f"{key:42} {statistics.median(rate):12.1f} {min(rate):8.1f} {max(rate):8.1f} {ratio:8.2f}")
    mine = statistics.median(count / s for s in times["ours, from text"])
    share = statistics.median(t / s for t, s in zip(times["the tokenizer alone"], times["ours, from text"], strict=True))
    print(
        f"the budget, {BUDGET} documents/s from text: ours has {mine / BUDGET:.2f} of it here (a reference machine: torch {FP32_THERE}, int8 {INT8_THERE}: {INT8_THERE / FP32_THERE:.1f} x)"
    )
    print(f"the tokenizer takes {share:.1%} of the time from text; the stage cuts a document of {TOKENS} tokens into two windows, whose attention costs less")
    padding(texts, encode, glob.glob(pattern) != [])


def padding(texts: Sequence[str], encode: Callable[[Sequence[str]], Ids], real: bool) -> None:
    """What padding adds to the windows of real texts; nothing is computed."""
    cut = [windows(text, _WINDOW, MOST_WINDOWS) for text in texts]
    passages = [w for c in cut for w in c]
    lengths = np.array([len(i) for i in encode(passages)])
    print(
        f"\n{len(texts):,} {'texts' if real else 'sample texts of the package'} -> {len(passages):,} windows, {lengths.mean():.0f} tokens each on average",
        end="; ",
    )
    print(f"{(lengths >= TOKENS).mean():.1%} of them reach {TOKENS} tokens and are cut there")
    print(f"{'texts a call':>14} {'batches':>8} {'tokens a batch':>15} {'padding':>8} {'padding, in the order given':>28}")
    for texts_a_call in (16, 64, 256, 1024):
        filled = blocks = space = naive = 0

        def note(_: np.ndarray, mask: np.ndarray) -> np.ndarray:
            nonlocal filled, blocks, space
            filled, blocks, space = filled + int(mask.sum()), blocks + 1, space + mask.size
            return np.zeros((len(mask), 1))

        place = 0
        for start in range(0, len(cut), texts_a_call):
            size = sum(map(len, cut[start : start + texts_a_call]))
            group = lengths[place : place + size]
            place += size
            batched([[0] * int(n) for n in group], note, 1, _BATCH_TOKENS["cpu-int8"])
            for part in (group[i : i + 16] for i in range(0, len(group), 16)):
                naive += int(part.max()) * len(part)
        print(f"{texts_a_call:14} {blocks:8,} {space / blocks:15,.0f} {1 - filled / space:8.1%} {1 - filled / naive:28.1%}")


# --- a GPU -----------------------------------------------------------------------------------------------------------------


def on_gpu(model: Path | None, pattern: str, count: int, rounds: int) -> None:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertConfig
    from transformers.utils.logging import disable_progress_bar

    from classifiers.bert import write_tokenizer

    if not torch.cuda.is_available():
        raise SystemExit("there is no GPU here")
    disable_progress_bar()
    tokenizer = Path(__file__).parents[1] / "classifiers/encoder/tokenizer.json"
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        if model is not None:
            folders[str(model)] = model
        else:
            shapes = {"bundled shape": shape(tokenizer), "BERT-base shape": BertConfig(vocab_size=Tokenizer.from_file(str(tokenizer)).get_vocab_size())}
            for key, settings in shapes.items():
                folders[key] = Path(scratch) / key.split()[0]
                random_network(settings, 6).save_pretrained(folders[key])
                write_tokenizer(Tokenizer.from_file(str(tokenizer)), folders[key])
        print(
            f"{torch.cuda.get_device_name()}, torch {version('torch')}, {os.cpu_count()} cores, bf16, {count:,} windows of {TOKENS} tokens, {rounds} rounds; {machine()}"
        )
        print(f"{'':40} {'windows/s from ids':>19} {'from text':>10} {'tokenizer':>10} {'of budget':>10}")
        for key, folder in folders.items():
            own = folder / "tokenizer.json"
            if not own.exists():
                raise SystemExit(f"{folder} has no tokenizer.json, which this script cuts the windows with: save a fast tokenizer there")
            documents = cut_documents(read(pattern, 6_000_000), own, min(count, 2048))
            documents = [documents[i % len(documents)] for i in range(count)]
            scores = TorchScores(open_folder(str(folder)), "cuda-bf16", max_length=TOKENS)
            ids = scores._encode(documents)
            works: dict[str, Callable[[], object]] = {
                "ids": lambda s=scores, i=ids: batched(i, s._logits, len(s.labels), _BATCH_TOKENS["cuda-bf16"], s._pad),
                "text": lambda s=scores, d=documents: s(d),
                "tokenizer": lambda s=scores, d=documents: s._encode(d),
            }
            rates: dict[str, list[float]] = {k: [] for k in works}
            for number in range(rounds + 1):
                for k, work in works.items():
                    start = time.perf_counter()
                    work()  # ends with the scores in the memory of the host, so nothing is still under way
                    if number:
                        rates[k].append(count / (time.perf_counter() - start))
            median = {k: statistics.median(v) for k, v in rates.items()}
            budget = f"{median['ids'] / BUDGET_CUDA[key]:10.2f}" if key in BUDGET_CUDA else f"{'-':>10}"
            print(f"{key:40} {median['ids']:19,.0f} {median['text']:10,.0f} {median['tokenizer']:10,.0f} {budget}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--name", default="sensitive", help="the bundled model")
    parser.add_argument("--model", type=Path, help="with --device cuda: a folder as save_pretrained writes it")
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--windows", type=int, default=16_384, help="with --device cuda")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text", default=str(Path(__file__).resolve().parents[2] / "shared/data/text/*.jsonl.zst"), help="glob of *.jsonl.zst files")
    args = parser.parse_args()
    if args.device == "cuda":
        on_gpu(args.model, args.text, args.windows, args.rounds)
    else:
        # Read when the tokenizer first encodes and when the libraries start their threads, so before either.
        os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")
        on_cpu(args.name, args.text, args.documents, args.rounds)


if __name__ == "__main__":
    main()
