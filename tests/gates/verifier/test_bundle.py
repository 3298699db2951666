"""Bundles: what is exported verifies with no database; whatever is changed in the file is found or refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from evalharness.database import open_database
from gates.registry import Checkpoint, Registry
from gates.signing.checkpoints import open_checkpoint, sign_checkpoint
from gates.signing.keys import SigningKey
from gates.signing.predicates import LogState, PublicKey
from gates.verifier import bundle_files
from gates.verifier.bundle import BundleVerification, verify_bundle
from golden_sets.digests import Digest, canonical_json, digest_bytes
from golden_sets.errors import InfrastructureError, InputError
from tests.support.forger import Forger
from tests.support.measured_releases import MeasuredRelease, MeasuredReleases, right, wrong
from tests.support.recorded_releases import Maker

Files = dict[str, bytes]


@dataclass(frozen=True)
class Exported:
    """A line of three versions, and a bundle of the third."""

    database: Path
    path: Path
    owner: PublicKey
    releases: tuple[MeasuredRelease, ...]
    checkpoint: Checkpoint
    """The log as it was when the bundle was made."""
    later: Checkpoint
    """The log as it was afterwards."""

    @property
    def third(self) -> MeasuredRelease:
        return self.releases[1]

    def registry(self, where: Path) -> Registry:
        """A copy of the registry."""
        copy = shutil.copy(self.database, where / "copy.db")
        return Registry(open_database(f"sqlite:///{copy}"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    database = folder / "registry.db"
    engine = open_database(f"sqlite:///{database}")
    line = MeasuredReleases(Registry(engine))
    first = line.seed()
    line.people.pin(line.policy)
    second = line.promoted("v2", first)
    third = line.promoted("v3", second.candidate, lambda arm, prompt: 0.0 if prompt == "easy-1" else right(arm, prompt))
    bad = line.release("v4", third.candidate, wrong)
    checkpoint = line.registry.checkpoint()
    line.registry.export(third.digest, folder / "v3.zip", key=line.people.keys["olga"])
    line.people.revoke("max")
    later = line.registry.checkpoint()
    owner = line.people.keys["olga"].public
    engine.dispose()
    return Exported(database, folder / "v3.zip", owner, (second, third, bad), checkpoint, later)


def unpacked(path: Path) -> Files:
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def packed(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    return path


def written(folder: Path) -> set[str]:
    """What lies in a folder beside the copy of the database."""
    return {path.name for path in folder.iterdir() if not path.name.startswith("copy.db")}


def problems(found: BundleVerification) -> str:
    return "\n".join(found.log.problems)


# -- what is whole -------------------------------------------------------------------------------------------


def test_a_bundle_verifies_with_no_database(exported: Exported) -> None:
    found = verify_bundle(exported.path, trust=[exported.owner])
    assert found.log.problems == ()
    assert (found.log.trusted, found.derived, found.log.verdicts) == (True, True, 1)
    assert found.decision is not None
    assert found.to_json()["verdict"] == "promote"
    told = "\n".join(found.told)
    assert "pinned by olga, event" in told
    assert "approved by sara as safety-reviewer" in told
    assert "at the end of this log flagship/production serves it" in told
    assert "derived again from the per-prompt outcomes, the same" in told


def test_the_same_log_makes_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    registry = exported.registry(tmp_path)
    for name in ("a", "b"):
        registry.export(exported.third.digest, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert written(tmp_path) == {"a", "b"}


def test_a_first_version_is_vouched_for_by_a_checkpoint_alone(exported: Exported, tmp_path: Path) -> None:
    """Whoever has the log has the acts of its first key. Without the pin a promotion needs no signature at all."""
    registry = exported.registry(tmp_path)
    registry.export(registry.resolve("v1"), tmp_path / "v1.zip")
    about = json.loads(unpacked(tmp_path / "v1.zip")["bundle.json"])
    refused = f"no signature stands behind the promotion at event {about['move']}"
    assert verify_bundle(tmp_path / "v1.zip").ok
    found = verify_bundle(tmp_path / "v1.zip", trust=[exported.owner])
    assert (found.ok, refused in problems(found)) == (False, True)
    assert any("no checkpoint covers this log" in notice for notice in found.log.notices)
    assert verify_bundle(tmp_path / "v1.zip", trust=[exported.owner], kept=[exported.later]).ok


def test_a_log_that_begins_like_the_real_one_and_was_never_pinned(exported: Exported, tmp_path: Path) -> None:
    """The forger holds no key: they keep the beginning, leave out the pin and seed a version of their own."""
    registry = exported.registry(tmp_path)
    engine = open_database(f"sqlite:///{tmp_path / 'copy.db'}")
    beginning = [event for event in registry.log() if event.type == "key_enrolled"]
    forger = Forger(engine)
    forger.rewrite(beginning)
    evil = Maker().seed(registry, "evil")
    registry.export(evil.digest, tmp_path / "evil.zip")
    found = verify_bundle(tmp_path / "evil.zip", trust=[exported.owner])
    assert "had no pinned policy then, and no checkpoint covers it" in problems(found)
    forged = sign_checkpoint(registry.log_state(), [SigningKey.generate()])
    with_checkpoint = packed(tmp_path / "f.zip", {**unpacked(tmp_path / "evil.zip"), "checkpoint.json": forged})
    assert not verify_bundle(with_checkpoint, trust=[exported.owner]).ok
    engine.dispose()


def test_a_version_that_was_refused_can_be_shown_too(exported: Exported, tmp_path: Path) -> None:
    registry = exported.registry(tmp_path)
    registry.export(exported.releases[2].digest, tmp_path / "v4.zip")
    found = verify_bundle(tmp_path / "v4.zip")
    assert found.log.problems == ()
    assert found.derived
    assert found.to_json()["verdict"] == "block"
    assert "it was never promoted to flagship/production" in found.told


def test_a_first_version_has_no_verdict(exported: Exported, tmp_path: Path) -> None:
    registry = exported.registry(tmp_path)
    about = registry.export(registry.resolve("v1"), tmp_path / "v1.zip")
    assert about.decision is None
    found = verify_bundle(tmp_path / "v1.zip")
    assert (found.ok, found.decision, found.derived) == (True, None, False)


def test_what_happened_after_the_promotion_is_told(exported: Exported, tmp_path: Path) -> None:
    registry = exported.registry(tmp_path)
    before = exported.releases[0].digest
    registry.rollback("flagship", "production", before, expected_generation=3, reason="too slow")
    registry.export(exported.third.digest, tmp_path / "v3.zip")
    found = verify_bundle(tmp_path / "v3.zip")
    assert found.ok
    told = "\n".join(found.told)
    assert "serves 'v2' (rolled back to it at event" in told
    assert "too slow" in told
    assert "approved by max as ml-owner" in told
    assert "(their key was revoked later)" in told


def test_nothing_is_exported_about_whom_nothing_was_decided(exported: Exported, tmp_path: Path) -> None:
    registry = exported.registry(tmp_path)
    from tests.support.recorded_releases import Maker

    digest = registry.register_candidate(Maker().candidate("new"))
    with pytest.raises(InputError, match="nothing was decided about 'new'"):
        registry.export(digest, tmp_path / "new.zip")
    with pytest.raises(InputError, match="is not registered"):
        registry.export(digest_bytes(b"nobody"), tmp_path / "nobody.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_a_bundle_is_there_whole_or_not_at_all(exported: Exported, tmp_path: Path) -> None:
    registry = exported.registry(tmp_path)
    engine = create_engine(f"sqlite:///{tmp_path / 'copy.db'}")
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER blobs_no_delete"))
        outcomes = exported.third.measured.evidence.outcomes
        connection.execute(text("DELETE FROM blobs WHERE digest = :d"), {"d": outcomes})
    engine.dispose()
    with pytest.raises(InputError, match="holds nothing with digest"):
        registry.export(exported.third.digest, tmp_path / "v3.zip")
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(InfrastructureError, match="cannot be written"):
        registry.export(exported.releases[0].digest, blocked / "v2.zip")
    assert written(tmp_path) == {"file"}


# -- what was changed ----------------------------------------------------------------------------------------


def test_every_file_of_a_bundle_counts(exported: Exported, tmp_path: Path) -> None:
    """One byte anywhere, or one file less: found, or refused."""
    files = unpacked(exported.path)
    assert len(files) > 15
    for name, data in files.items():
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        for changed in ({**files, name: flipped}, {key: files[key] for key in files if key != name}):
            if name == "checkpoint.json" and name not in changed:
                continue  # a bundle need not have one: the next test
            try:
                found = verify_bundle(packed(tmp_path / "changed.zip", changed))
            except InputError:
                continue
            assert not found.ok, name


def test_a_bundle_without_its_checkpoint_says_so(exported: Exported, tmp_path: Path) -> None:
    files = {name: data for name, data in unpacked(exported.path).items() if name != "checkpoint.json"}
    found = verify_bundle(packed(tmp_path / "changed.zip", files))
    assert found.ok
    assert any("no signed checkpoint is in the bundle" in notice for notice in found.log.notices)


def lines(files: Files) -> list[bytes]:
    return files["events.jsonl"].splitlines(keepends=True)


def said(files: Files, **fields: Any) -> Files:
    about = {**json.loads(files["bundle.json"]), **fields}
    return {**files, "bundle.json": canonical_json(about)}


def refitted(files: Files, events: list[bytes]) -> Files:
    """Other events, with size and root told as they are then and no checkpoint."""
    from gates.verifier.merkle import leaf_hash, tree_root

    root = "sha256:" + tree_root([leaf_hash(one[:-1]) for one in events]).hex()
    kept = {name: data for name, data in files.items() if name != "checkpoint.json"}
    return said({**kept, "events.jsonl": b"".join(events)}, size=len(events), root=root)


CHANGES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "another version": (lambda f: said(f, subject=digest_bytes(b"x")), "is not the newest of the version"),
    "another name": (lambda f: said(f, name="v9"), "the version was never named 'v9'"),
    "another stage": (lambda f: said(f, stage="canary"), "is not the newest of the version to that stage"),
    "another decision": (lambda f: said(f, decision=digest_bytes(b"x")), "rests on another decision"),
    "no decision": (lambda f: said(f, decision=None), "rests on another decision"),
    "never promoted": (lambda f: said(f, move=None), "is not the newest of the version to that stage"),
    "another promotion": (lambda f: said(f, move=7), "is not the newest of the version to that stage"),
    "another root": (lambda f: said(f, root=digest_bytes(b"x")), "the bundle says"),
    "another size": (lambda f: said(f, size=3), "the bundle says 3"),
    "contents nobody names": (lambda f: {**f, "blobs/" + "0" * 64: b"x"}, "holds contents that no event names"),
    "events in another order": (
        lambda f: refitted(f, [*lines(f)[:2], lines(f)[3], lines(f)[2], *lines(f)[4:]]),
        "event 2 is missing: the next one is 3",
    ),
    "no revocations, no end": (lambda f: refitted(f, lines(f)[:-1]), ""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_bundle_says_is_held_against_its_log(exported: Exported, tmp_path: Path, change: str) -> None:
    make, finding = CHANGES[change]
    path = packed(tmp_path / "changed.zip", make(unpacked(exported.path)))
    found = verify_bundle(path, kept=[exported.checkpoint])
    assert not found.ok
    assert finding in problems(found)


def test_the_end_of_the_log_may_be_cut_off_where_nobody_kept_a_checkpoint(exported: Exported, tmp_path: Path) -> None:
    files = unpacked(exported.path)
    path = packed(tmp_path / "cut.zip", refitted(files, lines(files)[:-1]))
    assert verify_bundle(path).ok
    assert "its end was removed" in problems(verify_bundle(path, kept=[exported.checkpoint]))


def test_a_bundle_of_an_older_state_is_seen_by_whoever_has_a_newer_checkpoint(exported: Exported) -> None:
    """An approver's key was revoked since: the old bundle does not tell, the newer checkpoint shows that it is old."""
    found = verify_bundle(exported.path, kept=[exported.later])
    assert "its end was removed, or this is an older copy" in problems(found)
    assert verify_bundle(exported.path, kept=[exported.checkpoint]).ok


