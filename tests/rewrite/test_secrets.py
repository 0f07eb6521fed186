"""Secrets and personal data in source code: the written set of 320 cases, and that nothing else is touched."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rewrite.secrets import TAGS, find, replace, scrub_batch

WRITTEN = Path(__file__).parent.parent / "data" / "secrets.jsonl"
# Broken by a mark, so that scanners of repositories do not find what was only made up.
CASES = [json.loads(line.replace("\u27c2", "")) for line in WRITTEN.read_text(encoding="utf-8").splitlines()]


def _agrees(one: str, other: str) -> bool:
    return one == other or (min(len(one), len(other)) > 6 and (one in other or other in one))


def test_precision_and_recall_on_the_written_set():
    """170 cases with secrets, 150 traps. The floors are what was reached at first sight of the set (1.00 and 0.83 after it was looked at)."""
    hits = false = missed = 0
    for case in CASES:
        said = {case["text"][s.start : s.end] for s in find(case["text"])}
        true = {s["value"] for s in case["spans"]}
        hits += sum(any(_agrees(t, s) for s in said) for t in true)
        missed += sum(not any(_agrees(t, s) for s in said) for t in true)
        false += sum(not any(_agrees(t, s) for t in true) for s in said)
    assert len(CASES) == 320
    assert hits / (hits + false) >= 0.95
    assert hits / (hits + missed) >= 0.80


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("请发邮件至zhang.san@163.com联系", "请发邮件至<EMAIL>联系"),
        ("token = 'ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6'", "token = '<KEY>'"),
        ("db = postgres://app:S3cr3t!pw@db.prod.io/x", "db = postgres://app:<PASSWORD>@db.prod.io/x"),
        ("host 93.184.216.34 port", "host <IP_ADDRESS> port"),
        ("-----BEGIN RSA PRIVATE KEY-----\n" + ("MIIEpAIBAAKCAQEA" * 4 + "\n") * 3 + "-----END RSA PRIVATE KEY-----\n", "<KEY>\n"),
    ],
)
def test_what_is_replaced(text, expected):
    assert replace(text, find(text)) == expected


@pytest.mark.parametrize(
    "address",
    [
        "maria@gmail.com",
        "joshua@gmail.com",
        "max@web.de",
        "bob_team@gmail.com",
        "zhang.san@vip.163.com",
        "andrea@uni-bonn.de",
        "j.dev@posteo.net",
        "mary-ann@qq.com",
    ],
)
def test_ordinary_names_are_people(address):
    assert replace(f"by <{address}>", find(f"by <{address}>")) == "by <<EMAIL>>"
    assert [s.kind for s in find(f"联系{address}：电话")] == ["EMAIL"]


@pytest.mark.parametrize(
    "text",
    [
        "", "git@github.com:org/repo.git", "password = os.environ['DB_PASSWORD']", "version 1.2.3.4", "第1.2.3.4节", "10.0.0.1 192.168.1.1 8.8.8.8 127.0.0.1", "user@example.com",
        "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'", "AKIAIOSFODNN7EXAMPLE", "api_key = 'YOUR_API_KEY_HERE_1234'", "@types/node@18.0.0", "icon@2x.png",
        "2001:db8::1", "10:20:30 am", "static const char *b = \"-----BEGIN RSA PRIVATE KEY-----\";\nchar *e = \"-----END RSA PRIVATE KEY-----\";",
    ],
)  # fmt: skip
def test_what_is_left_alone(text):
    assert find(text) == []


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=200), max_size=5))
def test_a_batch_is_its_texts_and_only_spans_change(texts):
    found, counts = scrub_batch(pa.array(texts, pa.string()))
    assert found.to_pylist() == [None if t is None else replace(t, find(t)) for t in texts]
    assert {kind: int(n.sum()) for kind, n in counts.items()} == {k: sum(s.kind == k for t in texts if t for s in find(t)) for k in TAGS}


@given(st.integers(0, len(CASES) - 1), st.integers(0, len(CASES) - 1))
def test_a_line_is_judged_alone(a, b):
    """Texts one after another hold the spans of each, moved; a batch cut anywhere gives the same."""
    first, second = CASES[a]["text"], CASES[b]["text"]
    if "PRIVATE KEY" in first + second:
        return
    both = find(first + "\n" + second)
    moved = [(s.start + len(first) + 1, s.end + len(first) + 1, s.kind) for s in find(second)]
    assert [(s.start, s.end, s.kind) for s in both] == [(s.start, s.end, s.kind) for s in find(first)] + moved


def test_the_first_look_at_lines_loses_nothing():
    """RE2 says which lines are read at all: without it the same is found."""
    from pipeline.rewrite import secrets

    more = [
        "password = 'Xkq^Rtz?Wm'",
        "服务器地址是93.184.216.34，",
        "mail a.b@vip.163.com",
        "export DB_PASSWORD=Tr0ub4dor&3x",
        "key: 8f14e45fceea167a5a36dedd4bea2543",
    ]
    for line in (line for case in CASES for line in [*case["text"].split("\n"), *more]):
        every = secrets._apart([span for _, look in secrets._LOOKS for span in look(line)])
        assert secrets.find(line) == every or "PRIVATE KEY" in line, line
