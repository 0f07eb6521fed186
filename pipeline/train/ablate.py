"""Ablations: the same small model, trained for as many steps on every variant of a recipe, says which documents were worth keeping.

A trial is one training and its evaluation: an arm's tokens, settings with a learning rate and a seed, validation sets. It is kept under the fingerprint of
all that, so that running again trains nothing twice, and two ablations share what is alike; a trial that was killed goes on from its last checkpoint.
On Ray one trial has a GPU, or a core where there is none. Results lie in ablations/NAME of the work folder: `result.json`, `table.md`, `differences.svg`.
"""

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.engine import Engine, Link, OnRay, open_engine
from pipeline.errors import PlanError, TaskFailed
from pipeline.store import Store, fingerprint
from pipeline.timings import Progress
from pipeline.train.ablation_spec import Spec
from pipeline.train.ablation_tables import plot, table
from pipeline.train.configs import Settings, settings
from pipeline.train.evaluate import Evaluation
from pipeline.train.validation_sets import ValidationSet, choose, sets_of
from pipeline.train.variants import Arm, Workshop
from pipeline.train.verdicts import Comparison, agreed, bits, compare

VERSION = 2  # raised when a trial's result changes for the same settings
_STALL_SECONDS = 14 * 24 * 3600.0  # a trial may take days


