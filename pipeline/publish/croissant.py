"""croissant.json: a release in Croissant 1.1 (JSON-LD) with the responsible-AI vocabulary 1.0, so that tools find, check and load it.

Every file of the release is there with its sha256; each split of a domain is a set of files and a set of records with the columns of its Parquet files.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from pipeline.publish.columns import meaning
from pipeline.publish.facts import SPLITS, Facts
from pipeline.publish.sections.duties import bibtex
from pipeline.publish.sections.words import unscrubbed

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
_PARQUET = "application/x-parquet"  # what readers of Croissant know; the registered name is vnd.apache.parquet
_FORMATS = {"json": "application/json", "md": "text/markdown", "parquet": _PARQUET}
_TERMS = [
    "annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes", "extract", "field", "fileProperty", "fileObject",
    "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "readLines", "recordSet",
    "references", "regex", "repeated", "replace", "samplingRate", "sdVersion", "separator", "source", "subField", "transform", "unArchive", "value",
]  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS},
}


def croissant(facts: Facts, *, licence: str = "other", repo: str | None = None, creator: str | None = None, published: str | None = None) -> str:
    """The JSON text. `published` is the newest date of a document where it is not given."""
    url = f"https://huggingface.co/datasets/{repo}" if repo else None
    date = published or facts.counted.newest()
    manifest = facts.release.manifest
    value: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": f"{facts.name}-{facts.version}",
        "description": _description(facts),
        "version": _semantic(facts.version),
        "identifier": f"urn:skypile:{manifest['fingerprint']}",
        "license": _licence(facts, licence),
        "creator": {"@type": "sc:Organization", "name": creator or "SkyPile builder"},
        **({"url": url} if url else {}),
        **({"datePublished": date} if date else {}),
        "inLanguage": [d for d in facts.domains if d in ("en", "zh")],
        "keywords": ["pretraining", "text", *facts.domains],
        "citeAs": bibtex(facts, creator, repo),
        "isLiveDataset": False,
        "distribution": [*_files(facts), *_sets(facts)],
        "recordSet": _records(facts),
        **_responsible(facts),
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _licence(facts: Facts, licence: str) -> Any:
    if licence != "other":
        spdx = facts.counted.column("licence")[0][0]
        return f"https://spdx.org/licenses/{spdx}"
    known = [value for value, _ in facts.counted.column("licence") if value]
    return {"@type": "sc:CreativeWork", "name": "mixed-by-document", "description": f"By document, in the column `licence`: {'; '.join(known[:20])}."}


def _semantic(version: str) -> str:
    """MAJOR.MINOR.PATCH where a version is numbers, as Croissant asks; else as it is."""
    parts = version.split(".")
    return ".".join([*parts, "0", "0"][:3]) if len(parts) < 3 and all(re.fullmatch(r"0|[1-9]\d*", p) for p in parts) else version


def _description(facts: Facts) -> str:
    return (
        f"A pretraining corpus ({', '.join(facts.domains)}): {facts.documents:,} documents, {facts.released('train', 'tokens'):,} training tokens, made by the SkyPile builder. "
        "Rows are unique; `repeats` says how often a training schedule uses a row."
    )


# --- resources --------------------------------------------------------------------------------------------------------------------


def _files(facts: Facts) -> Iterable[dict[str, Any]]:
    """Every file of the manifest with its checksum."""
    for file, entry in sorted(facts.release.manifest["files"].items()):
        with facts.release.store.open(file) as handle:
            size = handle.seek(0, 2)
        yield {
            "@type": "cr:FileObject",
            "@id": file,
            "name": file,
            "contentUrl": file,
            "contentSize": f"{size} B",
            "encodingFormat": _FORMATS.get(file.rpartition(".")[2], "application/octet-stream"),
            "sha256": entry["sha256"],
        }


def _groups(facts: Facts) -> list[tuple[str, str, str]]:
    """(name, folder, what it is) of every set of files that are read together."""
    found = [
        (f"{split}-{d}", f"{folder}/{d}", f"{split} documents of {d}")
        for split, folder in SPLITS.items()
        for d in facts.domains
        if facts.files(f"{folder}/{d}")
    ]
    for folder, what in (
        ("removed", "a sample of the dropped documents, with reasons"),
        ("ledger", "one row per dropped document, never its text"),
        ("signatures", "MinHash signatures of the rows"),
    ):
        if facts.files(folder):
            found.append((folder, folder, what))
    return found


def _sets(facts: Facts) -> Iterable[dict[str, Any]]:
    for name, folder, what in _groups(facts):
        yield {
            "@type": "cr:FileSet",
            "@id": f"files-{name}",
            "name": f"files-{name}",
            "description": f"Parquet files: {what}.",
            "encodingFormat": _PARQUET,
            "includes": f"{folder}/*.parquet",
        }


def _records(facts: Facts) -> list[dict[str, Any]]:
    out = []
    for name, folder, what in _groups(facts):
        schema = facts.schema_of(facts.files(folder)[0])
        fields = [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column.name}",
                "name": column.name,
                "description": f"{meaning(column.name, facts.scores)[0]}.",
                "dataType": _type(column.type),
                "source": {"fileSet": {"@id": f"files-{name}"}, "extract": {"column": column.name}},
            }
            for column in schema
        ]
        key = {"key": {"@id": f"{name}/id"}} if "id" in schema.names and folder != "ledger" else {}
        out.append({"@type": "cr:RecordSet", "@id": name, "name": name, "description": f"{what[0].upper()}{what[1:]}.", **key, "field": fields})
    return out


def _type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    return "sc:Text"


# --- responsible AI -------------------------------------------------------------------------------------------------------------------


def _responsible(facts: Facts) -> dict[str, Any]:
    kinds = [kind for kind, _ in facts.stages]
    readers = {s.get("reader") for s in facts.recipe.get("sources", {}).values()}
    left = sorted({source for source, _, _ in unscrubbed(facts)})
    scores = sorted({s.group for s in facts.scores})
    benchmarks = any(kind.startswith("decontaminate") for kind in kinds)
    span = [d for d in (facts.counted.oldest(), facts.counted.newest()) if d]
    return {
        "rai:dataCollection": f"{facts.read():,} documents were read from {len(facts.recipe.get('sources', {}))} sources (web archives, text files and source repositories, as the recipe says) and judged one by one; {facts.documents:,} stayed.",
        "rai:dataCollectionType": [
            *(["Web Scraping"] if readers & {"warc", "wet"} else []),
            *(["Secondary Data analysis"] if readers - {"warc", "wet"} else []),
        ],
        **({"rai:dataCollectionTimeFrame": span} if span else {}),
        "rai:dataCollectionMissingData": f"{facts.release.stats.get('records', {}).get('unreadable', 0):,} records could not be read; they stand in the ledger.",
        "rai:dataPreprocessingProtocol": [
            f"Stages in order, each with its counts in stats.json and its settings in recipe.json: {', '.join(dict.fromkeys(kinds)) or 'none'}."
        ],
        "rai:dataAnnotationProtocol": [
            f"Small classifiers scored every text by windows ({', '.join(scores)}); no person annotated the texts." if scores else "No annotation."
        ],
        **({"rai:machineAnnotationTools": [f"score: {', '.join(scores)}"]} if scores else {}),
        "rai:personalSensitiveInformation": [
            f"Not scrubbed, so names, addresses and telephone numbers are in it: sources {', '.join(left)}."
            if left
            else "Scrubbed by pattern; what the patterns do not recognise stays.",
        ],
        "rai:dataBiases": [
            "A crawl over-represents who publishes much and links well. Classifiers and rules were set on clean texts, and spare formal prose more than colloquial text."
        ],
        "rai:dataLimitations": [
            "Facts were not checked. Texts by machines are not told from texts by people.",
            "Benchmarks were looked for; see the card." if benchmarks else "Benchmarks were not looked for, and may be in the text.",
        ],
        "rai:dataUseCases": [
            "Pretraining and continued pretraining of language models; research on curation. Not for decisions about people, and not for evaluation."
        ],
        "rai:dataReleaseMaintenancePlan": "A version is immutable. What is taken down is named in a tombstone file and left out of the next version, with its near-duplicates.",
    }
