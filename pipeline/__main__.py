"""The command line: `python -m pipeline run recipes/skypile.yaml`. What changes bytes is in the recipe; here is only how."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pipeline.errors import PipelineError, PlanError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Raw crawls and source code in, a mixed, explained, reproducible pretraining corpus out.",
)

RecipeArgument = Annotated[str, typer.Argument(help="A YAML file, or the bare name of a recipe that ships, such as `skypile`.", show_default=False)]
ReleaseArgument = Annotated[str, typer.Argument(metavar="RELEASE", help="A release's folder, such as work/releases/skypile@0.1.", show_default=False)]
Work = Annotated[str, typer.Option(help="The work folder: a place that all nodes reach. Artefacts and releases are kept there.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=GLOB", help="Replace the files of a source (repeatable; several globs with commas; local, file://, s3://)."),
]
Cpus = Annotated[int | None, typer.Option(min=1, help="Cores to use; all of them by default. Changes no byte.")]
Address = Annotated[str | None, typer.Option(help="An existing Ray cluster, such as `auto` or `ray://head:10001`.")]
Here = Annotated[bool, typer.Option("--here", help="The same plan in this process, without Ray.")]


Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Validation = Annotated[
    list[str] | None,
    typer.Option(
        "--validation",
        metavar="NAME=GLOB",
        help="A held-out set: JSON lines (.zst too) or Parquet with a column `text` (repeatable; several globs with commas).",
    ),
]
Sets = Annotated[str | None, typer.Option("--sets", metavar="FILE", help="A YAML file of held-out sets, {name: glob}, instead of --validation.")]


def _inputs(given: list[str] | None, option: str = "--input", example: str = "web=crawl/*.warc.gz") -> dict[str, str]:
    found = {}
    for item in given or []:
        name, sign, glob = item.partition("=")
        if not sign or not name or not glob:
            raise PlanError(f"{option} {item}: write NAME=GLOB, such as {option} '{example}'.")
        found[name] = glob
    return found


def _held_out(given: list[str] | None, file: str | None) -> dict[str, list[str]] | str:
    """What --validation says, or --sets."""
    if given and file:
        raise PlanError("Give held-out sets by --sets or by --validation, not both.")
    return file or {name: globs.split(",") for name, globs in _inputs(given, "--validation", "zh_news=held/news-*.jsonl.zst").items()}


@app.command()
def run(
    recipe: RecipeArgument,
    work: Work = "work",
    cpus: Cpus = None,
    address: Address = None,
    here: Here = False,
    inputs: Inputs = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Start Ray's dashboard (about 1 GB of memory).")] = False,
) -> None:
    """Make the corpus: carry out what is not done yet, and print the funnel and the release's path."""
    import pipeline
    from pipeline.inspect.progress import Shown
    from pipeline.inspect.tables import summary

    console = Console()
    loaded = pipeline.Recipe.load(recipe, _inputs(inputs))
    with Shown() as shown:
        release = pipeline.run(loaded, work, cpus=cpus, address=address, here=here, dashboard=dashboard, progress=shown)
    console.print(summary(release))
    console.print("Next: `python -m pipeline report` to review it; `card`, `verify` and `publish` with the path below.", soft_wrap=True, highlight=False)
    console.print(f"Release: {escape(release.path)}", soft_wrap=True, highlight=False)


@app.command()
def plan(
    recipe: RecipeArgument,
    work: Work = "work",
    inputs: Inputs = None,
    probe: Annotated[
        float | None,
        typer.Option(min=1e-9, max=1, help="Run this hashed share of every input through the per-unit stages; predict time, disk, memory and yield."),
    ] = None,
    cpus: Cpus = None,
) -> None:
    """Show the steps: what is done, what is to do, and what changed since the last run."""
    import pipeline

    loaded = pipeline.Recipe.load(recipe, _inputs(inputs))
    planned = pipeline.plan(loaded, work)
    console = Console()
    console.print(str(planned), highlight=False, markup=False, soft_wrap=True)
    if probe is not None:
        from pipeline.inspect.probe import probe as run_probe

        found = run_probe(planned, probe, cpus=cpus or os.cpu_count() or 1)
        console.print(found.table())
        if (languages := found.languages()) is not None:
            console.print(languages)
        console.print(found.shares())


@app.command()
def explain(
    recipe: RecipeArgument, document: Annotated[str, typer.Argument(metavar="ID|URL", show_default=False)], work: Work = "work", inputs: Inputs = None
) -> None:
    """Say of one document what was measured, which bound broke, and which document stayed in its place."""
    import pipeline
    from pipeline.inspect.explain import explain as run_explain

    loaded = pipeline.Recipe.load(recipe, _inputs(inputs))
    Console().print(run_explain(pipeline.plan(loaded, work), document))


