"""Components of a graph, against a walk over sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.clusters import components

node = st.one_of(st.integers(0, 12), st.integers(2**64 - 6, 2**64 - 1))


def slow(edges: list[tuple[int, int]]) -> dict[int, int]:
    groups: dict[int, set[int]] = {}
    for a, b in edges:
        merged = groups.get(a, {a}) | groups.get(b, {b})
        for n in merged:
            groups[n] = merged
    return {n: min(group) for n, group in groups.items()}


@settings(deadline=None)
@given(st.lists(st.tuples(node, node), max_size=30))
def test_labels_are_the_least_node_of_each_component(edges: list[tuple[int, int]]) -> None:
    a, b = (np.array([e[i] for e in edges], np.uint64) for i in (0, 1))
    nodes, labels = components(a, b)
    assert dict(zip(nodes.tolist(), labels.tolist(), strict=True)) == slow(edges)
    assert nodes.tolist() == sorted(nodes.tolist())


def test_a_long_chain_is_one_component_whatever_the_order_of_its_edges() -> None:
    n = 50_000
    order = np.random.default_rng(3).permutation(n)
    a, b = np.arange(n, dtype=np.uint64)[order], np.arange(1, n + 1, dtype=np.uint64)[order]
    nodes, labels = components(b, a)
    assert len(nodes) == n + 1
    assert not labels.any()
