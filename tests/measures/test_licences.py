"""Licences: texts, headers, manifests, expressions, and which one of a tree covers a file."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures.licences import (
    ALLOWED,
    Tree,
    is_allowed,
    names_licence,
    names_manifest,
    normal,
    of_header,
    of_manifest,
    of_notice,
    of_notice_file,
    of_text,
    without_copyright,
)
from tests.sources.test_code import MIT

BSD = """Copyright (c) 2019, Nobody
All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer in the documentation
   and/or other materials provided with the distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT,
INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR
PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE)
ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""


def test_texts_are_told_apart_and_nothing_is_made_up() -> None:
    assert of_text(MIT) == pytest.approx(("MIT", 1.0), abs=0.05) or of_text(MIT)[0] == "MIT"  # type: ignore[index]
    assert of_text(BSD)[0] == "BSD-2-Clause"  # type: ignore[index]
    assert of_text("MIT License") == ("MIT", 0.5)
    assert of_text("SPDX-License-Identifier: GPL-3.0-or-later\nsee COPYING") == ("GPL-3.0-or-later", 1.0)
    assert of_text("All rights reserved. You may look at this and nothing else.") is None
    assert of_text("") is None
    both = of_text(MIT + "\n\n----\n\n" + BSD * 2)
    assert both is None or "MIT" in both[0]


def test_one_text_for_all_holders() -> None:
    assert without_copyright(MIT) == without_copyright(MIT.replace("2021 Somebody", "1999-2003 Another <a@b.c>"))
    assert "COPYRIGHT HOLDER" in without_copyright(BSD)


@pytest.mark.parametrize(
    ("said", "expression"),
    [
        ("mit", "MIT"), ("MIT", "MIT"), ("Apache 2.0", "Apache-2.0"), ("MIT/Apache-2.0", "MIT OR Apache-2.0"), ("MIT or Apache-2.0", "MIT OR Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"), ("(MIT OR GPL-2.0)", "(MIT OR GPL-2.0-only)"), ("GPL-2.0+", "GPL-2.0-or-later"), ("BSD", "BSD-3-Clause"),
        ("GPL-2.0-only WITH Linux-syscall-note", "GPL-2.0-only WITH Linux-syscall-note"), ("UNLICENSED", "LicenseRef-proprietary"), ("Nobody's licence", "Nobody's licence"),
    ],
)  # fmt: skip
def test_spoken_names_become_spdx(said: str, expression: str) -> None:
    assert normal(said) == expression
    assert normal(expression) == expression


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True), ("GPL-3.0-only", False), ("MIT OR GPL-3.0-only", True), ("GPL-3.0-only OR MIT", True), ("MIT AND GPL-3.0-only", False), ("MIT AND ISC", True),
        ("(MIT OR GPL-2.0-only) AND ISC", True), ("MIT OR (GPL-2.0-only AND ISC)", True), ("(GPL-2.0-only AND MIT) OR LGPL-2.1-only", False), ("Apache-2.0 WITH LLVM-exception", True),
        ("", False), ("(", False), ("MIT OR", False), ("MIT)", False), ("AND", False), ("Zlib+", True), ("MIT WITH", False), ("(" * 2000, False), (" " * 50_000, False),
    ],
)  # fmt: skip
def test_expressions(expression: str, allowed: bool) -> None:
    assert is_allowed(expression, ALLOWED) is allowed


@given(st.text(max_size=40))
def test_any_expression_is_an_answer_and_any_manifest_too(text: str) -> None:
    assert is_allowed(normal(text), ALLOWED) in (True, False)
    for name in ("package.json", "Cargo.toml", "pom.xml", "x.gemspec"):
        of_manifest(name, text)
    of_header(text)