@app.command()
def tokenize(
    release: ReleaseArgument,
    tokenizer: Annotated[str | None, typer.Option(metavar="NAME|PATH", help="A bundled one, or a tokenizer.json; the release's own by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or reference. Changes no byte.")] = "auto",
    out: Annotated[str | None, typer.Option(help="The folder to write; tokens/NAME@VERSION/TOKENIZER beside the folder of releases by default.")] = None,
    layouts: Annotated[
        list[str] | None, typer.Option("--format", metavar="megatron|nanotron", help="Write it for that trainer too, in a folder below (repeatable).")
    ] = None,
    append_eos: Annotated[bool, typer.Option("--append-eos/--no-append-eos", help="For those: end every document with the end of text.")] = True,
    cpus: Cpus = None,
) -> None:
    """Write a release's tokens as shards that a trainer maps into memory. Run it again to go on."""
    from rich.table import Table

    from pipeline.inspect.progress import Shown
    from pipeline.token_shards import write_tokens

    console, cores = Console(), cpus or os.cpu_count() or 1
    with Shown() as shown:
        made = write_tokens(release, out, tokenizer=tokenizer, device=device, cpus=cores, layouts=layouts or (), append_eos=append_eos, progress=shown)
    about = made.manifest
    table = Table("split", "domain", title=f"Tokens of {about['release']} by {escape(made.tokenizer)} ({about['id_type']})", title_justify="left")
    for name in ("documents", "tokens", "with repeats", "bytes per token"):
        table.add_column(name, justify="right")
    for split, domains in about["counts"].items():
        for domain, n in domains.items():
            rate = f"{n['text_bytes'] / n['tokens']:.2f}" if n["tokens"] else ""
            table.add_row(split, domain, f"{n['documents']:,}", f"{n['tokens']:,}", f"{n['tokens_with_repeats']:,}" if split == "train" else "", rate)
    table.caption_justify, counted = "left", about["counted_by"]
    table.caption = (
        f"Every document has as many as its {counted} says." if counted else "The release was not counted by this tokenizer: nothing to compare with."
    )
    console.print(table)
    for path in [made.path, *(f"{made.path}/{layout}" for layout in layouts or ())]:
        console.print(f"Tokens: {escape(path)}", soft_wrap=True, highlight=False)


tokenizer_app = typer.Typer(no_args_is_help=True, help="Make a vocabulary.")
app.add_typer(tokenizer_app, name="tokenizer")


@tokenizer_app.command("train")
def train_tokenizer(
    release: ReleaseArgument,
    out: Annotated[str, typer.Option(help="The folder to write tokenizer.json, summary.json and README.md to.", show_default=False)],
    vocabulary: Annotated[int, typer.Option(help="Entries, bytes and special tokens included. Up to 65,536 ids fit uint16.")] = 65_536,
    cpus: Cpus = None,
) -> None:
    """Train a byte-level BPE on a release's training documents, each as often as the release repeats it; no entry straddles a code point."""
    from rich.table import Table

    from pipeline.library import train_tokenizer as train

    summary, console = train(release, out, vocabulary, cpus), Console()
    table = Table("domain", title=f"{vocabulary:,} entries from {summary['release']}", title_justify="left")
    for name in ("documents", "bytes", "bytes per token of validation"):
        table.add_column(name, justify="right")
    for domain, n in summary["trained_on"].items():
        held_out = summary["validation"].get(domain)
        rate = f"{held_out['bytes'] / held_out['tokens']:.2f}" if held_out else ""
        table.add_row(domain, f"{n['documents']:,}", f"{n['bytes']:,}", rate)
    console.print(table)
    console.print(f"Tokenizer: {escape(out)}/tokenizer.json", soft_wrap=True, highlight=False)


