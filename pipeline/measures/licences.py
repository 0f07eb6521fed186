"""Which licence a file of source code is under: SPDX ids from licence files, headers and package manifests, and whether an allow-list lets it in.

Licence texts are told by askalono (Amazon, Apache-2.0; Sørensen-Dice over pairs of words against the SPDX list). It takes 0.3 s a text, so copyright lines
and white space are taken out first and each remaining text is asked about once in a process. Of a file, its own SPDX header or notice counts first, then the
nearest folder upward in its tree that says something: its licence files before its package manifest before its NOTICE.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

VERSION = 3
ENGINES = {"pyaskalono": version("pyaskalono")}
SURE = 0.8  # askalono's own bound for a match
LONGEST = 200_000  # characters of a licence file that are read

# What a licence file is called: LICENSE, LICENCE.txt, COPYING.LESSER, COPYING3, UNLICENSE, MIT-LICENSE.txt, LICENSE-APACHE, LICENSE.MIT
_LICENCE_FILE = re.compile(r"(?:[\w.-]*-)?(?:licen[cs]es?|copying|unlicense|copyright)\d*(?:[-._][\w.-]+)?\Z", re.IGNORECASE)
# Apache's file of attributions. It often names the licence of its own folder too, before it comes to what others wrote.
_NOTICE_FILE = re.compile(r"notice(?:\.(?:txt|md))?\Z", re.IGNORECASE)
# What others wrote; not as short licences speak of their own: "portions of the Software", "derived from this software".
_OF_OTHERS = re.compile(
    r"\b(?:third.part(?:y|ies)|(?:portions|parts)\s+of(?!\s+the\s+software)|(?:derived|copied|adapted|taken)\s+from(?!\W+(?:this|the work)\b)"
    r"|based\s+on(?!\W+(?:or|the work)\b)|bundle[ds]|depend(?:s|enc(?:y|ies))"
    r"|(?:includes|contains|incorporates|uses)\s+(?:the\s+following|software|code|material|files|parts|work)"
    r"|(?:product|project|software|program|package|library|distribution|repository|code)\s+(?:also\s+|may\s+)?(?:includes?|contains?|incorporates?|uses?))\b",
    re.IGNORECASE,
)
_NOT_TEXT = re.compile(
    r"\.(?:py|js|ts|go|rs|java|c|h|cc|cpp|html?|json|ya?ml|toml|xml|csv|rb|php|sh|css|svg|png|jar|cs|kt|swift|gradle|lua|rtf|pdf|docx?)\Z", re.IGNORECASE
)
_OTHERS = re.compile(r"third.?part|3rd|dependenc|bundled|vendor|notices?\b", re.IGNORECASE)  # the licences of what is packed along
_MANIFEST = frozenset({"package.json", "Cargo.toml", "pyproject.toml", "setup.cfg", "composer.json", "pom.xml", "PKG-INFO", "METADATA", "DESCRIPTION"})
_SPDX_HEADER = re.compile(r"SPDX-License-Identifier:[ \t]*([A-Za-z0-9.+() -]+)")
# "Copyright (c) 2020 Somebody", "All rights reserved.": lines that differ where the licence is the same.
_COPYRIGHT = re.compile(
    r"^[^\w\n]*(?:(?:portions |parts )?(?:copyright|\(c\)|©|版权所有)(?=[^\n]*(?:\d{4}|\(c\)|©|<|\[))[^\n]*|all rights reserved[^\w\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
# Riders that take back what the licence under them gives.
_RESTRICTED = re.compile(
    r"commons clause|non-?commercial (?:purposes|use) only|only for non-?commercial|for non-?commercial (?:purposes|use)|not (?:be )?used? for (?:any )?commercial",
    re.IGNORECASE,
)
RESTRICTED, UNKNOWN = "LicenseRef-restricted", "LicenseRef-unknown"
LONGEST_EXPRESSION = 200  # characters


@dataclass(frozen=True)
class Licence:
    """An SPDX expression, where it was found, and how sure that is: 1 where somebody wrote the id, else the likeness of the text."""

    spdx: str
    file: str
    confidence: float


def names_licence(path: str) -> bool:
    """Whether a path is called as licence files are."""
    name = path.rpartition("/")[2]
    if names_notice(path) or re.search(r"/LICEN[CS]ES/", f"/{path}"):
        return True
    return _LICENCE_FILE.match(name) is not None and not _NOT_TEXT.search(name)


def names_notice(path: str) -> bool:
    """Whether a path is called NOTICE: a licence file only if its text says so."""
    return _NOTICE_FILE.match(path.rpartition("/")[2]) is not None


def names_manifest(path: str) -> bool:
    """Whether a path is called as a package's manifest."""
    name = path.rpartition("/")[2]
    return name in _MANIFEST or name.endswith((".gemspec", ".cabal", ".nuspec"))


