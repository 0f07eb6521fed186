"""How well and how fast files of source code are understood: languages, generated files, secrets, and the speed of everything together.

    python benchmarks/code.py FOLDER            a folder of installed packages, whose file extensions are the truth
    python benchmarks/code.py FOLDER --fetch    first fill it with Debian and npm packages (needs apt-get, npm, dpkg-deb)

Languages: at most 150 hashed files an extension and 20 a package, 200 bytes or more, each once with its name and once without. The written sets are
those of tests/data. Speed: one process, the medians of five runs; the bare loop reads and decodes the same files.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from pipeline.measures import MEASURES, licences, linguist, measure
from pipeline.texts import Texts

TRUTH = {
    "py": "Python", "c": "C", "cpp": "C++", "hpp": "C++", "cc": "C++", "js": "JavaScript", "ts": "TypeScript", "java": "Java", "go": "Go", "rs": "Rust", "pm": "Perl", "rb": "Ruby",
    "sh": "Shell", "sql": "SQL", "css": "CSS", "html": "HTML", "json": "JSON", "yml": "YAML", "yaml": "YAML", "toml": "TOML", "xml": "XML", "md": "Markdown", "tex": "TeX", "sty": "TeX",
}  # fmt: skip
# Dialects of SQL and descriptions of interfaces in YAML or JSON are answers too: Linguist knows them apart, an extension does not.
ALSO = {"SQL": {"PLpgSQL", "PLSQL", "TSQL", "SQLPL"}, "YAML": {"OASv2-yaml", "OASv3-yaml", "MiniYAML"}, "JSON": {"OASv2-json", "OASv3-json"}}
DEBIAN = (
    "openjdk-17-source golang-golang-x-net-dev golang-github-spf13-cobra-dev librust-serde-dev librust-tokio-dev librust-clap-3-dev librust-regex-dev librust-syn-dev librust-nix-dev "
    "librust-hyper-dev librust-libc-dev librust-toml-dev librust-time-dev librust-url-dev librust-rand-dev librust-futures-dev librust-rayon-dev ruby-activerecord ruby-sinatra ruby-nokogiri rails "
    "texlive-latex-base texlive-latex-recommended postgresql-15 ansible-core libboost1.74-dev git docbook-xsl lttng-modules-dkms v4l2loopback-dkms xtables-addons-dkms dracut-core lynis byobu "
    "testssl.sh qtbase5-examples libeigen3-dev perl-modules-5.36 libpython3.11-stdlib"
)
NPM = (
    "typescript@5.5.4 rxjs@7.8.1 bootstrap@5.3.3 lodash@4.17.21 express@4.19.2 vue@3.4.0 d3@7.9.0 react@18.3.1 webpack@5.90.0 eslint@9.0.0 swagger-ui-dist@5.17.0 bulma@1.0.0 prisma@5.0.0 "
    "typeorm@0.3.20 knex@3.1.0 @angular/core@17.0.0 reveal.js@5.1.0"
)
RULES = [
    "character_count", "line_count", "max_line_length", "mean_line_length", "alphabetic_character_fraction", "replacement_character_fraction", "encoded_data_fraction", "longest_encoded_run",
    "hex_word_character_fraction", "duplicate_line_fraction", "string_character_fraction", "long_string_line_fraction", "todo_line_fraction", "generated_file", "minified_file",
    "vendored_file", "data_file", "html_visible_fraction", "html_visible_characters", "instructive_text_file", "xml_declaration",
]  # fmt: skip


def fetch(folder: Path) -> None:
    """Debian and npm packages, unpacked, one folder each."""
    for name in DEBIAN.split():
        subprocess.run(["apt-get", "download", name], cwd=folder, check=False, capture_output=True)
    for file in sorted(folder.glob("*.deb")):
        into = folder / file.name.split("_")[0]
        into.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", str(file), str(into)], check=True)
        file.unlink()
    for name in NPM.split():
        subprocess.run(["npm", "pack", name], cwd=folder, check=False, capture_output=True)
    for file in sorted(folder.glob("*.tgz")):
        into = folder / f"npm-{file.stem}"
        into.mkdir(exist_ok=True)
        subprocess.run(["tar", "xzf", str(file), "-C", str(into)], check=True)
        file.unlink()
    for archive in folder.rglob("src.zip"):
        subprocess.run(["python3", "-m", "zipfile", "-e", str(archive), str(folder / "jdk")], check=True)


def key(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()


def chosen(folder: Path, most: int = 150, of_a_package: int = 20) -> list[tuple[str, Path]]:
    """(language, file): hashed files of every extension, no more than some of one package."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in folder.rglob("*"):
        if path.suffix[1:] in TRUTH and path.is_file() and not path.is_symlink() and 200 <= path.stat().st_size <= 1 << 20:
            found[TRUTH[path.suffix[1:]]].append(path)
    out = []
    for language, paths in sorted(found.items()):
        packages: Counter[str] = Counter()
        kept: list[Path] = []
        for path in sorted(paths, key=key):
            package = path.relative_to(folder).parts[0]
            if len(kept) < most and packages[package] < of_a_package:
                packages[package] += 1
                kept.append(path)
        out += [(language, path) for path in kept]
    return out