def test_headers_and_manifests() -> None:
    assert of_header("// SPDX-License-Identifier: Apache-2.0 */\n") == "Apache-2.0"
    assert of_header("x" * 5000 + "SPDX-License-Identifier: MIT") is None
    assert of_manifest("a/package.json", '{"license": {"type": "BSD-2-Clause"}}') == "BSD-2-Clause"
    assert of_manifest("package.json", '{"licenses": 3}') is None
    assert of_manifest("Cargo.toml", '[package]\nname = "x"\nlicense = "MIT OR Apache-2.0"\n') == "MIT OR Apache-2.0"
    assert of_manifest("pyproject.toml", '[project]\nlicense = {file = "LICENSE"}\n') is None
    assert of_manifest("setup.cfg", "[metadata]\nlicense = BSD 3-Clause\n") == "BSD-3-Clause"
    assert of_manifest("METADATA", "Classifier: License :: OSI Approved :: MIT License\n") == "MIT"
    assert of_manifest("pom.xml", "<license>\n <name>The Apache License, Version 2.0</name>") == "Apache-2.0"
    assert of_manifest("x.gemspec", "  spec.license = 'MIT'\n") == "MIT"


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("//  Distributed under the Boost\n//  Software License, Version 1.0.", "BSL-1.0"),
        ("/*\n * Licensed under the Apache License, Version 2.0 (the \"License\");\n", "Apache-2.0"),
        ("# This program is free software: you can redistribute it and/or modify\n# it under the terms of the GNU General Public License as published by\n# the Free Software Foundation, either version 3 of the License, or\n", "GPL-3.0-or-later"),
        ("// terms of the GNU General Public License as published by the\n// Free Software Foundation; either version 3, or (at your option)\n", "GPL-3.0-or-later"),
        (" * GNU General Public License version 2 as published by the Free Software Foundation\n", "GPL-2.0-or-later"),
        ("// Use of this source code is governed by a BSD-style license that can be found in the LICENSE file.", None),
        ("# This Source Code Form is subject to the terms of the Mozilla Public\n# License, v. 2.0.", "MPL-2.0"),
        ("// Confidential and proprietary. Licence on request.", "LicenseRef-restricted"),
        ("/* The ASF licenses this file to You\n * under the Apache License, Version 2.0 (the", "Apache-2.0"),
        ("# Redistribution and use in source and binary forms, with or without\n# modification, are permitted provided that the following", "BSD-2-Clause"),
        (" * Redistribution and use in source and binary forms, with or without modification, are permitted … may not\n * be used to endorse or promote", "BSD-3-Clause"),
        ("-- Redistribution and use in source and binary forms … 3. All advertising materials\n-- mentioning features … to endorse or promote", "BSD-4-Clause"),
        ("/* 2. Altered source versions must be plainly marked as such, and must not be", "Zlib"),
        ("print('license plate')", None), ("", None),
    ],
)  # fmt: skip
def test_notices_in_words(text: str, licence: str | None) -> None:
    assert of_notice(text) == licence


def test_names() -> None:
    assert all(map(names_licence, ("LICENSE", "a/LICENCE.txt", "COPYING.LESSER", "MIT-LICENSE", "LICENSE-APACHE", "UNLICENSE", "LICENSES/MIT.txt")))
    assert not any(map(names_licence, ("license.py", "src/License.java", "licenses.json", "a.c")))
    assert all(map(names_licence, ("NOTICE", "a/NOTICE.txt", "NOTICE.md"))) and not any(map(names_licence, ("NOTICE.py", "notices", "a/NOTICE/b.c")))
    assert names_manifest("a/b/Cargo.toml") and not names_manifest("Cargo.lock")


def test_the_nearest_folder_upward_and_choices() -> None:
    tree = Tree()
    tree.add("LICENSE", MIT)
    tree.add("third/COPYING", "GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007\n")
    tree.add("rust/LICENSE-MIT", MIT)
    tree.add("rust/LICENSE-APACHE", "Apache License\nVersion 2.0, January 2004\n")
    tree.add("two/LICENSE", MIT)
    tree.add("two/COPYING", "GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991\n")
    tree.add("js/package.json", '{"license": "ISC"}')
    tree.add("src/main.c", "not a licence")

    def of(path: str) -> str | None:
        found = tree.of(path)
        return found and found.spdx

    assert of("a/b/c.py") == "MIT" and of("third/x/y.c") == "GPL-3.0-only"
    assert of("rust/src/lib.rs") == "Apache-2.0 OR MIT", "their names make them a choice"
    assert of("two/a.c") == "GPL-2.0-only AND MIT", "all that is known holds"
    assert of("js/lib/a.js") == "ISC" and Tree().of("a.c") is None


