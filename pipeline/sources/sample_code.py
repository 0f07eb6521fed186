"""The code of the sample: eight small repositories in eight languages, with what comes along in real ones, as plain tar archives.

The forty programs in `sample_data/code.txt` were written for this. They are too few to fill a share of a mix, so further files are put
together from parts in the same file: a record type with names and fields of its own, and three or four of the six things that one does with
records, so that no two say the same. No document is over 16 KB. Costs 0.1 seconds.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.sources.sample_bytes import Chance, tar, tar_size
from pipeline.sources.sample_texts import jaccard, name_en
from pipeline.store import open_data

# repository -> (language of its programs, licence, folder of the files that are put together)
_REPOSITORIES = {
    "tidecalc": ("Python", "MIT", "tidecalc/records"),
    "mosskit": ("JavaScript", "Apache-2.0", "src/records"),
    "lanternui": ("TypeScript", "BSD-2-Clause", "src/models"),
    "pebble": ("C", "MIT", "lib"),
    "ferrygo": ("Go", "Apache-2.0", "internal"),
    "rushlight": ("Rust", "MIT", "src/records"),
    "orchard": ("Java", "BSD-2-Clause", "src/books"),
    "deckscripts": ("Shell", "GPL-3.0", "lib"),
}
_COPYLEFT = ("GPL-3.0",)  # not on the flagship's list
_ENDINGS = {"Python": "py", "JavaScript": "js", "TypeScript": "ts", "C": "c", "Go": "go", "Rust": "rs", "Java": "java", "Shell": "sh"}
_TIME = 1_767_225_600  # 2026-01-01
_COMMENT = {"Python": "#", "Shell": "#"}  # else //

# what is kept, its name, a measure of it, a count of it
_RECORDS = [
    ("invoice", "customer", "total", "items"), ("sensor", "station", "reading", "battery"), ("parcel", "address", "weight", "pieces"), ("recipe", "title", "minutes", "servings"),
    ("ticket", "subject", "hours", "priority"), ("vessel", "callsign", "draught", "berths"), ("orchid", "species", "humidity", "blossoms"), ("player", "nickname", "rating", "matches"),
    ("bridge", "river", "span", "lanes"), ("lesson", "topic", "score", "pupils"), ("hive", "meadow", "honey", "frames"), ("route", "origin", "distance", "stops"),
    ("album", "artist", "duration", "tracks"), ("meteor", "region", "speed", "sightings"), ("tenant", "surname", "rent", "rooms"), ("wagon", "depot", "load", "axles"),
    ("poem", "author", "rhythm", "stanzas"), ("glacier", "valley", "thickness", "crevasses"), ("auction", "seller", "price", "bids"), ("kiln", "potter", "temperature", "shelves"),
]  # fmt: skip

# class -> (number in the full sample, in the small one)
_NUMBERS = {
    "program": (40, 16),
    "assembled": (120, 24),
    "copy": (16, 2),
    "near": (16, 2),
    "generated": (10, 2),
    "minified": (6, 1),
    "data": (9, 3),
    "markup": (14, 7),
    "scratch": (8, 2),
    "stub": (4, 1),
    "latin": (3, 1),
    "binary": (4, 1),
}

_LICENCES = {
    "MIT": """MIT License

Copyright (c) 2026 the authors of {repository}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE
OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
""",
    "Apache-2.0": """SPDX-License-Identifier: Apache-2.0

Copyright 2026 the authors of {repository}

Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with the License.
You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
""",
    "BSD-2-Clause": """SPDX-License-Identifier: BSD-2-Clause

Copyright (c) 2026, the authors of {repository}. Redistribution and use in source and binary forms, with or without modification, are permitted
under the terms of the BSD 2-Clause License.
""",
    "GPL-3.0": """SPDX-License-Identifier: GPL-3.0-or-later

