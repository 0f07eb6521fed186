"""Edges -> connected components. Pure; 20 bytes an edge and a few seconds for ten million of them."""

import numpy as np
from numba import njit


def components(edges_a: np.ndarray, edges_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of some edges, sorted, and for each the least node of its component. Both (nodes,) uint64.

    Nodes are any uint64 (document addresses). The labels do not depend on the order or the direction of the edges, nor on edges given twice.
    """
    a, b = np.asarray(edges_a, np.uint64), np.asarray(edges_b, np.uint64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"edges are two columns of one length, not {a.shape} and {b.shape}")
    nodes, inverse = np.unique(np.concatenate([a, b]), return_inverse=True)
    parents = np.arange(len(nodes), dtype=np.int64)
    _union(inverse[: len(a)], inverse[len(a) :], parents)
    return nodes, nodes[parents]


@njit(cache=True, nogil=True)
def _union(a: np.ndarray, b: np.ndarray, parents: np.ndarray) -> None:
    """Union-find with path halving; the lesser root stays a root, so a component's root is its least node."""
    for i in range(len(a)):
        x, y = a[i], b[i]
        while parents[x] != x:
            parents[x] = parents[parents[x]]
            x = parents[x]
        while parents[y] != y:
            parents[y] = parents[parents[y]]
            y = parents[y]
        if x < y:
            parents[y] = x
        else:
            parents[x] = y
    for i in range(len(parents)):  # a parent is never greater than its child, so one pass upwards flattens the trees
        parents[i] = parents[parents[i]]