@app.command()
def train(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="A release's folder, or a folder of its tokens.", show_default=False)],
    config: Annotated[str, typer.Option(help="tiny, 4m, 10m, 50m, 124m, 350m, 1b or skywork-13b: parameters without embeddings.")] = "tiny",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, such as steps=200 or learning_rate=1e-3 (repeatable).")
    ] = None,
    out: Annotated[str | None, typer.Option(help="The run's folder; runs/NAME@VERSION/CONFIG beside the folder of releases by default.")] = None,
    device: Device = "auto",
    cpus: Cpus = None,
    shard: Annotated[bool, typer.Option("--shard", help="Under torchrun: part the parameters among processes (FSDP2) instead of copying them.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write events for TensorBoard too.")] = False,
) -> None:
    """Train the reference model on a release. Run it again to go on; under torchrun on many GPUs. What it shows stands in log.jsonl too."""
    from pipeline.train.runs import train_release

    summary = train_release(release, config, out, changes=changes or (), device=device, cpus=cpus, shard=shard, tensorboard=tensorboard)
    if summary:  # one process tells
        console = Console()
        losses = ", ".join(f"{domain} {loss:.4f}" for domain, loss in summary["validation"].items())
        console.print(f"Loss {summary['loss']:.4f} in training; in validation {losses}. {summary['seconds']:.0f} s.", highlight=False)
        console.print(f"Next: `python -m pipeline evaluate {escape(summary['folder'])} --validation NAME=GLOB`.", soft_wrap=True, highlight=False)
        console.print(f"Run: {escape(summary['folder'])}", soft_wrap=True, highlight=False)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run's folder, or any causal language model that transformers loads.", show_default=False)],
    validation: Validation = None,
    sets: Sets = None,
    documents: Annotated[int, typer.Option(min=1, help="Documents of each set, chosen by hash.")] = 500,
    max_bytes: Annotated[int, typer.Option(min=1, help="Bytes of each document, so that models with other tokenizers read the same.")] = 4096,
    leakage: Annotated[
        list[str] | None,
        typer.Option(
            "--leakage", metavar="KIND=GLOB", help="A benchmark's `test`, `train` and `mock` items: was it trained on? Columns question and answer, or text."
        ),
    ] = None,
    out: Annotated[str | None, typer.Option(help="Also write the result here, as OUT.json and OUT.npz; of the leakage test as OUT.leakage.json.")] = None,
    device: Device = "auto",
) -> None:
    """Bits per byte of held-out text by domain, with 95 % intervals, and Skywork's normalised perplexity; or its test of leaked benchmarks."""
    from pipeline.train.runs import evaluate_model

    leaks = _inputs(leakage, "--leakage", "test=gsm8k_test.jsonl")
    for table in evaluate_model(model, _held_out(validation, sets), leaks, documents, max_bytes, out, device):
        Console().print(table)


@app.command()
def ablate(
    spec: Annotated[str, typer.Argument(metavar="FILE", help="A YAML file, or the bare name of one that ships: `filters`, `stem`.", show_default=False)],
    work: Work = "work",
    inputs: Inputs = None,
    validation: Validation = None,
    sets: Sets = None,
    cpus: Cpus = None,
    address: Address = None,
    here: Here = False,
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Keep every trial's model and checkpoints.")] = False,
) -> None:
    """Train one small model on every variant of a recipe, and say which differences are real. Run it again to go on; nothing is trained twice."""
    from pipeline.inspect.progress import Shown
    from pipeline.train.ablate import ablate as run_ablation

    with Shown() as shown:
        found = run_ablation(
            spec, work, inputs=_inputs(inputs), validation=_held_out(validation, sets), here=here, cpus=cpus, address=address,
            keep_models=keep_models, progress=shown,
        )  # fmt: skip
    print(found)
    Console().print(f"Ablation: {escape(found.folder)}", soft_wrap=True, highlight=False)


@app.command()
def takedown(
    requests: Annotated[
        list[str], typer.Argument(metavar="ID|URL|HOST|text:PATH|FILE…", help="What is to go; a FILE holds one request a line.", show_default=False)
    ],
    work: Work = "work",
    release: Annotated[list[str] | None, typer.Option("--release", help="A release to search (repeatable); all of the work folder's by default.")] = None,
    out: Annotated[str, typer.Option(help="The tombstone file. Lines are added to it.")] = "tombstones.txt",
    threshold: Annotated[float, typer.Option(help="How alike texts are that go with what is asked for.")] = 0.8,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Remarked above the new lines.")] = None,
) -> None:
    """Find what is asked for and its near-duplicates in every release; write tombstones that keep it out of later ones."""
    from pipeline.publish.takedown import releases_in
    from pipeline.publish.takedown import takedown as run_takedown

    Console().print(run_takedown(requests, release or releases_in(work), out, threshold=threshold, date=date))