@dataclass(frozen=True)
class Trial:
    """One training of one arm. `about` is what it cost: steps, tokens, seconds, device, and the loss in training."""

    arm: str
    learning_rate: float
    seed: int
    release: str  # what it read: of an arm whose documents are drawn, each seed has another
    fingerprint: str
    evaluation: Evaluation
    about: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Ablation:
    """What came out. `comparisons`: arm -> learning rate -> its difference from the arm in `against`. Prints as its table."""

    name: str
    folder: str
    baseline: str
    arms: Mapping[str, Arm]
    against: Mapping[str, str]
    trials: tuple[Trial, ...]
    comparisons: Mapping[str, Mapping[float, Comparison]]
    notes: tuple[str, ...]

    @cached_property
    def verdicts(self) -> dict[str, str]:
        """What all learning rates say of each arm."""
        return {name: agreed([c.verdict for c in by_rate.values()]) for name, by_rate in self.comparisons.items()}

    def of(self, arm: str, learning_rate: float) -> list[Trial]:
        """An arm's trials at a learning rate, by seed."""
        return sorted((t for t in self.trials if t.arm == arm and t.learning_rate == learning_rate), key=lambda t: t.seed)

    def to_dict(self) -> dict[str, Any]:
        """Everything but documents' own numbers, for JSON."""
        return {
            "name": self.name,
            "baseline": self.baseline,
            "arms": {name: asdict(arm) | {"release": Path(arm.release).name, "tokens": Path(arm.tokens).parent.name} for name, arm in self.arms.items()},
            "trials": [
                {
                    **{key: getattr(t, key) for key in ("arm", "learning_rate", "seed", "release", "fingerprint")},
                    "bits_per_byte": bits(t.evaluation),
                    **t.about,
                }
                for t in self.trials
            ],
            "comparisons": [
                {
                    "arm": name,
                    "against": self.against[name],
                    "learning_rate": rate,
                    "verdict": c.verdict,
                    **{kind: {d: asdict(x) for d, x in getattr(c, kind).items()} for kind in ("domains", "groups")},
                }
                for name, by_rate in self.comparisons.items()
                for rate, c in by_rate.items()
            ],
            "verdicts": self.verdicts,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return table(self)


def ablate(
    spec: str | Path | Spec,
    work: str | Path = "work",
    *,
    inputs: Mapping[str, str] | None = None,
    validation: Mapping[str, Any] | str | None = None,
    here: bool = False,
    cpus: int | None = None,
    address: str | None = None,
    keep_models: bool = False,
    progress: Progress | None = None,
) -> Ablation:
    """Make an ablation's arms, train and evaluate what is not done yet, and write what came out. `spec`: a YAML file, or what `Spec.load` gives.

    `inputs` replace the recipe's sources as in `run`; `validation`, as `sets_of` takes it, adds sets or replaces those of the same name. `cpus` trials run at
    a time, or as many as there are GPUs, where there are some; `here` runs one after the other in this process. `keep_models` leaves each trial's model as
    transformers loads it; a trial that was done without has none.

    RecipeError for faults of the file or the recipe, PlanError for what cannot be carried out here, TaskFailed where a trial killed its worker twice. What was
    finished is kept.
    """
    spec = spec if isinstance(spec, Spec) else Spec.load(spec)
    spec.check()
    progress = progress or Progress()
    sets, content = _sets(spec, validation or {})
    runs = {(rate, seed): _settings(spec, rate, seed) for rate in spec.train.learning_rates for seed in spec.train.seeds}
    shop = Workshop(spec, str(work), dict(inputs or {}), here, cpus, address, progress)
    store, folder, versions = shop.store, f"ablations/{spec.name}", _versions()
    with store.sub(folder).lock():
        arms = shop.arms()
        drawn = {(name, seed): draws[i % len(draws)] for name, draws in arms.items() for i, seed in enumerate(spec.train.seeds)}
        planned = {
            (name, rate, seed): fingerprint([drawn[name, seed].content, run.plain(), content, versions]) for name in arms for (rate, seed), run in runs.items()
        }
        jobs = {
            digest: (store, digest, drawn[name, seed].tokens, runs[rate, seed].plain(), sets, spec.evaluate.documents, spec.evaluate.max_bytes, keep_models)
            for (name, rate, seed), digest in planned.items()
            if not store.exists(f"{_place(digest)}/trial.json")
        }
        names = {digest: f"{name}, learning rate {rate:g}, seed {seed}" for (name, rate, seed), digest in planned.items()}
        _carry_out(jobs, names, progress, lambda: open_engine(here=here, cpus=cpus, address=address))
        trials = tuple(Trial(*key, Path(drawn[key[0], key[2]].release).name, digest, *_read(store, digest)) for key, digest in planned.items())
        found = _compared(spec, store.at(folder), shop, arms, trials)
        store.write_json(f"{folder}/result.json", found.to_dict(), sort_keys=False)
        store.write_bytes(f"{folder}/table.md", table(found).encode())
        store.write_bytes(f"{folder}/differences.svg", plot(found).encode())
    return found


def _sets(spec: Spec, validation: Mapping[str, Any] | str) -> tuple[tuple[ValidationSet, ...], dict[str, str]]:
    """The validation sets, and of each the hash of the documents that are scored."""
    given = [*(sets_of(spec.evaluate.sets) if spec.evaluate.sets else ()), *(sets_of(validation) if validation else ())]
    named = {one.name: one for one in sorted(given, key=lambda one: one.name)}  # in one order, whatever the command line's was: trials are kept
    if not named:
        raise PlanError(
            f"The ablation {spec.name} has no validation sets. Give some that no arm was made of, two domains or more: --validation NAME=GLOB, --sets FILE, "
            "or `evaluate: {sets: …}`."
        )
    for group, names in spec.evaluate.groups.items():
        for name in names:
            if name not in named:
                raise PlanError(
                    f"The group {group} has the set '{name}', and there is none: give it with --validation {name}=GLOB. There are {', '.join(named)}."
                )
    content = {}
    for one in named.values():
        digest = hashlib.sha256()
        for document in choose(one, documents=spec.evaluate.documents, max_bytes=spec.evaluate.max_bytes).texts:
            digest.update(document.encode() + b"\xff")  # which UTF-8 never holds
        content[one.name] = digest.hexdigest()
    return tuple(named.values()), content


def _settings(spec: Spec, rate: float, seed: int) -> Settings:
    """The settings of a trial. Where embeddings have a rate of their own, it moves with the other."""
    plain = settings(spec.train.config)
    changes = {"embedding_learning_rate": plain.embedding_learning_rate * rate / plain.learning_rate, **spec.train.settings}
    return settings(spec.train.config, **changes, steps=spec.train.steps, learning_rate=rate, seed=seed)


def _versions() -> dict[str, Any]:
    """What makes another result of the same settings."""
    found = {}
    for name in ("torch", "skypile-builder"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name).partition("+")[0]
    return {"ablate": VERSION, **found}


# --- trials -------------------------------------------------------------------------------------------------------------------


def _place(digest: str) -> str:
    return f"ablations/trials/{digest}"


def _carry_out(jobs: Mapping[str, tuple[Any, ...]], names: Mapping[str, str], progress: Progress, opened: Callable[[], Engine]) -> None:
    """Run what is to do, all of it, before an error of one is raised."""
    if not jobs:
        return
    engine = opened()
    try:
        if isinstance(engine, OnRay):
            engine.stall_seconds = _STALL_SECONDS
            engine.limit = min(engine.limit, int(engine.ray.cluster_resources().get("GPU", 0)) or engine.limit)
        progress.begin("trials", len(jobs))
        outcome = engine.run(
            [Link(make=_runner, gpu=True)], [[job] for job in jobs.values()], lambda i, j, result: progress.advance("trials", result), stop_early=False
        )
        progress.end("trials")
    finally:
        engine.close()
    told = [names[digest] for digest in jobs]
    if outcome.errors:
        first = min(outcome.errors)
        raise TaskFailed(
            f"{len(outcome.errors)} of {len(jobs)} trials failed; the others are kept. The first, {told[first]}: {outcome.errors[first]}"
        ) from outcome.errors[first]
    if outcome.crashed:
        raise TaskFailed(
            f"{len(outcome.crashed)} of {len(jobs)} trials killed their workers twice, the first {told[outcome.crashed[0]]}. If memory ran out, use fewer --cpus; the others are kept."
        )


def _runner() -> Callable[..., dict[str, Any]]:
    """What an actor calls: it holds a GPU, where there is one, as long as it lives."""
    return run_trial


def run_trial(
    store: Store, digest: str, tokens: str, plain: Mapping[str, Any], sets: Sequence[ValidationSet], documents: int, max_bytes: int, keep_model: bool
) -> dict[str, Any]:
    """Train on a folder of token shards and score the validation sets. The trial's folder has the log, the evaluation, and at last `trial.json`."""
    from pipeline.train.evaluate import evaluate

    try:
        from pipeline.train.loop import train
        from pipeline.train.score import open_scorer
    except ImportError as error:
        raise PlanError(f"Ablations train, which needs the extra [train] ({error}): `pip install 'skypile-builder[train]'`.") from error

    folder = _place(digest)
    training = f"{folder}/training/{Path(tokens).parent.name}"  # the same tokens may be called otherwise in another ablation, and a checkpoint knows their name
    trained = train(tokens, store.at(training), Settings.of(plain), quiet=True)
    evaluated = evaluate(open_scorer(store.at(training)), sets, documents=documents, max_bytes=max_bytes)
    evaluated.save(store.at(f"{folder}/evaluation"))
    about = {key: trained[key] for key in ("loss", "tokens", "steps", "parameters", "seconds", "device", "passes")}
    store.write_json(f"{folder}/trial.json", about)
    for left in ["checkpoints"] if keep_model else ["checkpoints", "export"]:
        store.remove(f"{training}/{left}")
    return about


def _read(store: Store, digest: str) -> tuple[Evaluation, dict[str, Any]]:
    return Evaluation.load(store.at(f"{_place(digest)}/evaluation")), store.read_json(f"{_place(digest)}/trial.json")


# --- what came out --------------------------------------------------------------------------------------------------------------


def _compared(spec: Spec, folder: str, shop: Workshop, draws: Mapping[str, tuple[Arm, ...]], trials: tuple[Trial, ...]) -> Ablation:
    arms = {name: drawn[0] for name, drawn in draws.items()}
    against = {name: shop.variants[name].against or spec.baseline for name in arms}
    against = {name: other for name, other in against.items() if name != other}
    notes = list(_notes(spec, shop, draws))
    if len(devices := {str(t.about["device"]) for t in trials}) > 1:
        notes.append(f"Trials ran on {' and '.join(sorted(devices))}, whose arithmetic differs: that is part of the spread over seeds.")
    often: dict[tuple[str, str], float] = {}
    for t in trials:
        for cell, times in t.about.get("passes", {}).items():
            often[t.arm, cell] = max(times, often.get((t.arm, cell), 0.0))
    notes += [f"{arm}: {cell} is passed up to {times:.2f} times in a training." for (arm, cell), times in often.items() if times > 1.05]
    found = Ablation(spec.name, folder, spec.baseline, arms, against, trials, {}, tuple(notes))
    comparisons = {
        name: {
            rate: compare([t.evaluation for t in found.of(name, rate)], [t.evaluation for t in found.of(other, rate)], spec.evaluate.groups)
            for rate in spec.train.learning_rates
        }
        for name, other in against.items()
    }
    return replace(found, comparisons=comparisons)


def _notes(spec: Spec, shop: Workshop, draws: Mapping[str, tuple[Arm, ...]]) -> tuple[str, ...]:
    """What stands between the numbers and what one would like to read from them."""
    run = _settings(spec, spec.train.learning_rates[0], spec.train.seeds[0])
    seen = run.steps * run.batch_tokens
    notes = [f"Every trial sees {seen:,} tokens in {run.steps:,} steps of {run.batch_tokens:,}; bits per byte, smaller is better."]
    for name, drawn in draws.items():
        base, least = draws[spec.baseline][0].shares, min(arm.total for arm in drawn)
        if seen > least:
            notes.append(f"{name} has {least:,} tokens, so its trials pass over them {seen / least:.2f} times: repetition is part of the difference.")
        far = [d for d in drawn[0].shares if any(abs(arm.shares[d] - base.get(d, 0.0)) > 0.01 for arm in drawn)]
        if far:
            notes.append(f"{name} has another share of {', '.join(far)} than {spec.baseline}: the mix is part of the difference.")
        before = [other for other in list(draws)[: list(draws).index(name)] if draws[other][0].content == drawn[0].content]
        if before:
            notes.append(f"{name} has the very tokens of {before[0]}.")
        notes += dict.fromkeys(f"{name}: {short}" for k in range(len(drawn)) for short in shop.releases[name, k].mixture["shortage"])
        if len(drawn) > 1:
            notes.append(f"{name}: its documents are drawn, others for each seed; counts are the first draw's.")
        if shop.variants[name].datatrove:
            notes.append(f"{name}: FineWeb's rules judge English web pages; what else there is stays as {shop.variants[name].of} has it.")
    if len(spec.train.seeds) == 1:
        notes.append("One seed: standard errors are over documents, and say nothing of how another seed would have come out.")
    return tuple(notes)