def test_a_checkpoint_must_be_of_this_log_and_signed_by_its_people(exported: Exported, tmp_path: Path) -> None:
    files, mallory = unpacked(exported.path), SigningKey.generate()
    state = open_checkpoint(files["checkpoint.json"]).state

    def with_checkpoint(state: LogState, *keys: SigningKey) -> BundleVerification:
        changed = {**files, "checkpoint.json": sign_checkpoint(state, keys)}
        return verify_bundle(packed(tmp_path / "changed.zip", changed))

    assert "is signed by no key that counted then" in problems(with_checkpoint(state, mallory))
    assert "is signed by no key that counted then" in problems(with_checkpoint(state))
    longer = state.model_copy(update={"size": state.size + 1})
    assert "its end was removed" in problems(with_checkpoint(longer, mallory))
    shorter = state.model_copy(update={"size": state.size - 1})
    assert "the log was rewritten" in problems(with_checkpoint(shorter, mallory))


def test_a_key_that_nobody_enrolled_vouches_for_nothing(exported: Exported) -> None:
    found = verify_bundle(exported.path, trust=[SigningKey.generate().public])
    assert found.log.trusted is False
    assert "no key that you trust vouches for this log" in problems(found)


def test_contents_of_other_promotions_on_the_channel_are_needed_too(exported: Exported, tmp_path: Path) -> None:
    files = unpacked(exported.path)
    name = "blobs/" + exported.releases[0].decision.digest.removeprefix("sha256:")
    del files[name]
    found = verify_bundle(packed(tmp_path / "changed.zip", files))
    assert "cannot be judged: the contents" in problems(found)