{repository} is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License, version 3 or later.
""",
}


@dataclass(frozen=True)
class _File:
    path: str  # repository/path
    content: bytes
    truth: dict[str, Any]


@lru_cache(maxsize=1)
def _bundle() -> dict[str, str]:
    """The files of code.txt by their path: each begins after a line `==== PATH`."""
    parts = re.split(r"^==== (.+)\n", open_data("sources/sample_data/code.txt").decode(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _filled(text: str, record: tuple[str, str, str, str]) -> str:
    """A part with its names set in."""
    entity, name, measure, count = record
    values = {
        "@e@": entity, "@E@": entity.capitalize(), "@Es@": entity.capitalize() + "s", "@U@": entity.upper(), "@s@": name, "@S@": name.capitalize(),
        "@n@": measure, "@N@": measure.capitalize(), "@k@": count, "@K@": count.capitalize(),
    }  # fmt: skip
    return re.sub(r"@\w+@", lambda found: values[found.group()], text)


def _assembled(language: str, place: int, chance: Chance) -> str:
    """A file of one language about the `place`-th record: its type and three or four of the six parts."""
    first, *rest = _bundle()[f"parts/{language.lower()}"].split("%%\n")
    chosen = sorted(chance.sample(range(len(rest)), chance.between(3, 4)))
    gap = "\n\n" if language == "Python" else "\n"
    text = _filled(gap.join([first, *(rest[i] for i in chosen)]), _RECORDS[place % len(_RECORDS)])
    if language == "Go":  # where an import that is not used is an error
        text = re.sub(r'\t"(?:\w+/)*(\w+)"\n', lambda found: found.group() if f"{found.group(1)}." in text else "", text)
    if language == "Java":
        text += "}\n"
    if language == "Shell":
        text += '\n"$@"\n'
    return text


def _renamed(text: str, chance: Chance, comment: str) -> str:
    """A fork: its own first line, and one name changed throughout."""
    names = sorted(set(re.findall(r"\b[a-z_]{5,12}\b", text)))
    seen = [name for name in names if 2 <= len(re.findall(rf"\b{name}\b", text)) <= 3]
    old = chance.pick(seen or names)
    return f"{comment} Adapted by {name_en(chance)}.\n" + re.sub(rf"\b{old}\b", f"{old}_{chance.pick(('new', 'local', 'x', 'alt'))}", text)


def _minified(text: str) -> str:
    """JavaScript on one line, comments left out."""
    text = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ?([{}();,=<>+?:&|]) ?", r"\1", text).strip() + "\n"


def _generated(language: str, place: int) -> str:
    entity, name, measure, count = _RECORDS[place % len(_RECORDS)]
    lines = [f"// Code generated by recordgen from {entity}.schema; DO NOT EDIT.", ""]
    if language == "Go":
        lines += [f"package {entity}pb", "", f"type {entity.capitalize()}Message struct {{"]
        lines += [f'\tField{i:02d} string `wire:"{i},{(name, measure, count)[i % 3]}"`' for i in range(40)] + ["}"]
        for i in range(40):
            lines += [
                "",
                f"func (m *{entity.capitalize()}Message) GetField{i:02d}() string {{",
                "\tif m == nil {",
                '\t\treturn ""',
                "\t}",
                f"\treturn m.Field{i:02d}",
                "}",
            ]
    else:
        lines += [f"export class {entity.capitalize()}Message {{"]
        for i in range(40):
            lines += [
                f"  get {(name, measure, count)[i % 3]}{i:02d}() {{ return this.fields[{i}]; }}",
                f"  set {(name, measure, count)[i % 3]}{i:02d}(value) {{ this.fields[{i}] = value; }}",
            ]
        lines += ["}"]
    return "\n".join(lines) + "\n"


def _data(kind: int, chance: Chance) -> tuple[str, str]:
    """(file name, content) of something that is data more than code."""
    raw = b"".join(chance.bits().to_bytes(8, "little") for _ in range(chance.between(400, 900)))
    if kind == 0:
        lines = [f'    "{base64.b64encode(raw[i : i + 57]).decode()}"' for i in range(0, len(raw), 57)]
        return f"blob_{chance.digits(3)}.py", "ICON = (\n" + "\n".join(lines) + "\n)\n"
    if kind == 1:
        return f"points_{chance.digits(3)}.json", json.dumps(
            {"points": [[int.from_bytes(raw[i : i + 2], "little"), raw[i + 2]] for i in range(0, min(len(raw), 3600) - 3, 4)]}
        ) + "\n"
    lines = ["    " + ", ".join(f"0x{byte:02x}" for byte in raw[i : i + 16]) + "," for i in range(0, min(len(raw), 2400), 16)]
    return f"table_{chance.digits(3)}.c", "static const unsigned char table[] = {\n" + "\n".join(lines) + "\n};\n"


def _markup(kind: int, place: int, repository: str) -> tuple[str, str, str]:
    """(file name, language, content) of the small configuration and markup files that lie about in repositories."""
    entity, name, measure, count = _RECORDS[place % len(_RECORDS)]
    files = [
        ("package.json", "JSON", json.dumps({"name": f"{repository}-{entity}", "version": f"0.{place}.1", "scripts": {"test": f"run-tests {entity}", "lint": "lint src"}, "keywords": [entity, name, measure]}, indent=2) + "\n"),
        (f"{entity}.schema.json", "JSON", json.dumps({"title": entity, "type": "object", "required": [name, measure], "properties": {name: {"type": "string"}, measure: {"type": "number", "minimum": 0}, count: {"type": "integer"}}}, indent=2) + "\n"),
        (f"{entity}-checks.yml", "YAML", f"name: {entity} checks\non:\n  push:\n    branches: [main]\njobs:\n  {entity}:\n    runs-on: harbour-runner\n    steps:\n      - name: fetch\n        uses: local/fetch@v2\n      - name: test the {measure}\n        run: make test-{entity} {measure.upper()}_LIMIT={place + 3}\n"),
        (f"{entity}.html", "HTML", f"<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{entity.capitalize()} list</title></head>\n<body>\n<h1>All {entity}s of the week</h1>\n<p>Each {entity} is shown with its {name}, the {measure} that was measured last, and how many {count} belong to it.</p>\n<table id=\"{entity}s\">\n  <thead><tr><th>{name}</th><th>{measure}</th><th>{count}</th></tr></thead>\n  <tbody></tbody>\n</table>\n<script src=\"{entity}.js\"></script>\n</body>\n</html>\n"),
        (f"{entity}.css", "CSS", f".{entity}-list {{\n  display: grid;\n  grid-template-columns: repeat({place % 4 + 2}, 1fr);\n  gap: {place % 7 + 4}px;\n}}\n\n.{entity}-list .{name} {{\n  font-weight: 600;\n}}\n\n.{entity}-list .{measure}::after {{\n  content: ' {measure[:2]}';\n  color: #66{place % 90 + 10}88;\n}}\n"),
        (f"{entity}_report.sql", "SQL", f"-- The {entity}s of the greatest {measure}, with their share of the whole.\nCREATE TABLE IF NOT EXISTS {entity} (\n    {name} TEXT PRIMARY KEY,\n    {measure} REAL NOT NULL CHECK ({measure} >= 0),\n    {count} INTEGER DEFAULT 0\n);\n\nWITH totals AS (SELECT SUM({measure}) AS whole FROM {entity})\nSELECT {name}, {measure}, ROUND(100.0 * {measure} / whole, 1) AS share, {count}\nFROM {entity} CROSS JOIN totals\nWHERE {count} > 0\nORDER BY {measure} DESC, {name}\nLIMIT {place + 5};\n"),
        ("README.md", "Markdown", f"# {repository}: {entity}s\n\nThis folder holds what {repository} knows about each {entity}. A {entity} has a {name}, a {measure} and a number of {count}.\n\n## Use\n\n```\nmake {entity}s\n{repository} {entity} --{measure} {place + 2}.5\n```\n\nThe {measure} is rounded to one decimal; ask for `--exact` if that is not enough.\n"),
    ]  # fmt: skip
    return files[kind % len(files)]


def code(size: str) -> Iterator[tuple[str, bytes, list[dict[str, Any]]]]:
    """(name, content, rows of the truth) of each archive: a repository, with its commit as `git archive` writes it; `driftwood` holds copies and forks of the others."""
    column = 1 if size == "small" else 0
    number = {name: counts[column] for name, counts in _NUMBERS.items()}
    names = list(_REPOSITORIES)
    first: list[_File] = []
    second: list[_File] = []

    def put(
        files: list[_File],
        path: str,
        content: str | bytes,
        name: str,
        expect: str,
        language: str | None,
        also: tuple[str, ...] = (),
        **truth: Any,
    ) -> None:
        data = content.encode() if isinstance(content, str) else content
        if expect == "keep" and _REPOSITORIES.get(path.split("/", maxsplit=1)[0], ("", "", ""))[1] in _COPYLEFT:
            expect = "keep_until:licence"
        files.append(
            _File(
                path,
                data,
                {
                    "url": path,
                    "source": "code",
                    "class": f"code_{name}",
                    "expect": expect,
                    "also": list(also),
                    "domain": "code",
                    "language": language,
                    **truth,
                },
            )
        )

    for repository, (_, licence, _) in _REPOSITORIES.items():
        put(
            first,
            f"{repository}/LICENSE",
            _LICENCES[licence].format(repository=repository),
            "licence",
            "keep",
            None,
            ("rules", "skipped", "text", "near", "licence"),
            note=licence,
        )
    programs = sorted(
        (path for path in _bundle() if not path.startswith("parts/")),
        key=lambda path: (sorted(p for p in _bundle() if p.startswith(path.split("/")[0])).index(path), path),
    )
    for path in programs[: number["program"]]:
        put(first, path, _bundle()[path], "program", "keep", _REPOSITORIES[path.split("/")[0]][0])
    for i in range(number["assembled"]):
        repository = names[i % 8]
        language, _, folder = _REPOSITORIES[repository]
        chance = Chance("code", language, i)
        entity = _RECORDS[i // 8][0]
        stem = f"{entity}/{entity.capitalize()}Book" if language == "Java" else f"{entity}/{entity}s" if language == "Go" else f"{entity}s"
        put(first, f"{repository}/{folder}/{stem}.{_ENDINGS[language]}", _assembled(language, i // 8, chance), "assembled", "keep", language)
    for i in range(number["generated"]):
        language = ("Go", "JavaScript")[i % 2]
        put(
            first,
            f"{('ferrygo', 'mosskit')[i % 2]}/generated/{_RECORDS[i][0]}_message.{_ENDINGS[language]}",
            _generated(language, i),
            "generated",
            "rules",
            language,
            note="says so in its first line",
        )
    scripts = [path for path in programs if path.endswith(".js")]
    for i in range(number["minified"]):
        text = "".join(_minified(_bundle()[path]).rstrip("\n") + ";" for path in (scripts[i % 5], scripts[(i + 1 + i // 5) % 5])) + "\n"
        put(first, f"mosskit/dist/bundle{i}.min.js", text, "minified", "rules", "JavaScript", note="one line")
    for i in range(number["data"]):
        name, text = _data(i % 3, Chance("code", "data", i))
        put(
            first,
            f"{('tidecalc', 'mosskit', 'pebble')[i % 3]}/assets/{name}",
            text,
            "data",
            "rules",
            ("Python", "JSON", "C")[i % 3],
            note=("base64", "numbers", "bytes in hexadecimal")[i % 3],
        )
    for i in range(number["markup"]):
        repository = names[(i * 3) % 8]
        name, language, text = _markup(i, i, repository)
        put(
            first,
            f"{repository}/extra{i:02d}/{name}",
            text,
            "markup",
            "keep",
            language,
            ("downsample", "rules" if language == "HTML" else "downsample"),
        )
    for i in range(number["stub"]):
        put(
            first,
            f"tidecalc/tidecalc/part{i}/__init__.py",
            f"from .part{i} import *\n",
            "stub",
            "rules",
            "Python",
            ("text", "near"),
            note="too short",
        )
    for i in range(number["latin"]):
        text = f"/* Contr\u00f4le de la mar\u00e9e, r\u00e9vision {i}. */\n" + _assembled("C", 19 - i, Chance("code", "latin", i))
        put(
            first,
            f"pebble/contrib/maree{i}.c",
            text.encode("latin-1"),
            "latin",
            "keep",
            "C",
            ("rules", "unreadable"),
            charset="iso-8859-1",
            note="not UTF-8",
        )
    for i in range(number["binary"]):
        chance = Chance("code", "binary", i)
        data = (b"\x89PNG\r\n\x1a\n", b"\x7fELF\x02\x01\x01\x00")[i % 2] + b"".join(chance.bits().to_bytes(8, "little") for _ in range(60))
        put(
            first,
            f"lanternui/assets/{('icon', 'tool')[i % 2]}{i}{('.png', '')[i % 2]}",
            data,
            "binary",
            "skipped",
            None,
            ("unreadable", "rules"),
        )

    originals = [file for file in first if file.truth["class"] in ("code_program", "code_assembled")]
    drawn = Chance("code", "copies", size).shuffled(originals)
    for _ in range(number["copy"]):
        source = drawn.pop()
        source.truth["group"] = source.path
        put(
            second,
            f"driftwood/third_party/{source.path}",
            source.content,
            "copy",
            "text",
            source.truth["language"],
            ("near", "rules", "licence"),  # a copy of another's file is vendored, before it is a duplicate
            group=source.path,
            other=source.path,
            jaccard=1.0,
        )
    made = 0
    while made < number["near"]:
        source = drawn.pop()
        language = source.truth["language"]
        text = _renamed(source.content.decode(), Chance("code", "near", source.path), _COMMENT.get(language, "//"))
        reached = jaccard(source.content.decode(), text)
        if reached < 0.86:  # forks that went further are another story
            continue
        made += 1
        source.truth["group"] = source.path
        put(
            second,
            f"driftwood/forks/{source.path}",
            text,
            "near",
            "near",
            language,
            (),
            group=source.path,
            other=source.path,
            jaccard=round(reached, 4),
        )
    put(
        second,
        "driftwood/LICENSE",
        _LICENCES["MIT"].format(repository="driftwood"),
        "licence",
        "keep",
        None,
        ("rules", "skipped", "text", "near", "licence"),
        note="MIT",
    )
    for i in range(number["scratch"]):
        language = ("Python", "JavaScript", "Go", "Rust")[i % 4]
        put(
            second,
            f"scratch/{_RECORDS[15 + i // 4 % 5][0]}_{i}.{_ENDINGS[language]}",
            _assembled(language, 15 + i // 4, Chance("code", "scratch", i)),
            "scratch",
            "keep_until:licence",
            language,
            ("near",),
            note="no licence",
        )
    members: dict[str, list[_File]] = {}
    for file in (*first, *second):
        members.setdefault(file.path.split("/", 1)[0], []).append(file)
    commits = {repository: hashlib.sha1(b"".join(file.content for file in files)).hexdigest() for repository, files in members.items()}
    for repository, files in members.items():
        content = tar([(file.path.split("/", 1)[1], file.content) for file in files], _TIME, commits[repository])
        rows, offset = [], 1024  # after the comment
        for file in files:
            rows.append({**file.truth, "offset": offset})
            offset += tar_size(file.content)
        yield f"{repository}.tar", content, [_addressed(row, commits) for row in rows]


def _addressed(row: dict[str, Any], commits: dict[str, str]) -> dict[str, Any]:
    """A row of the truth with its repository/path as the reader names it: repository@commit:path."""

    def address(path: str) -> str:
        repository, inside = path.split("/", 1)
        return f"{repository}@{commits[repository]}:{inside}"

    return {**row, **{key: address(row[key]) for key in ("url", "other", "group") if row.get(key)}}
