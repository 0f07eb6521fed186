"""The data card of a release: README.md and README.zh-CN.md in the Hub's format, croissant.json, and pictures.

All of it follows from the release's files: no clock, path, host or random number. The same release gives the same bytes. The card stands beside the
release and is no part of it: the manifest does not list it.
"""

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import PipelineError
from pipeline.publish.croissant import croissant
from pipeline.publish.facts import Facts
from pipeline.publish.pictures import pictures
from pipeline.publish.sections import about, contents, duties, making
from pipeline.shards import open_release
from pipeline.store import Store

LANGUAGES = {"en": "README.md", "zh": "README.zh-CN.md"}
# SPDX id -> what the Hub calls it.
_HUB_LICENCES = {
    **{
        name: name for name in ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "isc")
    },
    **{"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl", "unlicense": "unlicense", "zlib": "zlib", "mpl-2.0": "mpl-2.0"},
}
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T")


class CardError(PipelineError):
    """A card that cannot be written as asked."""


def is_card_file(name: str) -> bool:
    """Whether a file of a release's folder is its card's: written beside the release, and not in its manifest."""
    return name in (*LANGUAGES.values(), "croissant.json") or re.fullmatch(r"figures/[^/]+\.svg", name) is not None


def card(
    release: str | Path,
    *,
    languages: Sequence[str] = ("en", "zh"),
    out: str | Path | None = None,
    repo: str | None = None,
    creator: str | None = None,
    published: str | None = None,
) -> list[str]:
    """Write a release's card beside it, and return the paths of the written files.

    `out`: a file FILE.md elsewhere instead (Chinese: FILE.zh-CN.md, pictures: FILE-figures/), without front matter and croissant.json.
    `repo`: ORG/NAME on the Hub, for links. `published`: YYYY-MM-DD; the newest date of a document where it is not given, since a release knows no clock.
    """
    unknown = [language for language in languages if language not in LANGUAGES]
    if unknown:
        raise CardError(f"There is no card in '{unknown[0]}'. Languages are {', '.join(LANGUAGES)}.")
    if repo is not None and not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo):
        raise CardError(f"'{repo}' is no repository of the Hub: write ORG/NAME.")
    if published is not None and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", published):
        raise CardError(f"'{published}' is no date: write YYYY-MM-DD.")
    facts = Facts(open_release(str(release)))
    drawn = {f"figures/{name}.svg": svg for name, svg in pictures(facts).items()}
    if out is not None:
        return _elsewhere(Path(out), facts, languages, drawn, repo, creator)
    written = {LANGUAGES[language]: page(facts, language, repo=repo, creator=creator) for language in languages}
    written["croissant.json"] = croissant(facts, licence=hub_licence(facts), repo=repo, creator=creator, published=published)
    store = facts.release.store
    for stale in store.list("figures"):
        if stale.endswith(".svg") and f"figures/{stale}" not in drawn:
            store.remove(f"figures/{stale}")
    _write(store, {**written, **drawn})
    return [store.at(name) for name in (*written, *drawn)]


def _elsewhere(out: Path, facts: Facts, languages: Sequence[str], drawn: dict[str, str], repo: str | None, creator: str | None) -> list[str]:
    if out.suffix != ".md":
        raise CardError(f"{out}: a card is a Markdown file; let its name end in .md.")
    folder = f"{out.stem}-figures"
    names = {"en": out.name, "zh": f"{out.stem}.zh-CN.md"}
    files = {names[language]: page(facts, language, repo=repo, creator=creator, names=names, folder=folder, front=False) for language in languages}
    files |= {name.replace("figures", folder, 1): svg for name, svg in drawn.items()}
    _write(Store(str(out.parent)), files)
    return [str(out.parent / name) for name in files]


def _write(store: Store, files: dict[str, str]) -> None:
    for name, text in files.items():
        store.write_bytes(name, text.encode())
    if store.is_local:
        with contextlib.suppress(OSError):
            os.rmdir(store.at(".tmp"))  # where files wait until they are whole


# --- pages --------------------------------------------------------------------------------------------------------------------