def tells(path: str, size: int) -> bool:
    """Whether a file is one that a tree's licences are read from: called as a licence or a manifest, and no longer than these are."""
    return size <= LONGEST and (names_licence(path) or names_manifest(path))


def of_text(text: str) -> tuple[str, float] | None:
    """(SPDX expression, likeness) of a licence file: what its SPDX header says, else what its text is like; None where it is like none."""
    if _RESTRICTED.search(text[:LONGEST]):
        return RESTRICTED, 1.0
    if (stated := of_header(text)) is not None:
        return stated, 1.0
    bare = without_copyright(text)
    if len(bare) < 60:
        return _of_name(text)
    found = _asked(bare) if len(bare) > 200 else None
    return found or _of_name(text)


def of_notice_file(text: str) -> tuple[str, float] | None:
    """(SPDX expression, likeness) that a NOTICE states of its own folder: what it says once it speaks of others' software is theirs. None for titles alone."""
    talk = _OF_OTHERS.search(text[:LONGEST])
    own = text[: talk.start()] if talk else text
    if (found := of_text(own)) is not None and found[1] >= SURE:
        return found
    if talk and talk.start() > 1000 and (found := _asked(without_copyright(text))) is not None:
        return found  # long licences speak of others too, though not at once
    return (noted, NOTICE_CONFIDENCE) if (noted := of_notice(own)) is not None else None


def without_copyright(text: str) -> str:
    """A licence's text without its lines of copyright and without indentation: the same for everybody's MIT licence."""
    return "\n".join(line for raw in _COPYRIGHT.sub("", text[:LONGEST]).splitlines() if (line := " ".join(raw.split())))


def _asked(bare: str) -> tuple[str, float] | None:
    """What askalono says of a text, asked about once in a process; 100,000 answers are kept, by hash."""
    key = hashlib.blake2b(bare.encode("utf-8", "replace"), digest_size=16).digest()
    if key not in _ANSWERS:
        if len(_ANSWERS) >= 100_000:
            _ANSWERS.clear()
        import askalono  # type: ignore[import-untyped]

        said = askalono.identify(bare)
        name = str(said.name)
        if name == "Pixar" and "pixar" not in bare.lower():
            name = "Apache-2.0"  # whose text without its appendix is nearer to the one that was changed for Pixar
        _ANSWERS[key] = (name, float(said.score)) if said.score >= SURE else None
    return _ANSWERS[key]


_ANSWERS: dict[bytes, tuple[str, float] | None] = {}