def test_what_must_not_be_read_as_a_permission() -> None:
    def of(path: str, **files: str) -> str | None:
        tree = Tree()
        for name, text in files.items():
            tree.add(name.replace("__", "/").replace("_dot_", ".").replace("_dash_", "-"), text)
        found = tree.of(path)
        return found and found.spdx

    gpl = "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n"
    assert of("vendor/acme/x.c", LICENSE=MIT, vendor__acme__LICENSE="This is confidential and proprietary. No use without a contract.") == "LicenseRef-unknown"
    assert of("a.c", LICENSE_dash_CODE=gpl, LICENSE_dash_DOCS="SPDX-License-Identifier: CC0-1.0") == "CC0-1.0 AND GPL-3.0-only"
    assert of("a.c", LICENSE=MIT, THIRD_dash_PARTY_dash_LICENSES_dot_txt=gpl) == "MIT"
    assert of("a.c", LICENSE=MIT, COPYRIGHT="Somebody and Somebody Else") == "MIT"
    assert of_text('"Commons Clause" License Condition v1.0\n\n' + MIT)[0] == "LicenseRef-restricted"  # type: ignore[index]
    assert of_text(MIT + "\nThis may be used for non-commercial purposes only.\n")[0] == "LicenseRef-restricted"  # type: ignore[index]
    assert normal("GPL-3.0, MIT") == "GPL-3.0-only AND MIT"
    assert of_header("// SPDX-License-Identifier: MIT\n// SPDX-License-Identifier: GPL-3.0-only\n") == "MIT AND GPL-3.0-only"
    assert of_header("<!-- SPDX-License-Identifier: MIT -->") == "MIT" and of_header("{- SPDX-License-Identifier: BSD-3-Clause -}") == "BSD-3-Clause"
    assert of_header("SPDX-License-Identifier: {{x}}") is None
    assert of_manifest("package.json", '{"a":' * 50_000) is None


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        (MIT, "MIT"), (BSD, "BSD-2-Clause"), ("X\nSPDX-License-Identifier: ISC\n", "ISC"), ("Released under the MIT licence.", "MIT"),
        ("X is confidential and proprietary.", "LicenseRef-restricted"), (MIT + "\nFor non-commercial use only.\n", "LicenseRef-restricted"),
        ("X\nLicensed under the Apache License, Version 2.0\n\nThis product includes Y, licensed under the MIT license.\n", "Apache-2.0"),
        ("This product includes Y, licensed under the MIT license.\n", None), ("X contains code derived from Y:\n\n" + MIT, None),
        ("Bundled third-party software\nSPDX-License-Identifier: MIT\n", None), ("Apache License\nVersion 2.0\n", None), ("X\nCopyright 2020 Somebody\n", None), ("", None),
    ],
)  # fmt: skip
def test_a_notice_speaks_for_its_folder_until_it_speaks_of_others(text: str, licence: str | None) -> None:
    found = of_notice_file(text)
    assert (found and found[0]) == licence


def test_a_notice_has_the_lowest_standing_of_its_folder() -> None:
    def of(path: str, **files: str) -> str | None:
        tree = Tree()
        for name, text in files.items():
            tree.add({"PACKAGE": "a/package.json"}.get(name, name.replace("__", "/")), text)
        found = tree.of(path)
        return found and found.spdx

    apache = "Licensed under the Apache License, Version 2.0"
    assert of("a/x.c", LICENSE=MIT, a__NOTICE=apache) == "Apache-2.0", "but the nearest folder comes first"
    assert of("a/x.c", LICENSE=MIT, a__NOTICE="All rights reserved. Ask us.") == "MIT"
    assert of("a/x.c", a__LICENSE=MIT, a__NOTICE=apache) == "MIT" and of("a/x.c", a__LICENSE="Ask us.", a__NOTICE=apache) == "LicenseRef-unknown"
    assert of("a/x.c", PACKAGE='{"license": "GPL-3.0-only"}', a__NOTICE="Released under the MIT licence.") == "GPL-3.0-only"
    assert of("a/x.c", a__LICENSES__NOTICE="Thanks to all.", LICENSE=MIT) == "MIT" and of("a/x.c", NOTICE="Thanks to all.") is None


@pytest.mark.parametrize("text", ["\n" * 50_000, ("-" * 80 + "\n") * 3000, " " * 200_000, "MIT " * 50_000], ids=["lines", "rules", "blanks", "words"])
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    of_text(text)
    of_notice_file(text)
    of_header("SPDX-License-Identifier: " + text)
    is_allowed(normal(text), ALLOWED)
    assert time.process_time() - start < 20, "it took minutes once"