_SECTIONS = (
    (("How it was made", "构建过程"), making.funnel),
    (("Shares against the plan", "占比与计划"), making.mixture),
    (("Sources and licences", "数据源与许可"), making.sources),
    (("Language, script and length", "语言、字形与长度"), contents.distributions),
    (("Quality and sensitive content", "质量与敏感内容"), contents.quality),
    (("Duplicates", "重复文档"), contents.duplicates),
    (("Personal data", "个人信息"), duties.personal),
    (("Benchmarks in the text", "评测集污染"), duties.contamination),
    (("Validation split", "验证集"), contents.validation),
    (("Columns", "列说明"), contents.columns),
    (("Known limits", "已知局限"), about.limits),
    (("Takedown", "下架流程"), duties.takedown),
    (("Versions and proof", "版本与校验"), duties.versions),
    (("Reproduce it", "复现"), duties.reproduce),
)


def page(
    facts: Facts,
    language: str,
    *,
    repo: str | None = None,
    creator: str | None = None,
    names: dict[str, str] = LANGUAGES,
    folder: str = "figures",
    front: bool = True,
) -> str:
    """The card in one language. The Hub reads the front matter of README.md alone, so only the English page has it."""

    def say(en: str, zh: str) -> str:
        return en if language == "en" else zh

    other = {"en": f"English · [简体中文]({names['zh']})", "zh": f"[English]({names['en']}) · 简体中文"}[language]
    lines = [f"# {facts.name} {facts.version}", "", other, "", *about.summary(facts, say)]
    lines += [f"## {say('Uses', '用途')}", "", *about.uses(facts, say)]
    lines += [f"## {say('Load it', '加载')}", "", *about.loading(facts, say, repo)]
    for title, write in _SECTIONS:
        lines += [f"## {say(*title)}", "", *write(facts, say)]
    lines += [f"## {say('Citation', '引用')}", "", *duties.citation(facts, creator, repo)]
    text = "\n".join(lines).rstrip() + "\n"
    if folder != "figures":
        text = text.replace("](figures/", f"]({folder}/")
    return (_yaml(front_matter(facts, repo)) if front and language == "en" else "") + text


def front_matter(facts: Facts, repo: str | None = None) -> dict[str, Any]:
    """The Hub's fields. A link to a licence has to be an address there, so there is one only where the repository is known."""
    domains = facts.domains
    languages = [d for d in domains if d in ("en", "zh")] or ["multilingual"]
    licence = hub_licence(facts)
    configs: list[dict[str, Any]] = [{"config_name": "default", "data_files": _splits(facts, "*"), "default": True}]
    configs += [{"config_name": re.sub(r'[<>:/\\|?*"]', "_", d), "data_files": _splits(facts, d)} for d in domains]
    if facts.files("removed"):
        configs.append({"config_name": "removed", "data_files": [{"split": "removed", "path": "removed/*.parquet"}]})
    scored = any(kind == "score" for kind, _ in facts.stages)
    return {
        "license": licence,
        **({"license_name": "mixed-by-document"} if licence == "other" else {}),
        **({"license_link": f"https://huggingface.co/datasets/{repo}#sources-and-licences"} if licence == "other" and repo else {}),
        "language": languages,
        "pretty_name": f"{facts.name} {facts.version}",
        "size_categories": [size_category(facts.documents)],
        "task_categories": ["text-generation"],
        "multilinguality": ["multilingual" if len(languages) > 1 or languages == ["multilingual"] else "monolingual"],
        "annotations_creators": ["machine-generated" if scored else "no-annotation"],
        "language_creators": ["found"],
        "source_datasets": ["original"],
        "tags": ["pretraining", "skypile", *(["code"] if "code" in domains else [])],
        "configs": configs,
    }


def _splits(facts: Facts, domain: str) -> list[dict[str, str]]:
    """The splits of a configuration: a reader refuses a pattern that no file matches."""
    folders = {"train": "data", "validation": "validation"}
    return [{"split": split, "path": f"{f}/{domain}/*.parquet"} for split, f in folders.items() if facts.files(f if domain == "*" else f"{f}/{domain}")]


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows."""
    return _SIZES[max(0, min(len(str(rows)) - 3, len(_SIZES) - 1))]


def hub_licence(facts: Facts) -> str:
    """The one licence of all documents, as the Hub spells it, or `other`."""
    found = {(value or "").strip().lower() for value, _ in facts.counted.column("licence")}
    (only,) = found if len(found) == 1 else ("",)
    return _HUB_LICENCES.get(only, "other")


def _yaml(fields: dict[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=1000)}---\n\n"