@app.command()
def publish(
    release: ReleaseArgument,
    to: Annotated[str, typer.Option(metavar="ORG/NAME", help="The data set on the Hub; made where there is none.", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Make it private; refused where it exists and is public.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, list what would be sent, and send nothing.")] = False,
    cpus: Annotated[int, typer.Option(min=1, help="Processes that verify.")] = 1,
) -> None:
    """Publish a release on the Hub: verified before, compared after, tagged with its version last. Run it again to go on."""
    from pipeline.publish.hub import publish as run_publish

    console = Console()
    done = run_publish(release, to, private=private, dry_run=dry_run, cpus=cpus, say=lambda step: console.print(step, highlight=False, markup=False))
    console.print(str(done), highlight=False, markup=False, soft_wrap=True)


@app.command()
def card(
    release: ReleaseArgument,
    lang: Annotated[list[str] | None, typer.Option("--lang", help="en or zh (repeatable); both by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write FILE.md, FILE.zh-CN.md and FILE-figures/ here instead of beside the release.")] = None,
    repo: Annotated[str | None, typer.Option(metavar="ORG/NAME", help="The repository on the Hub that will hold it, for links.")] = None,
    creator: Annotated[str | None, typer.Option(help="Who made the corpus, for the citation.")] = None,
    published: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The day of publication; the newest document's date by default.")] = None,
) -> None:
    """Write a release's data card: README.md in both languages, figures, Croissant metadata."""
    from pipeline.publish.card import card as write_card

    for path in write_card(release, languages=lang or ("en", "zh"), out=out, repo=repo, creator=creator, published=published):
        Console().print(f"Wrote {escape(path)}", highlight=False, soft_wrap=True)


@app.command()
def verify(
    release: ReleaseArgument,
    cpus: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    tokens: Annotated[bool, typer.Option("--tokens/--no-tokens", help="Recount tokens: most of the time.")] = True,
) -> None:
    """Recount a release from its files alone: hashes, rows, tokens, shares, ids, ledger. Exit status 1 where something is wrong."""
    from rich.table import Table

    from pipeline.publish.verify import verify as run_verify

    found, console = run_verify(release, cpus=cpus, tokens=tokens), Console()
    table = Table("checked", "", title=f"Verified {escape(release)}", title_justify="left")
    for name, n in found.checked.items():
        table.add_row(name, f"{n:,}")
    console.print(table)
    said = [f"Note: {note}" for note in found.notes] + [f"Problem: {problem}" for problem in found.problems]
    for line in [*said, "No problem was found." if found.ok else f"{len(found.problems)} problems."]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if found.ok else 1)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A release: the folder that holds its manifest.json.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The release that it is compared with.", show_default=False)],
    text: Annotated[bool, typer.Option("--text", help="Read and compare all texts; otherwise their sizes tell.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same for machines.")] = False,
    documents: Annotated[int, typer.Option(min=0, help="Show so many documents of every change, with ids and URLs.")] = 0,
) -> None:
    """Compare two releases: documents and tokens whose verdict changed, and by which bound."""
    from pipeline.inspect.diff import diff as run_diff

    found = run_diff(a, b, text=text, documents=documents)
    if as_json:
        print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False))
    else:
        Console().print(found)


@app.command()
def report(
    recipe: RecipeArgument,
    work: Work = "work",
    inputs: Inputs = None,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    lang: Annotated[str, typer.Option(help="The language that the page opens in, en or zh; a button on it changes over.")] = "en",
    price: Annotated[float | None, typer.Option(min=0, help="Of a core-hour, in any currency: the cost of each step.")] = None,
    examples: Annotated[int, typer.Option(min=1, help="At most so many documents of each reason.")] = 12,
) -> None:
    """Write the review page of a run: one HTML file that loads nothing, with funnel, bounds to move, examples, duplicates, shares, time and cost."""
    import pipeline
    from pipeline.inspect.report import report as write_report

    loaded = pipeline.Recipe.load(recipe, _inputs(inputs))
    path = write_report(pipeline.plan(loaded, work), out, language=lang, price=price, examples=examples)
    Console().print(f"Report: {escape(str(path))}", soft_wrap=True, highlight=False)


@app.command()
def measures() -> None:
    """List the measures that a bound may name: definition, unit, source."""
    from rich.table import Table

    from pipeline.measures import MEASURES

    table = Table(show_lines=False)
    for name in ("measure", "unit", "definition"):
        table.add_column(name)
    for name, measure in MEASURES.items():
        table.add_row(name, measure.unit, " ".join((measure.function.__doc__ or "").split()))
    Console().print(table)


@app.command()
def sample(folder: Annotated[Path, typer.Argument(show_default=False)], small: bool = False) -> None:
    """Write the sample's files (what `sample://` stands for) into a folder, with its truth table."""
    from pipeline.sources.sample import write_sample

    write_sample(folder, small=small)
    Console().print(f"Wrote {folder}", highlight=False)


def main() -> None:
    """Run the command line; a fault of the user's is one paragraph on standard error and exit status 1, interruption is 130."""
    try:
        app(standalone_mode=True)
    except PipelineError as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == 130:  # typer's word for Ctrl-C
            Console(stderr=True).print("Stopped. What was finished is kept; run the same command again to go on.")
        raise


if __name__ == "__main__":
    main()
