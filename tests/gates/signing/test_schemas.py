"""The schemas in docs/ are those of the records, and what is sealed fits them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from gates.signing.checkpoints import sign_checkpoint
from gates.signing.envelopes import seal_act
from gates.signing.keys import SigningKey
from gates.signing.predicates import ACTS, LogState, Waiver
from gates.signing.schemas import schemas, write_schemas
from gates.signing.statements import seal_submission
from tests.support.acts import LOG, approval, enrolment, pin, revocation
from tests.support.submissions import submission

DOCS = Path(__file__).parents[3] / "docs" / "schemas"
KEY = SigningKey.generate()
MOVE = {name: value for name, value in approval("ann").to_json().items() if name != "comment"}
WAIVER = Waiver(**MOVE, check="ttft", reason="a known gap", scope="tenant a", control="answers are reviewed")
SEALED = {
    "approval-v1.json": seal_act(approval("ann"), [KEY]),
    "waiver-v1.json": seal_act(WAIVER, [KEY]),
    "key-enrolment-v1.json": seal_act(enrolment(KEY, "ann"), [KEY]),
    "key-revocation-v1.json": seal_act(revocation(KEY, "ann"), [KEY]),
    "policy-pin-v1.json": seal_act(pin("olga"), [KEY]),
    "decision-v1.json": seal_submission(submission("sam"), KEY, time="2026-01-01T00:00:00.000000Z"),
    "checkpoint-v1.json": sign_checkpoint(
        LogState(log=LOG, size=1, root=LOG, time="2026-01-01T00:00:00.000000Z"), [KEY]
    ),
}


def test_the_documented_schemas_are_those_of_the_records(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    there = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.json")}
    assert made == there, "run: python -m gates.signing.schemas docs/schemas"
    assert len(made) == len(ACTS) + 1


@pytest.mark.parametrize("name", SEALED)
def test_what_is_sealed_fits_its_schema_and_no_other(name: str) -> None:
    statement = json.loads(base64.b64decode(json.loads(SEALED[name])["payload"]))
    for other, schema in schemas().items():
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema)
        if other == name:
            validator.validate(statement)
            with pytest.raises(ValidationError):
                validator.validate({**statement, "predicate": {**statement["predicate"], "more": 1}})
        else:
            assert not validator.is_valid(statement)
