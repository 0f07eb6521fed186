"""The tables at the end of a run: the funnel, the shares against the plan, and why documents left. From a release's files alone."""

from collections import Counter

from rich.console import Group
from rich.table import Table

from pipeline.shards import Release


def summary(release: Release) -> Group:
    """Everything that the end of a run shows."""
    return Group(funnel(release), reasons(release), shares(release))


def funnel(release: Release) -> Table:
    """Documents by domain: read, dropped at each stage, released. A column adds up."""
    stats = release.stats
    domains = sorted({r["domain"] for r in stats["read"]}, key=lambda d: (["en", "zh", "code"].index(d) if d in ("en", "zh", "code") else 3, d))
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
    """Shares of token_count x repeats against the plan."""
    mixture = release.mixture
    table = Table(title=f"Mix: {mixture['total_tokens']:,} tokens of {mixture['tokenizer']}", title_justify="left")
    table.add_column("domain")
    for name in ("share", "wanted", "tokens", "unique tokens", "documents", "epochs", "at most"):
        table.add_column(name, justify="right")
    for domain, d in mixture["domains"].items():
        table.add_row(
            domain + (" (binds)" if d["binding"] else ""),
            f"{d['share']:.2%}",
            f"{d['share_wanted']:.2%}",
            f"{d['tokens']:,}",
            f"{d['unique_tokens']:,}",
            f"{d['documents']:,}",
            f"{d['epochs']:.2f}",
            f"{d['max_epochs']:g}",
        )
    if mixture["shortage"]:
        table.caption = mixture["shortage"]
    return table