# Texts that are like none as a whole: short references, and the LGPL 3, which askalono's list has together with the GPL.
_TITLES = [
    (re.compile(pattern, re.IGNORECASE), spdx)
    for pattern, spdx in (
        (r"gnu lesser general public license\W+version 3", "LGPL-3.0-only"),
        (r"gnu lesser general public license\W+version 2\.1", "LGPL-2.1-only"),
        (r"gnu affero general public license\W+version 3", "AGPL-3.0-only"),
        (r"gnu general public license\W+version 3", "GPL-3.0-only"),
        (r"gnu general public license\W+version 2", "GPL-2.0-only"),
        (r"apache license,?\W+version 2\.0", "Apache-2.0"),
        (r"mozilla public license,?\W+(?:version|v\.?) ?2\.0", "MPL-2.0"),
        (r"permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
        (r"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is", "ISC"),
        (r"this is free and unencumbered software released into the public domain", "Unlicense"),
        (r"creative commons (?:legal code\W+)?(?:cc0|zero)", "CC0-1.0"),
        (r"\A\W{0,80}(?:the )?mit license\W{0,80}\Z", "MIT"),
        (r"\A\W{0,80}(?:the )?bsd[- ]2[- ]clause", "BSD-2-Clause"),
        (r"\A\W{0,80}(?:the )?bsd[- ]3[- ]clause", "BSD-3-Clause"),
    )
]  # fmt: skip


def _of_name(text: str) -> tuple[str, float] | None:
    """By titles and first sentences alone, half as sure as one can be. A file that holds several licences is under all of them."""
    found = sorted({spdx for pattern, spdx in _TITLES if pattern.search(text[:LONGEST])})
    return (" AND ".join(found), 0.5) if found else None


def of_header(text: str) -> str | None:
    """The SPDX expression that a file's beginning states. Of several lines all hold, as REUSE has it."""
    if "SPDX-License-Identifier" not in text[:4096]:
        return None
    said = [re.sub(r"[\s*/>}-]+\Z", "", m.group(1)) for m in _SPDX_HEADER.finditer(text[:4096])]
    found = list(dict.fromkeys(normal(one) for one in said if one))
    return " AND ".join(f"({one})" if " OR " in one and len(found) > 1 else one for one in found)[:LONGEST_EXPRESSION] or None


# What files say in their first comment where they give no SPDX id. In this order: a GPL with "or later" before one without.
_NOTICES = [
    (re.compile(pattern), spdx)
    for pattern, spdx in (
        (r"distributed under the boost software license,? version 1\.0", "BSL-1.0"),
        (r"licensed under the apache license,? version 2\.0|under the terms of the apache license,? version 2\.0", "Apache-2.0"),
        (r"licenses this (?:file|work)\b.{0,20}? to you under the apache license,? version 2\.0", "Apache-2.0"),
        (r"gnu affero general public license as published by the free software foundation", "AGPL-3.0-or-later"),
        (r"gnu (?:lesser|library) general public license as published by the free software foundation", "LGPL-2.1-or-later"),
        (r"gnu general public license as published by the free software foundation,? (?:either )?version 3", "GPL-3.0-or-later"),
        (r"gnu general public license(?: version 2)? as published by the free software foundation", "GPL-2.0-or-later"),
        (r"subject to the terms of the mozilla public license,? v\. ?2\.0", "MPL-2.0"),
        (r"permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
        (r"permission to use, copy, modify, and(?: or)? ?distribute this software for any purpose with or without fee is hereby granted", "ISC"),
        (r"redistribution and use in source and binary forms.{0,1200}all advertising materials mentioning", "BSD-4-Clause"),
        (r"redistribution and use in source and binary forms.{0,1500}(?:be used to endorse|to endorse or promote)", "BSD-3-Clause"),
        (r"redistribution and use in source and binary forms,? with or without modification,? are permitted provided", "BSD-2-Clause"),
        (r"altered source versions must be plainly marked as such", "Zlib"),
        (r"(?:released|licensed|distributed|available|is) under the mit licen[cs]e|licensed mit\b", "MIT"),
        (r"confidential and proprietary|proprietary and confidential|unauthori[sz]ed copying of this file", RESTRICTED),
    )
]
NOTICE_CONFIDENCE = 0.9
_MARKS = str.maketrans(dict.fromkeys("*/#;%!-", " "))  # of comments, which stand between the words where these go over lines


def of_notice(text: str) -> str | None:
    """The licence that a file's first comment names in words. It speaks for this file, whatever stands in the repository."""
    start = text[:4096].lower()
    if not any(word in start for word in ("license", "licence", "permission", "proprietary", "unauthori", "redistribution", "altered source")):
        return None
    words = " ".join(start.translate(_MARKS).split())
    return next((spdx for pattern, spdx in _NOTICES if pattern.search(words)), None)


_TROVE = {
    "MIT License": "MIT", "Apache Software License": "Apache-2.0", "BSD License": "BSD-3-Clause", "ISC License (ISCL)": "ISC", "The Unlicense (Unlicense)": "Unlicense",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "GNU General Public License v3 (GPLv3)": "GPL-3.0-only", "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "zlib/libpng License": "Zlib", "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip


def of_manifest(path: str, text: str) -> str | None:
    """The licence that a package's manifest states."""
    name = path.rpartition("/")[2]
    said: object = None
    if name in ("package.json", "composer.json"):
        try:
            about = json.loads(text)
        except (ValueError, RecursionError):
            return None
        said = about.get("license") if isinstance(about, dict) else None
        if isinstance(said, dict):
            said = said.get("type")
        if isinstance(said, list):
            said = " OR ".join(str(s.get("type") if isinstance(s, dict) else s) for s in said)
    elif name == "pom.xml":
        found = re.search(r"<license>\s*<name>\s*([^<]+?)\s*</name>", text)
        said = found.group(1) if found else None
    else:
        found = re.search(
            r"""^[ \t]*(?:spec\.|s\.)?license(?:-expression|s)?[ \t]*[:=][ \t]*(?:\{[ \t]*text[ \t]*=[ \t]*)?[\["']*([^"'\n}\]]+)""",
            text,
            re.MULTILINE | re.IGNORECASE,
        )
        said = found.group(1).strip() if found else None
        if said is None and (classified := re.search(r"License :: OSI Approved :: ([^\n\"',]+)", text)):
            said = _TROVE.get(classified.group(1).strip())
    if isinstance(said, str):
        said = re.sub(r"\s*\+\s*file LICEN[CS]E\s*\Z", "", said)  # as R writes it
    if not isinstance(said, str) or not 0 < len(said) < 100 or "file" in said.lower() or "see " in said.lower():
        return None
    return normal(said)


# Ways in which manifests and headers write ids, lower-cased.
_SPOKEN = {
    "apache 2.0": "Apache-2.0", "apache-2": "Apache-2.0", "apache2": "Apache-2.0", "apache 2": "Apache-2.0", "apache license 2.0": "Apache-2.0", "apache license, version 2.0": "Apache-2.0",
    "the apache license, version 2.0": "Apache-2.0", "apache license version 2.0": "Apache-2.0", "asl 2.0": "Apache-2.0", "bsd": "BSD-3-Clause", "new bsd": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "bsd 3-clause license": "BSD-3-Clause", "modified bsd": "BSD-3-Clause", "bsd-2": "BSD-2-Clause",
    "2-clause bsd": "BSD-2-Clause", "bsd 2-clause": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause", "mit license": "MIT", "the mit license": "MIT", "mit/x11": "MIT", "expat": "MIT",
    "mit licence": "MIT", "isc license": "ISC", "public domain": "Unlicense", "gpl-3.0": "GPL-3.0-only", "gpl-2.0": "GPL-2.0-only", "gplv3": "GPL-3.0-only", "gplv2": "GPL-2.0-only",
    "gpl-3.0+": "GPL-3.0-or-later", "gpl-2.0+": "GPL-2.0-or-later", "gpl v2": "GPL-2.0-only", "gpl v3": "GPL-3.0-only", "lgpl-3.0": "LGPL-3.0-only", "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later",
    "lgplv3": "LGPL-3.0-only", "agpl-3.0": "AGPL-3.0-only", "mpl 2.0": "MPL-2.0", "mpl2": "MPL-2.0", "psf": "PSF-2.0", "boost": "BSL-1.0", "boost software license 1.0": "BSL-1.0", "cc0": "CC0-1.0",
    "unlicensed": "LicenseRef-proprietary", "proprietary": "LicenseRef-proprietary", "commercial": "LicenseRef-proprietary",
}  # fmt: skip
_TOKEN = re.compile(r"(\(|\)|(?:AND|OR|WITH)\b|[^\s()]+(?:[ \t]+(?!AND\b|OR\b|WITH\b)[^\s()]+)*)")


def normal(expression: str) -> str:
    """An expression with its ids as SPDX writes them: `mit / Apache 2.0` -> `MIT OR Apache-2.0`. A comma means that both hold."""
    text = expression.strip().strip("\"'")[:LONGEST_EXPRESSION]
    if text.lower() in _SPOKEN:
        return _SPOKEN[text.lower()]
    if not re.search(r"https?:", text):
        text = re.sub(r"\s*(?:/|\|\|)\s*|\s+or\s+", " OR ", re.sub(r"\s*,\s*(?:and\s+)?|\s+and\s+", " AND ", text))
    parts = [t.group(1) for t in _TOKEN.finditer(text)]
    return re.sub(
        r"\( ", "(", re.sub(r" \)", ")", " ".join(p if p in ("(", ")", "AND", "OR", "WITH") else _SPOKEN.get(p.lower(), _canonical(p)) for p in parts))
    )


def _canonical(name: str) -> str:
    return next((spdx for spdx in ALLOWED if spdx.lower() == name.lower()), name)


# The allow-list of the shipped recipes: permissive licences and public-domain dedications (methods: The Stack, RedPajama).
ALLOWED = (
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unlicense",
    "CC0-1.0",
    "Zlib",
    "BSL-1.0",
    "0BSD",
    "MIT-0",
    "PSF-2.0",
    "Python-2.0",
    "Python-2.0.1",
)


def is_allowed(expression: str, allow: Collection[str]) -> bool:
    """Whether an SPDX expression lets a text be used under licences of `allow`: one side of an OR is enough, both sides of an AND are needed.

    An exception (`WITH`) only adds rights. What is no expression is allowed only if it stands in the list as it is.
    """
    if expression in allow:
        return True
    if len(expression) > LONGEST_EXPRESSION:
        return False
    tokens = [t.group(1) for t in _TOKEN.finditer(expression)]
    position = 0

    def joined(word: str, side: Callable[[], bool], enough: Callable[[Iterable[bool]], bool]) -> bool:
        """Sides with `word` between them. All are read, whatever the first ones say: what follows must be an expression too."""
        nonlocal position
        found = [side()]
        while position < len(tokens) and tokens[position] == word:
            position += 1
            found.append(side())
        return enough(found)

    def either() -> bool:
        return joined("OR", lambda: joined("AND", one, all), any)

    def one() -> bool:
        nonlocal position
        if position >= len(tokens):
            raise ValueError
        token = tokens[position]
        position += 1
        if token == "(":
            found = either()
            if position >= len(tokens) or tokens[position] != ")":
                raise ValueError
            position += 1
        elif token in (")", "AND", "OR", "WITH"):
            raise ValueError
        else:
            found = token in allow or token.removesuffix("+") in allow
        if position < len(tokens) and tokens[position] == "WITH":
            position += 2
            if position > len(tokens):
                raise ValueError
        return found

    try:
        found = either()
    except ValueError:
        return False
    return found and position >= len(tokens)


@dataclass
class Tree:
    """The licences of one repository: which folder states which. Fill it with every licence file and manifest, then ask."""

    _texts: dict[str, list[Licence]] = field(default_factory=dict)
    _manifests: dict[str, Licence] = field(default_factory=dict)
    _notices: dict[str, list[Licence]] = field(default_factory=dict)

    def add(self, path: str, text: str) -> None:
        """A licence file or a manifest, by its path in the repository; anything else is ignored."""
        folder = path.rpartition("/")[0]
        if folder.rpartition("/")[2] == "LICENSES" or (folder.rpartition("/")[2] == "licenses" and names_licence(path)):
            folder = folder.rpartition("/")[0]  # REUSE's folder, and that of Python's wheels, speak for the folder above
        if names_notice(path):
            if (noted := of_notice_file(text)) is not None:
                self._notices.setdefault(folder, []).append(Licence(noted[0], path, noted[1]))
        elif names_licence(path):
            found = of_text(text)
            if found is None and re.search("copyright", path.rpartition("/")[2], re.IGNORECASE):
                return  # a list of holders, more often than terms
            # Terms that nobody recognises are still terms: the licence of the folder above does not cover what is below them.
            self._texts.setdefault(folder, []).append(Licence(found[0], path, found[1]) if found else Licence(UNKNOWN, path, 0.0))
        elif names_manifest(path) and (said := of_manifest(path, text)) is not None:
            self._manifests.setdefault(folder, Licence(said, path, 1.0))

    def of(self, path: str) -> Licence | None:
        """The nearest licence upward of a file: licence files before the manifest of the same folder, a NOTICE after both. Several in one folder are
        alternatives where the manifest says so, or where their names do (LICENSE-MIT, LICENSE-APACHE); else all of them hold."""
        folder = path.rpartition("/")[0]
        while True:
            if folder in self._texts:
                return self._joined(self._texts[folder], self._manifests.get(folder))
            if folder in self._manifests:
                return self._manifests[folder]
            if folder in self._notices:
                return self._joined(self._notices[folder], None)
            if not folder:
                return None
            folder = folder.rpartition("/")[0]

    @staticmethod
    def _joined(given: Sequence[Licence], manifest: Licence | None) -> Licence:
        own = [one for one in given if not _OTHERS.search(one.file.rpartition("/")[2])] or list(given)
        found = [one for one in own if one.spdx != UNKNOWN] or own
        ids = sorted({one.spdx for one in found})
        if len(ids) == 1:
            best = max(found, key=lambda one: one.confidence)
            return Licence(ids[0], best.file, best.confidence)
        if manifest is not None and set(_ids(manifest.spdx)) <= set(ids):
            return manifest
        choice = all(_named_after(one) for one in found)
        first = min(found, key=lambda one: one.file)
        return Licence((" OR " if choice else " AND ").join(ids), first.file, min(one.confidence for one in found))


def _named_after(licence: Licence) -> bool:
    """Whether a file is called after its licence: LICENSE-APACHE, LICENSE.MIT. LICENSE-CODE beside LICENSE-DOCS is no choice."""
    suffix = re.search(r"licen[cs]e[-._]([a-z]+)|([a-z]+)[-._]licen[cs]e", licence.file.rpartition("/")[2], re.IGNORECASE)
    return suffix is not None and (suffix.group(1) or suffix.group(2)).lower() in licence.spdx.lower()


def _ids(expression: str) -> list[str]:
    return [t.group(1) for t in _TOKEN.finditer(expression) if t.group(1) not in ("(", ")", "AND", "OR", "WITH")]
