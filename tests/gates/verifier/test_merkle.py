"""Merkle trees against the reference vectors of Certificate Transparency, and against the RFC's definition."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.verifier import merkle

# The reference leaves, roots and proofs of github.com/transparency-dev/merkle (testonly/reference data, Apache-2.0),
# first published with google/certificate-transparency's merkle_tree_test.cc.
DATA = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
LEAVES = [merkle.leaf_hash(bytes.fromhex(text)) for text in DATA]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION = {
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}
CONSISTENCY = {
    (2, 8): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}


def recursive_root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + recursive_root(leaves[:k]) + recursive_root(leaves[k:])).digest()


def proof(leaves: Sequence[bytes], spans: list[merkle.Span]) -> list[bytes]:
    return [recursive_root(leaves[start:end]) for start, end in spans]


def tree(size: int) -> list[bytes]:
    return [merkle.leaf_hash(i.to_bytes(4, "big")) for i in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_roots_match_the_reference(size: int) -> None:
    assert merkle.tree_root(LEAVES[:size]).hex() == ROOTS[size]


def test_inclusion_proofs_match_the_reference() -> None:
    for (index, size), expected in INCLUSION.items():
        path = proof(LEAVES, merkle.inclusion_spans(index, size))
        assert [h.hex() for h in path] == list(expected)
        assert merkle.verify_inclusion(LEAVES[index], index, size, path, bytes.fromhex(ROOTS[size]))


def test_consistency_proofs_match_the_reference() -> None:
    for (old, new), expected in CONSISTENCY.items():
        path = proof(LEAVES, merkle.consistency_spans(old, new))
        assert [h.hex() for h in path] == list(expected)
        assert merkle.verify_consistency(old, bytes.fromhex(ROOTS[old]), new, bytes.fromhex(ROOTS[new]), path)


@given(st.integers(0, 300))
def test_incremental_root_is_the_recursive_one(size: int) -> None:
    leaves = tree(size)
    assert merkle.tree_root(leaves) == recursive_root(leaves)


@given(st.integers(1, 300))
def test_completed_nodes_are_the_roots_of_their_spans(size: int) -> None:
    leaves = tree(size)
    frontier: tuple[bytes, ...] = ()
    nodes = {(0, i): leaf for i, leaf in enumerate(leaves)}
    for index, leaf in enumerate(leaves):
        frontier, completed = merkle.append_leaf(index, frontier, leaf)
        nodes.update(completed)
    for (level, index), value in nodes.items():
        assert value == recursive_root(leaves[index << level : (index + 1) << level])
    assert [nodes[c] for c in merkle.complete_subtrees((0, size))] == list(frontier)


@given(st.data())
def test_inclusion_holds_for_the_leaf_and_for_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    leaves = tree(size)
    root = recursive_root(leaves)
    spans = merkle.inclusion_spans(index, size)
    path = proof(leaves, spans)
    for span, expected in zip(spans, path, strict=True):
        subtrees = [recursive_root(leaves[i << v : (i + 1) << v]) for v, i in merkle.complete_subtrees(span)]
        assert merkle.frontier_root(subtrees) == expected
    assert merkle.verify_inclusion(leaves[index], index, size, path, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index)) if size > 1 else size
    assert not merkle.verify_inclusion(leaves[index], other, size, path, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, [*path, root], root)
    assert not merkle.verify_inclusion(leaves[index], index, size, path, merkle.leaf_hash(b"root"))
    if path:
        cut = data.draw(st.integers(0, len(path) - 1))
        assert not merkle.verify_inclusion(leaves[index], index, size, path[:cut] + path[cut + 1 :], root)
        flipped = [*path[:cut], bytes([path[cut][0] ^ 1]) + path[cut][1:], *path[cut + 1 :]]
        assert not merkle.verify_inclusion(leaves[index], index, size, flipped, root)


@given(st.data())
def test_consistency_holds_for_a_prefix_and_for_nothing_else(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 200))
    old = data.draw(st.integers(0, new))
    leaves = tree(new)
    old_root, new_root = recursive_root(leaves[:old]), recursive_root(leaves)
    path = proof(leaves, merkle.consistency_spans(old, new))
    assert merkle.verify_consistency(old, old_root, new, new_root, path)
    assert not merkle.verify_consistency(old, old_root, new, new_root, [*path, new_root])
    assert not merkle.verify_consistency(old, merkle.leaf_hash(b"x"), new, new_root, path)
    if 0 < old < new:
        assert not merkle.verify_consistency(old, old_root, new, merkle.leaf_hash(b"x"), path)
        rewritten = leaves.copy()
        rewritten[data.draw(st.integers(0, old - 1))] = merkle.leaf_hash(b"rewritten")
        forged = proof(rewritten, merkle.consistency_spans(old, new))
        assert not merkle.verify_consistency(old, old_root, new, recursive_root(rewritten), forged)


def test_impossible_proofs_are_refused() -> None:
    with pytest.raises(ValueError, match="no leaf 3 in a tree of 3"):
        merkle.inclusion_spans(3, 3)
    with pytest.raises(ValueError, match="cannot have grown"):
        merkle.consistency_spans(4, 3)
    with pytest.raises(ValueError, match="2 frontier nodes"):
        merkle.append_leaf(3, (), merkle.leaf_hash(b""))
    assert not merkle.verify_inclusion(LEAVES[0], 1, 1, [], LEAVES[0])
    assert not merkle.verify_consistency(3, ROOTS[3].encode(), 2, ROOTS[2].encode(), [])