def test_forged_outcomes_under_the_digest_of_the_real_ones(exported: Exported, tmp_path: Path) -> None:
    files = unpacked(exported.path)
    name = "blobs/" + exported.third.measured.evidence.outcomes.removeprefix("sha256:")
    files[name] = exported.releases[0].measured.outcomes.to_parquet()
    found = verify_bundle(packed(tmp_path / "changed.zip", files))
    assert "were changed" in problems(found)
    assert not found.derived
    assert any("not borne out" in told for told in found.told)


# -- what is no bundle ---------------------------------------------------------------------------------------


NOT_BUNDLES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a path upward": (lambda f: {**f, "../evil": b""}, "it holds '../evil'"),
    "an absolute path": (lambda f: {**f, "/etc/passwd": b""}, "it holds '/etc/passwd'"),
    "a path upward in blobs": (lambda f: {**f, "blobs/../../evil": b""}, "it holds 'blobs/../../evil'"),
    "a folder": (lambda f: {**f, "blobs/": b""}, "it holds 'blobs/'"),
    "an unknown file": (lambda f: {**f, "readme.txt": b""}, "it holds 'readme.txt'"),
    "a digest in capitals": (lambda f: {**f, "blobs/" + "A" * 64: b""}, "it holds 'blobs/AAA"),
    "no events": (lambda f: {"bundle.json": f["bundle.json"]}, "events.jsonl is not"),
    "another format": (lambda f: said(f, format="relgate-bundle-v2"), "is no bundle of format"),
    "no description": (lambda f: {**f, "bundle.json": b"[]"}, "does not say what the bundle is about"),
    "more than it may say": (lambda f: said(f, more=1), "does not say what the bundle is about"),
    "a description in another form": (
        lambda f: {**f, "bundle.json": f["bundle.json"] + b"\n"},
        "is no bundle of format",
    ),
    "half an event": (lambda f: {**f, "events.jsonl": f["events.jsonl"][:-5]}, "ends within an event"),
    "an event in another form": (
        lambda f: {**f, "events.jsonl": f["events.jsonl"].replace(b'"actor":', b'"actor": ', 1)},
        "events.jsonl:1: is no event in canonical form",
    ),
    "a key twice": (
        lambda f: {**f, "events.jsonl": f["events.jsonl"].replace(b'{"actor":', b'{"actor":"x","actor":', 1)},
        "events.jsonl:1: is no event in canonical form",
    ),
    "no JSON": (lambda f: {**f, "events.jsonl": b"[" * 100_000 + b"\n"}, "events.jsonl:1: is no event"),
    "no checkpoint": (lambda f: {**f, "checkpoint.json": b"{}"}, "checkpoint.json: is no"),
}


