"""Signed checkpoints and receipts: who may sign them, what is kept, and what they show with no database."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gates.registry import Checkpoint, Registry
from gates.signing.checkpoints import SignedCheckpoint, open_checkpoint, sign_checkpoint
from gates.signing.envelopes import add_signature, seal
from gates.signing.keys import SigningKey
from gates.signing.predicates import CHECKPOINT_TYPE, LogState
from gates.verifier.checkpoints import parse_checkpoint, read_checkpoint
from gates.verifier.receipt import Receipt, check_receipt, read_receipt
from golden_sets.digests import digest_bytes
from golden_sets.documents import json_text
from golden_sets.errors import InputError
from tests.support.acts import approval, revocation
from tests.support.signed_registry import People


@pytest.fixture
def people(registry: Registry) -> People:
    """``olga`` holds the root key; ``sam`` and others have keys too."""
    return People(registry)


def test_a_checkpoint_is_signed_kept_and_read_again(registry: Registry, people: People, tmp_path: Path) -> None:
    signed = registry.sign_checkpoint([people.keys["olga"]])
    assert (signed.size, signed.root) == (registry.checkpoint().size, registry.checkpoint().root)
    assert signed.state.log == people.log
    assert signed.signed_by(people.keys["olga"].public)
    assert not signed.signed_by(people.keys["sam"].public)
    (tmp_path / "checkpoint").write_bytes(signed.envelope + b"\n")
    assert read_checkpoint(tmp_path / "checkpoint") == signed
    assert registry.signed_checkpoints() == [signed]
    assert registry.verify(kept=[signed], trust=[people.keys["olga"].public]).problems == ()


def test_an_unsigned_checkpoint_is_still_read(registry: Registry, people: People, tmp_path: Path) -> None:
    plain = registry.checkpoint()
    (tmp_path / "checkpoint.json").write_text(json_text(plain.to_json()))
    assert read_checkpoint(tmp_path / "checkpoint.json") == plain


def test_checkpoints_are_listed_longest_log_first(registry: Registry, people: People) -> None:
    early = registry.sign_checkpoint([people.keys["olga"]])
    people.enrol("zoe")
    late = registry.sign_checkpoint([people.keys["olga"], people.keys["zoe"]])
    assert registry.signed_checkpoints() == [late, early]
    assert set(late.key_ids) == {people.keys[p].public.id for p in ("olga", "zoe")}


def test_only_enrolled_keys_that_sign_sign_checkpoints(registry: Registry, people: People) -> None:
    for keys in ([], [SigningKey.generate()], [people.keys["olga"], SigningKey.generate()]):
        with pytest.raises(InputError, match="signed with enrolled keys"):
            registry.sign_checkpoint(keys)
    people.revoke("sam")
    with pytest.raises(InputError, match="signed with enrolled keys"):
        registry.sign_checkpoint([people.keys["sam"]])
    assert registry.signed_checkpoints() == []


def test_an_empty_log_has_nobody_who_could_sign(registry: Registry) -> None:
    with pytest.raises(InputError, match="signed with enrolled keys"):
        registry.sign_checkpoint([SigningKey.generate()])


def test_a_checkpoint_that_was_signed_elsewhere_is_kept_where_it_fits(registry: Registry, people: People) -> None:
    key, state = people.keys["olga"], registry.log_state()
    people.enrol("zoe")
    envelope = add_signature(sign_checkpoint(state, [key]), people.keys["sam"])
    kept = registry.record_checkpoint(envelope)
    assert registry.record_checkpoint(envelope) == kept
    assert registry.signed_checkpoints() == [kept]

    def refused(match: str, **changes: object) -> None:
        with pytest.raises(InputError, match=match):
            registry.record_checkpoint(sign_checkpoint(state.model_copy(update=changes), [key]))

    refused("does not continue", root=digest_bytes(b"another"))
    refused("does not continue", size=state.size - 1)
    refused("does not continue", size=state.size + 100)
    refused("another log", log=digest_bytes(b"another"))
    assert registry.signed_checkpoints() == [kept]


def test_what_says_something_else_is_no_checkpoint(people: People) -> None:
    key, root = people.keys["olga"], digest_bytes(b"root")
    state = LogState(log=root, size=1, root=root, time="2026-01-01T00:00:00.000000Z")
    good = sign_checkpoint(state, [key])
    assert open_checkpoint(good).state == state
    bad = [
        seal(CHECKPOINT_TYPE, {**state.to_json(), "size": -1}, {"log": root}, [key]),
        seal(CHECKPOINT_TYPE, {**state.to_json(), "size": True}, {"log": root}, [key]),
        seal(CHECKPOINT_TYPE, {**state.to_json(), "size": 0}, {"log": root}, [key]),
        seal(CHECKPOINT_TYPE, {**state.to_json(), "log": None}, {"log": root}, [key]),
        seal(CHECKPOINT_TYPE, {**state.to_json(), "more": 1}, {"log": root}, [key]),
        seal(CHECKPOINT_TYPE, state.to_json(), {"log": digest_bytes(b"another")}, [key]),
        seal("urn:relgate:checkpoint/v2", state.to_json(), {"log": root}, [key]),
        good[:-1],
        b"nothing",
        b"[]",
        b'{"size": -1, "root": "", "time": ""}',
    ]
    for data in bad:
        with pytest.raises(InputError):
            parse_checkpoint(data)


def test_a_missing_checkpoint_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: the checkpoint cannot be read"):
        read_checkpoint(tmp_path / "nothing")


# -- receipts ------------------------------------------------------------------------------------------------


def through_a_file(receipt: Receipt, path: Path) -> Receipt:
    path.write_text(json_text(receipt.to_json()))
    return read_receipt(path)


def test_a_receipt_shows_every_event_to_be_in_the_log(registry: Registry, people: People, tmp_path: Path) -> None:
    olga = people.keys["olga"]
    events = registry.log()
    for position, event in enumerate(events):
        receipt = through_a_file(registry.prove(position, keys=[olga]), tmp_path / "receipt.json")
        found = check_receipt(receipt, trust=[olga.public])
        assert (found.ok, found.trusted, receipt.event) == (True, True, event)
        assert (found.problems, found.notices) == ((), ())
    assert isinstance(receipt.checkpoint, SignedCheckpoint)
    assert receipt.keys == (olga.public,)


def test_a_receipt_takes_the_newest_signed_checkpoint_and_says_where_there_is_none(
    registry: Registry, people: People
) -> None:
    plain = registry.prove(0)
    assert isinstance(plain.checkpoint, Checkpoint)
    found = check_receipt(plain)
    assert (found.ok, found.trusted) == (True, None)
    assert "not signed" in found.notices[0]
    assert check_receipt(plain, trust=[people.keys["olga"].public]).problems == (
        "no key that you trust signed the checkpoint",
    )
    signed = registry.sign_checkpoint([people.keys["sam"]])
    people.enrol("zoe")
    assert registry.prove(0).checkpoint == signed
    assert isinstance(registry.prove(signed.size).checkpoint, Checkpoint)  # an event after it
    assert "may be anybody's" in check_receipt(registry.prove(0)).notices[0]


def test_there_is_no_receipt_of_what_is_not_there(registry: Registry, people: People) -> None:
    for position in (-1, 1000):
        with pytest.raises(InputError, match="there is no event"):
            registry.prove(position)


def test_a_receipt_that_was_changed_shows_nothing(registry: Registry, people: People) -> None:
    receipt = registry.prove(1, keys=[people.keys["olga"]])
    trust = [people.keys["olga"].public]
    assert check_receipt(receipt, trust=trust).ok
    forged = SigningKey.generate()
    assert isinstance(receipt.checkpoint, SignedCheckpoint)
    other_log = receipt.checkpoint.state.model_copy(update={"log": digest_bytes(b"another")})
    wrong = {
        "is not in the log": [
            replace(receipt, event=replace(receipt.event, actor="nobody")),
            replace(receipt, event=replace(receipt.event, position=2)),
            replace(receipt, proof=receipt.proof[1:]),
            replace(receipt, proof=()),
            replace(receipt, proof=(bytes(32), *receipt.proof[1:])),
        ],
        "does not hold the keys": [replace(receipt, keys=()), replace(receipt, keys=(forged.public,))],
        "no key that you trust": [
            replace(
                receipt,
                checkpoint=open_checkpoint(sign_checkpoint(receipt.checkpoint.state, [forged])),
                keys=(forged.public,),
            )
        ],
        "nobody signed": [
            replace(receipt, checkpoint=open_checkpoint(sign_checkpoint(receipt.checkpoint.state, ())), keys=())
        ],
        "one of another log": [
            replace(
                registry.prove(0),
                checkpoint=open_checkpoint(sign_checkpoint(other_log, [people.keys["olga"]])),
            )
        ],
    }
    for text, receipts in wrong.items():
        for one in receipts:
            assert any(text in problem for problem in check_receipt(one, trust=trust).problems), text
    borrowed = receipt.keys[0].model_copy(update={"public": forged.public.public})
    found = check_receipt(replace(receipt, keys=(borrowed,)))
    assert found.problems == (f"the checkpoint is not signed by {borrowed.id[:12]}, whatever it says",)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "relgate-receipt-v2"},
        {"more": 1},
        {"proof": ["zz"]},
        {"proof": ["00"] * 65},
        {"proof": None},
        {"event": {}},
        {"event": None},
        {"keys": [{}]},
        {"checkpoint": {}},
        {"checkpoint": None},
    ],
)
def test_what_is_no_receipt_is_refused(
    registry: Registry, people: People, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps({**registry.prove(0, keys=[people.keys["olga"]]).to_json(), **change}))
    with pytest.raises(InputError, match=r"receipt\.json: (is no receipt|not a checkpoint)"):
        read_receipt(path)


def test_other_files_are_no_receipts(tmp_path: Path) -> None:
    for text in ("", "[]", "null", "{", "[" * 100_000):
        (tmp_path / "receipt").write_text(text)
        with pytest.raises(InputError, match="no receipt"):
            read_receipt(tmp_path / "receipt")
    with pytest.raises(InputError, match="cannot be read"):
        read_receipt(tmp_path / "nothing")


def test_a_nonce_serves_once_for_all_kinds_of_acts(registry: Registry, people: People) -> None:
    """Else whoever holds a key could make a log that refuses itself."""
    act = approval("sam", log=people.log)
    people.record(act)
    other = revocation(people.keys["sam"], "sam").model_copy(update={"nonce": act.nonce, "log": people.log})
    with pytest.raises(InputError, match="its nonce is used"):
        people.record(other)
    assert registry.verify().problems == ()