def languages(folder: Path) -> None:
    files = chosen(folder)
    texts = [path.read_bytes().decode("utf-8", "replace").encode() for _, path in files]
    said = linguist.languages([str(path.relative_to(folder)) for _, path in files], texts)
    start = time.perf_counter()
    hidden = linguist.languages(["file"] * len(files), texts)
    seconds = time.perf_counter() - start
    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    wrong: Counter[tuple[str, str | None]] = Counter()
    for (language, _), named, unnamed in zip(files, said, hidden, strict=True):
        good = {language, *ALSO.get(language, ())}
        right[language].append((named in good, unnamed in good))
        if unnamed not in good:
            wrong[language, unnamed] += 1
    print(f"\n| language | files | with its name | name hidden |\n|---|---|---|---|  <!-- {len(files) / seconds:.0f} files/s with names hidden -->")
    for language, marks in sorted(right.items()):
        print(f"| {language} | {len(marks)} | {sum(a for a, _ in marks) / len(marks):.3f} | {sum(b for _, b in marks) / len(marks):.3f} |")
    every = [mark for marks in right.values() for mark in marks]
    macro = [statistics.mean(statistics.mean(m[i] for m in marks) for marks in right.values()) for i in (0, 1)]
    print(f"| all files | {len(every)} | {sum(a for a, _ in every) / len(every):.3f} | {sum(b for _, b in every) / len(every):.3f} |")
    print(f"| mean of languages | {len(right)} | {macro[0]:.3f} | {macro[1]:.3f} |")
    print("most frequent errors with names hidden:", ", ".join(f"{a} as {b} {n}" for (a, b), n in wrong.most_common(8)))


def written_sets(data: Path) -> None:
    rows = [json.loads(line) for line in (data / "generated.jsonl").read_text(encoding="utf-8").splitlines()]
    found = linguist.generated([r["path"] for r in rows], [r["text"] for r in rows])
    five = ("auto-generated", "autogenerated", "automatically generated", "generated automatically", "this file is generated")
    star = [any(s in "\n".join(r["text"].split("\n")[:5]).lower() for s in five) for r in rows]
    print("\n| generated files | recall (200) | false alarms (120 traps) |\n|---|---|---|")
    for name, flags in (("linguist.generated", found), ("StarCoder2's five markers", star)):
        pairs = [(bool(f), r["generated"]) for f, r in zip(flags, rows, strict=True)]
        print(f"| {name} | {sum(f for f, t in pairs if t) / 200:.3f} | {sum(f for f, t in pairs if not t) / 120:.3f} |")


def median(job: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        job()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def speed(folder: Path) -> None:
    """Rules, language and licence of whole packages, over their bytes."""
    packages: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*"), key=key):
        if path.is_file() and not path.is_symlink() and 0 < path.stat().st_size <= 1 << 20 and b"\0" not in path.read_bytes()[:4096]:
            package = path.relative_to(folder).parts[0]
            if len(packages[package]) < 120:
                packages[package].append(path)
    files = [
        (package, path.relative_to(folder / package).as_posix(), path.read_bytes().decode("utf-8", "replace").encode())
        for package, ps in packages.items()
        for path in ps
    ]
    size = sum(len(data) for _, _, data in files)
    batches, batch, held = [], [], 0
    for file in files:
        batch.append(file)
        held += len(file[2])
        if held > 8 << 20:
            batches.append(batch)
            batch, held = [], 0
    batches.append(batch)
    tables = [([p for _, p, _ in b], [d for _, _, d in b], pa.array([d for _, _, d in b], pa.binary()).cast(pa.string())) for b in batches]
    found = [linguist.languages(paths, data) for paths, data, _ in tables]

    def by_language() -> None:
        linguist._label.cache_clear()  # as if no file had been seen before
        for paths, data, _ in tables:
            linguist.languages(paths, data)

    def by_rules() -> None:
        for (paths, _, texts), said in zip(tables, found, strict=True):
            measure(Texts(texts, paths, said), RULES)

    def by_licence() -> None:
        trees: dict[str, licences.Tree] = {}
        for package, path, data in files:
            if licences.names_licence(path) or licences.names_manifest(path):
                trees.setdefault(package, licences.Tree()).add(path, data.decode("utf-8"))
        for package, path, data in files:
            licences.of_header(data[:4096].decode("utf-8", "replace")) or trees.get(package, licences.Tree()).of(path)

    def bare() -> None:
        for _, _, data in files:
            data.decode("utf-8").split("\n")

    start = time.perf_counter()
    by_licence()
    first = time.perf_counter() - start
    by_rules()
    parts = {"language": median(by_language), "rules": median(by_rules), "licence (texts known)": median(by_licence)}
    bare_seconds = median(bare)
    print(f"\n{len(files):,} files of {len(packages)} packages, {size / 1e6:.0f} MB\n\n| part | MB/s |\n|---|---|")
    for name, seconds in parts.items():
        print(f"| {name} | {size / 1e6 / seconds:.0f} |")
    print(f"| **together** | **{size / 1e6 / sum(parts.values()):.1f}** |")
    unknown = sum(parts.values()) - parts["licence (texts known)"] + first
    print(f"| together, every licence text seen for the first time ({len(licences._ANSWERS)} texts) | {size / 1e6 / unknown:.1f} |")
    print(f"| bare loop: decode and split into lines | {size / 1e6 / bare_seconds:.0f} |")
    syntax = [Texts(texts, paths, said) for (paths, _, texts), said in zip(tables[:1], found[:1], strict=True)]
    seconds = median(lambda: [measure(t, ["syntax_error_fraction"]) for t in syntax], 1)
    print(f"| syntax (tree-sitter), apart | {len(syntax[0].data) / 1e6 / seconds:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fetch", action="store_true")
    parser.add_argument("--only", choices=("languages", "written", "speed"))
    arguments = parser.parse_args()
    if arguments.fetch:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        fetch(arguments.folder)
    assert MEASURES.keys() >= set(RULES)
    if arguments.only in (None, "languages"):
        languages(arguments.folder)
    if arguments.only in (None, "written"):
        written_sets(Path(__file__).parent.parent / "tests" / "data")
    if arguments.only in (None, "speed"):
        speed(arguments.folder)


if __name__ == "__main__":
    sys.exit(main())
