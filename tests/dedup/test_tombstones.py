"""Tombstone files: what a line says, which documents it names, and what is said of a line that says nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.dedup.signatures import signatures
from pipeline.dedup.tombstones import Tombstones, host_of, parse_line, read_tombstones, signature_version
from pipeline.errors import PlanError

ID = "0123456789abcdef" * 2


def said(*lines: str) -> Tombstones:
    return Tombstones.of(one for one in map(parse_line, lines) if one)


def named(tombstones: Tombstones, *urls: str | None) -> list[bool]:
    return [line is not None for line in tombstones.naming(pa.array([str(i) for i in range(len(urls))]), pa.array(urls, pa.string()))]


def signature_of(text: str) -> bytes:
    return signatures([text])[0][0].astype("<u4").tobytes()


def test_lines_read_back_as_what_they_say() -> None:
    given = Tombstones(frozenset([ID]), frozenset(["https://a.example/x?y"]), frozenset(["b.example"]), ((0.75, signature_of("some text")),))
    assert Tombstones.of(one for one in map(parse_line, given.lines()) if one) == given
    assert [line.partition(":")[0] for line in given.lines()] == ["host", "url", "id", "signature"]


def test_remarks_case_and_spelling_say_nothing() -> None:
    plain = said("host: b.example", f"id: {ID}", "url: https://a.example/x")
    assert said("# who asked", "", f"id:{ID.upper()}  # a remark", "host: B.Example.", "url: HTTPS://A.example:443/x#part # another") == plain
    assert plain.print == said(*reversed(plain.lines())).print != said("host: b.example").print


def test_a_url_is_compared_as_duplicates_are() -> None:
    asked = said("url: https://a.example/x?q=1")
    assert named(asked, "https://A.EXAMPLE:443/x?q=1#f", "https://a.example/x?q=2", "http://a.example/x?q=1", "https://a.example/x", None, "") == [
        True,
        *[False] * 5,
    ]
    assert named(said("url: repo@1234:src/a file.c"), "repo@1234:src/a file.c", "repo@1234:src/a") == [True, False]


def test_a_host_has_its_subdomains_and_not_its_neighbours() -> None:
    asked = said("host: a.example")
    yes = ["http://a.example/", "https://www.A.example:8080/x", "http://user@a.example./", "ftp://x.y.a.example"]
    no = ["http://aa.example/", "http://a.example.org/", "http://b.example/?at=http://a.example/", "a.example", "http://a-example/", "http://[bad/a.example"]
    assert named(asked, *yes, *no) == [True] * len(yes) + [False] * len(no)
    assert named(said("host: 192.0.2.7"), "http://192.0.2.7/x", "http://1.192.0.2.7/", "http://192.0.2.70/") == [True, True, False]


def test_a_host_beyond_ascii_is_the_same_in_both_spellings() -> None:
    for line in ("host: 例子.中国", "host: xn--fsqu00a.xn--fiqs8s"):
        assert named(said(line), "http://例子.中国/", "http://www.xn--fsqu00a.xn--fiqs8s/x", "http://子.中国/", "http://例子。中国/") == [
            True,
            True,
            False,
            True,
        ]
    assert host_of("http://例子.中国/x") == "xn--fsqu00a.xn--fiqs8s"


def test_an_id_comes_before_a_url_and_a_url_before_a_host() -> None:
    asked = said(f"id: {ID}", "url: http://a.example/x", "host: a.example")
    lines = asked.naming(pa.array([ID, "1", "2", None]), pa.chunked_array([["http://a.example/x"] * 2, ["http://a.example/y", "http://a.example/x"]]))
    assert lines == [f"id: {ID}", "url: http://a.example/x", "host: a.example", "url: http://a.example/x"]


@pytest.mark.parametrize("hosts", [["h7.example"], ["h7.example", "example.org", "xn--fsqu00a.cn", "192.0.2.7"]])
def test_the_short_cut_by_hosts_changes_nothing(hosts: list[str]) -> None:
    """Against taking apart every URL."""
    schemes = ["http://", "HTTPS://", "//", "", "mailto:", " http://", "\thttp://", "http:", "a+b.c-d://"]
    names = [
        "h7.example",
        "www.H7.Example.",
        "u:p@h7.example",
        "a@b@h7.example:80",
        "xh7.example",
        "例.cn",
        "例子.cn",
        "www.例子。cn",
        "[::1]",
        "h7.ex\nample",
        "192.0.2.7",
        "example.org%2F",
        "exam ple.org",
    ]
    urls = [scheme + name + end for scheme in schemes for name in names for end in ("", "/", "/a@h7.example/", "?h7.example", ":x/", "\\@h7.example")]
    asked = said(*(f"host: {host}" for host in hosts), "url: http://b.example/", "url: h7.example/")
    slow = [asked._address(url) for url in urls]
    assert asked.naming(pa.nulls(len(urls), pa.string()), pa.array(urls)) == slow
    assert 50 < sum(line is not None for line in slow) < len(urls)
    without = said(*(f"host: {host}" for host in hosts))
    assert without.naming(pa.nulls(len(urls), pa.string()), pa.chunked_array([urls])) == [without._address(url) for url in urls]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("name: someone", "is no tombstone: a line is `id: …`"),
        ("https://a.example/", "is no tombstone"),
        ("id: 1234", "is no id: an id is 32 hex digits"),
        ("host: https://a.example/", "write its name alone, such as example.org"),
        ("host: example", "is no host"),
        ("host: com", "is no host"),
        ("url:", "cannot stand in a line"),
        ("url: a\tb", "cannot stand in a line"),
        ("signature: v1.1 >=0.8 QUJD", "is damaged"),
        ("signature: nothing", "is damaged"),
    ],
)
def test_a_line_that_says_nothing_is_refused_with_its_place(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "t.txt"
    file.write_text(f"# remark\r\nhost: a.example\r\n{line}\r\n", encoding="utf-8")
    with pytest.raises(PlanError, match=r"t\.txt:3: ") as caught:
        read_tombstones([str(file)])
    assert told in str(caught.value)


def test_a_signature_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text(Tombstones(similar=((0.8, signature_of("x y z")),)).lines()[0].replace(f"v{signature_version()} ", "v0.9 "), encoding="utf-8")
    with pytest.raises(PlanError, match=r"t.txt:1: its signature is of version 0.9, and this program compares those of version [0-9.]+: remove the line"):
        read_tombstones([str(file)])


def test_files_are_read_together_and_again_when_they_change(tmp_path: Path) -> None:
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    a.write_text("\ufeffhost: a.example", encoding="utf-8")
    b.write_text(f"id: {ID}\n", encoding="utf-8")
    assert read_tombstones([str(a), f"file://{b}"]) == said("host: a.example", f"id: {ID}")
    a.write_text("host: other.example", encoding="utf-8")
    assert read_tombstones([str(a)]).hosts == {"other.example"}
    b.write_bytes(b"host: \xff\xfe")
    with pytest.raises(PlanError, match=r"b.txt cannot be read: .*It is text in UTF-8"):
        read_tombstones([str(b)])
    with pytest.raises(PlanError, match=r"none.txt cannot be read: No such file"):
        read_tombstones([str(tmp_path / "none.txt")])


def test_signatures_ask_for_their_own_likeness() -> None:
    words = [f"word{i}" for i in range(200)]
    asked = Tombstones(similar=((0.5, signature_of(" ".join(words))), (0.95, signature_of(" ".join(words[::-1])))))
    near = " ".join([*words[:180], *(f"new{i}" for i in range(20))])
    far = " ".join([*words[::-1][:180], *(f"new{i}" for i in range(20))])
    number, estimate = asked.lookup.partners(signatures([near, far])[0])
    assert [asked.similar[n][0] if n >= 0 else None for n in number[:, 0]] == [0.5, None]
    assert 0.7 < estimate[0, 0] < 0.95 and np.isnan(estimate[1, 0])
