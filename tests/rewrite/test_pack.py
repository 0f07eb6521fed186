"""Repositories as one document: dependencies first, every file once, circles too."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.rewrite.pack import order, packs

FILES = {
    "app/main.py": "from app.models import User\nfrom .util import x\nimport os\n",
    "app/models.py": "import app.base\n",
    "app/base.py": "",
    "app/util.py": "from . import base\n",
    "src/a.c": '#include "a.h"\n#include <stdio.h>\n',
    "src/a.h": '#include "common/types.h"\n',
    "src/common/types.h": "",
    "web/index.ts": "import { f } from './lib/f'\nconst g = require('../web/g.js')\n",
    "web/lib/f.ts": "",
    "web/g.js": "",
    "java/com/x/Main.java": "import com.x.util.Strings;\n",
    "java/com/x/util/Strings.java": "",
    "rust/src/main.rs": "mod zebra;\nuse crate::apple;\n",
    "rust/src/zebra.rs": "",
    "rust/src/apple/mod.rs": "",
    "gem/a.rb": "require_relative 'lib/z'\n",
    "gem/lib/z.rb": "",
    "cmd/main.go": 'import (\n\t"example.com/m/internal/store"\n)\n',
    "internal/store/s.go": "package store\n",
}


def test_what_a_file_needs_comes_before_it() -> None:
    paths = list(FILES)
    place = {paths[i]: k for k, i in enumerate(order(paths, list(FILES.values())))}
    for file, needs in (
        ("app/main.py", "app/models.py"), ("app/main.py", "app/util.py"), ("app/models.py", "app/base.py"), ("app/util.py", "app/base.py"), ("src/a.c", "src/a.h"),
        ("src/a.h", "src/common/types.h"), ("web/index.ts", "web/lib/f.ts"), ("web/index.ts", "web/g.js"), ("java/com/x/Main.java", "java/com/x/util/Strings.java"),
        ("rust/src/main.rs", "rust/src/zebra.rs"), ("rust/src/main.rs", "rust/src/apple/mod.rs"), ("gem/a.rb", "gem/lib/z.rb"), ("cmd/main.go", "internal/store/s.go"),
    ):  # fmt: skip
        assert place[needs] < place[file], (needs, file)
    assert sorted(place.values()) == list(range(len(FILES)))


def test_circles_begin_with_the_first_by_path_and_deep_chains_are_no_recursion() -> None:
    assert order(["b.py", "a.py"], ["import a\n", "import b\n"]) == [0, 1], "a needs b, and b is put out first"
    n = 5000
    assert order([f"f{i:05d}.py" for i in range(n)], [f"import f{i + 1:05d}\n" for i in range(n)]) == list(range(n))[::-1]


def test_packs_hold_every_file_once_under_its_path() -> None:
    ((members, text),) = packs(["b.py", "a.py"], ["y = 2", "x = 1\n"], "<file_sep>{path}\n", 1000)
    assert members == [1, 0] and text == "<file_sep>a.py\nx = 1\n<file_sep>b.py\ny = 2\n"
    many = packs([f"{i}.txt" for i in range(10)], ["字" * 10] * 10, "# {path}\n", 80)
    assert [m for members, _ in many for m in members] == list(range(10)) and all(len(t.encode()) <= 80 for _, t in many)
    assert len(packs(["a"], ["x" * 500], "", 10)) == 1, "a file is never cut"


@given(st.lists(st.tuples(st.sampled_from(["a.py", "b/c.py", "d.h", "e/f.js", "g.go", "h.rs"]), st.text(max_size=60)), unique_by=lambda f: f[0], max_size=6))
def test_any_files_are_ordered(files: list[tuple[str, str]]) -> None:
    assert sorted(order([p for p, _ in files], [t for _, t in files])) == list(range(len(files)))