@pytest.mark.parametrize("change", NOT_BUNDLES)
def test_what_is_no_bundle_is_refused(exported: Exported, tmp_path: Path, change: str) -> None:
    make, message = NOT_BUNDLES[change]
    path = packed(tmp_path / "changed.zip", make(unpacked(exported.path)))
    with pytest.raises(InputError) as refused:
        verify_bundle(path)
    assert message in str(refused.value)
    assert [p.name for p in tmp_path.iterdir()] == ["changed.zip"]


def test_files_that_are_no_zip_are_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        verify_bundle(tmp_path / "nowhere.zip")
    with pytest.raises(InputError, match="cannot be read"):
        verify_bundle(tmp_path)
    whole = exported.path.read_bytes()
    path = tmp_path / "some.zip"
    for data in (b"", b"PK", json.dumps({}).encode(), whole[: len(whole) // 2], whole[len(whole) // 2 :]):
        path.write_bytes(data)
        with pytest.raises(InputError):
            verify_bundle(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(exported: Exported, tmp_path: Path) -> None:
    path = packed(tmp_path / "twice.zip", unpacked(exported.path))
    with zipfile.ZipFile(path, "a") as bundle:
        bundle.writestr("events.jsonl", b"")
    with pytest.raises(InputError, match="a file is there twice"):
        verify_bundle(path)


def test_what_unpacks_to_more_than_a_bundle_may_hold_is_refused_unread(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = unpacked(exported.path)
    bomb = packed(tmp_path / "bomb.zip", {**files, "blobs/" + "0" * 64: bytes(2**22)})
    assert bomb.stat().st_size < 2**18
    monkeypatch.setattr(bundle_files, "MOST_BYTES_OF_ONE", 2**21)
    with pytest.raises(InputError, match="larger than 2097152 bytes"):
        verify_bundle(bomb)
    monkeypatch.setattr(bundle_files, "MOST_BYTES", 2**20)
    with pytest.raises(InputError, match="is larger than a bundle may be"):
        verify_bundle(bomb)
    monkeypatch.setattr(bundle_files, "MOST_BYTES", 2**30)
    monkeypatch.setattr(bundle_files, "MOST_FILES", 3)
    with pytest.raises(InputError, match="3 files"):
        verify_bundle(exported.path)
    monkeypatch.setattr(bundle_files, "MOST_FILES", 1000)
    monkeypatch.setattr(bundle_files, "MOST_BYTES_OF_EVENT", 100)
    with pytest.raises(InputError, match="holds one that is too long"):
        verify_bundle(exported.path)


def test_a_file_that_unpacks_to_more_than_it_says_is_not_read_on(exported: Exported, tmp_path: Path) -> None:
    """The size in the directory is what is checked against the bounds: more than that never comes out."""
    path = packed(tmp_path / "lying.zip", {**unpacked(exported.path), "blobs/" + "0" * 64: bytes(2**22)})
    data = path.read_bytes()
    lied = data.replace((2**22).to_bytes(4, "little"), (16).to_bytes(4, "little"))
    assert lied != data
    path.write_bytes(lied)
    found = verify_bundle(path)
    assert "is damaged at blobs/000" in problems(found)


def digests_of(files: Files) -> set[Digest]:
    return {"sha256:" + name.removeprefix("blobs/") for name in files if name.startswith("blobs/")}


def test_a_bundle_holds_what_the_release_rests_on_and_no_more(exported: Exported) -> None:
    held, third, second = digests_of(unpacked(exported.path)), exported.releases[1], exported.releases[0]
    assert {third.digest, third.decision.digest, third.measured.evidence.outcomes} <= held
    assert {second.decision.digest, second.measured.evidence.digest} <= held
    assert second.measured.evidence.outcomes not in held
    assert exported.releases[2].decision.digest not in held
