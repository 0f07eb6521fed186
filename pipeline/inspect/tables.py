"""The tables at the end of a run: the funnel, the shares against the plan, and why documents left. From a release's files alone."""

from collections import Counter
from typing import Any

from rich.console import Group
from rich.table import Table

from pipeline.schema import ordered
from pipeline.shards import Release


def summary(release: Release) -> Group:
    """Everything that the end of a run shows."""
    return Group(funnel(release), reasons(release), shares(release), *code(release))


def funnel(release: Release) -> Table:
    """Documents by domain: read, dropped at each stage, released. A column adds up."""
    stats = release.stats
    domains = ordered({r["domain"] for r in stats["read"]})
    read: Counter[str] = Counter()
    for r in stats["read"]:
        read[r["domain"]] += r["documents"]
    dropped: Counter[tuple[str, str]] = Counter()
    for d in stats["dropped"]:
        dropped[d["stage"], d["domain"]] += d["documents"]
    table = Table(title=f"Funnel of {release.manifest['name']}@{release.manifest['version']} (documents)", title_justify="left")
    table.add_column("")
    for domain in [*domains, "all"]:
        table.add_column(domain, justify="right")
    table.add_row("read", *(f"{read[d]:,}" for d in domains), f"{read.total():,}")
    for stage in stats["stages"]:
        counts = [dropped[stage, d] for d in domains]
        table.add_row(f"- {stage}", *(f"{c:,}" if c else "" for c in counts), f"{sum(counts):,}", style=None if sum(counts) else "dim")
    for split in ("train", "validation"):
        rows = {r["domain"]: r["documents"] for r in stats["released"] if r["split"] == split}
        table.add_row(f"= {split}", *(f"{rows.get(d, 0):,}" for d in domains), f"{sum(rows.values()):,}", style="bold")
    records = stats["records"]
    skipped = ", ".join(f"{n:,} {kind}" for kind, n in sorted(records["skipped"].items(), key=lambda kv: -kv[1])[:6])
    table.caption = f"Not documents: {skipped or 'nothing'}; unreadable: {records['unreadable']:,}. Too short to compare for near-duplicates: {stats['too_short_to_compare']:,}."
    table.caption_justify = "left"
    return table


def reasons(release: Release, most: int = 12) -> Table:
    """The bounds that dropped most."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for d in release.stats["dropped"]:
        counts[d["stage"], d["reason"], d["domain"]] += d["documents"]
    table = Table(title="Why documents left, most frequent first", title_justify="left")
    for name in ("stage", "what should have held", "domain"):
        table.add_column(name)
    table.add_column("documents", justify="right")
    for (stage, reason, domain), n in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))[:most]:
        table.add_row(stage, reason, domain, f"{n:,}")
    return table


def shares(release: Release) -> Table:
    """Shares of the mix's unit x repeats against the plan, by domain and by its parts."""
    mixture = release.mixture
    unit = mixture["unit"]
    table = Table(title=f"Mix: {mixture['total']:,} {unit} ({mixture['tokenizer']})", title_justify="left")
    table.add_column("domain")
    for name in ("share", "wanted", unit, f"unique {unit}", "documents", "epochs", "at most"):
        table.add_column(name, justify="right")
    for domain, about in mixture["domains"].items():
        for name, d in {domain: about, **{f"  {part}": found for part, found in about.get("parts", {}).items()}}.items():
            table.add_row(
                name + (" (binds)" if d["binding"] else ""),
                f"{d['share']:.2%}",
                f"{d['share_wanted']:.2%}",
                f"{d[unit]:,}",
                f"{d[f'unique_{unit}']:,}",
                f"{d['documents']:,}",
                f"{d['epochs']:.2f}",
                f"{d['max_epochs']:g}",
            )
    if mixture["shortage"]:
        table.caption = "\n".join(mixture["shortage"])
        table.caption_justify = "left"
    return table


def code(release: Release, most: int = 25) -> list[Table]:
    """Of source code, languages and licences by bytes; the language's share beside the one that `downsample` asked for."""
    found = release.code
    if not found:
        return []
    languages = Table(title="Code: languages", title_justify="left")
    for name in ("language", "files", "bytes", "share", "asked"):
        languages.add_column(name, justify="left" if name == "language" else "right")
    for name, n in _largest(found["languages"])[:most]:
        asked = found["asked"].get(name)
        languages.add_row(name, f"{n['documents']:,}", f"{n['text_bytes']:,}", f"{n['share_of_bytes']:.2%}", f"{asked:.2%}" if asked is not None else "")
    if len(found["languages"]) > most:
        languages.caption = f"and {len(found['languages']) - most} more in code.json"
    licences = Table(title="Code: licences", title_justify="left")
    for name in ("licence", "files", "bytes", "share"):
        licences.add_column(name, justify="left" if name == "licence" else "right")
    for name, n in _largest(found["licences"])[:most]:
        licences.add_row(name, f"{n['documents']:,}", f"{n['text_bytes']:,}", f"{n['share_of_bytes']:.2%}")
    return [languages, licences]


def _largest(counts: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(counts.items(), key=lambda item: (-item[1]["text_bytes"], item[0]))
