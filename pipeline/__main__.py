"""The command line: `python -m pipeline run recipes/skypile.yaml`. What changes bytes is in the recipe; here is only how."""

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
Work = Annotated[str, typer.Option(help="The work folder: a place that all nodes reach. Artefacts and releases are kept there.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=GLOB", help="Replace the files of a source (repeatable; several globs with commas; local, file://, s3://)."),
]
Cpus = Annotated[int | None, typer.Option(min=1, help="Cores to use; all of them by default. Changes no byte.")]
Address = Annotated[str | None, typer.Option(help="An existing Ray cluster, such as `auto` or `ray://head:10001`.")]
Here = Annotated[bool, typer.Option("--here", help="The same plan in this process, without Ray.")]


def _inputs(given: list[str] | None) -> dict[str, str]:
    found = {}
    for item in given or []:
        name, sign, glob = item.partition("=")
        if not sign or not name or not glob:
            raise PlanError(f"--input {item}: write NAME=GLOB, such as --input 'web=crawl/*.warc.gz'.")
        found[name] = glob
    return found


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
