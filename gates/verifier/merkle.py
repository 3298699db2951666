"""Merkle trees as RFC 6962 defines them (section 2.1): pure functions on bytes, no storage.

A tree over n leaves splits at the largest power of two below n. Every complete subtree has a coordinate
``(level, index)`` and covers the leaves ``[index * 2**level, (index + 1) * 2**level)``; these never change once
the log has grown past them, which is why they can be stored and proofs read back in O(log n).

Proofs are verified by the algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

Coordinate = tuple[int, int]
"""``(level, index)`` of a complete subtree; level 0 are the leaves."""
Span = tuple[int, int]
"""Leaves ``[start, end)``; ``start`` is a multiple of the smallest power of two that is at least the length."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf: SHA-256 over 0x00 and the data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256 over 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# -- growing a tree ------------------------------------------------------------------------------------------


def append_leaf(
    size: int, frontier: Sequence[bytes], leaf: bytes
) -> tuple[tuple[bytes, ...], list[tuple[Coordinate, bytes]]]:
    """Add one leaf to a tree of ``size`` leaves, in O(log size).

    Args:
        size: leaves so far.
        frontier: hashes of ``complete_subtrees((0, size))``, left to right.
        leaf: hash of the new leaf.

    Returns:
        The new frontier, and the inner nodes that became complete (level 1 and up).

    Raises:
        ValueError: the frontier does not belong to a tree of that size.
    """
    if len(frontier) != size.bit_count():
        raise ValueError(f"a tree of {size} leaves has {size.bit_count()} frontier nodes, not {len(frontier)}")
    nodes = list(frontier)
    completed: list[tuple[Coordinate, bytes]] = []
    level, index, current = 0, size, leaf
    while index & 1:
        current = node_hash(nodes.pop(), current)
        level, index = level + 1, index >> 1
        completed.append(((level, index), current))
    return (*nodes, current), completed


def frontier_root(frontier: Sequence[bytes]) -> bytes:
    """Root of a tree from the hashes of its complete subtrees, left to right."""
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = node_hash(left, root)
    return root


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Root of a tree from all its leaf hashes."""
    frontier: tuple[bytes, ...] = ()
    for size, leaf in enumerate(leaves):
        frontier, _ = append_leaf(size, frontier, leaf)
    return frontier_root(frontier)


# -- proofs --------------------------------------------------------------------------------------------------


def complete_subtrees(span: Span) -> list[Coordinate]:
    """The complete subtrees that make up a span, left to right; their folded hashes are the span's root."""
    start, end = span
    subtrees = []
    while start < end:
        level = (end - start).bit_length() - 1
        subtrees.append((level, start >> level))
        start += 1 << level
    return subtrees


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The spans whose roots prove that leaf ``index`` is in the tree of ``size`` leaves (RFC 6962, 2.1.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size} leaves")
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The spans whose roots prove that the first ``old`` of ``new`` leaves never changed (RFC 6962, 2.1.2).

    Raises:
        ValueError: the older tree is larger.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves cannot have grown from one of {old}")
    if old in (0, new):
        return []
    spans: list[Span] = []
    start, end, whole = 0, new, True
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start, whole = middle, False
    if not whole:
        spans.append((start, end))
    return spans[::-1]


def _split(length: int) -> int:
    """The largest power of two below ``length`` (which is at least 2)."""
    return 1 << ((length - 1).bit_length() - 1)


# -- verification --------------------------------------------------------------------------------------------


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """True if the proof shows that ``leaf`` is leaf ``index`` of the tree with that size and root."""
    if not 0 <= index < size:
        return False
    position, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and current == root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """True if the proof shows that the tree of ``old`` leaves is a prefix of the tree of ``new`` leaves."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old & (old - 1) == 0:  # an old tree that is one complete subtree is its own first step
        path.insert(0, old_root)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_current = new_current = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_current = node_hash(sibling, old_current)
            new_current = node_hash(sibling, new_current)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_current = node_hash(new_current, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old_current == old_root and new_current == new_root
