"""YAML files as records: every error names its line, nothing is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from golden_sets.errors import InputError
from golden_sets.records import Record
from golden_sets.yaml_files import load_yaml_record, read_yaml


class Check(Record):
    id: str
    threshold: float = Field(ge=0, le=1)
    test: Literal["floor", "ceiling"] = "floor"


class Policy(Record):
    name: str
    version: str
    checks: tuple[Check, ...] = ()
    owner: Check | None = None
    notes: dict[str, Any] = Field(default_factory=dict)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def failure(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        load_yaml_record(write(tmp_path, text), Policy)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_valid_file_becomes_the_record(tmp_path: Path) -> None:
    path = write(tmp_path, "name: enterprise\nversion: '3'\nchecks:\n  - {id: floor, threshold: 0.8}\n")
    assert load_yaml_record(path, Policy) == Policy(
        name="enterprise", version="3", checks=(Check(id="floor", threshold=0.8),)
    )


@pytest.mark.parametrize("written", ["3", "1.10", "2024-01-31", "yes", "0x1F", "1e3"])
def test_text_is_taken_as_it_is_written(tmp_path: Path, written: str) -> None:
    policy = load_yaml_record(write(tmp_path, f"name: p\nversion: {written}\n"), Policy)
    assert policy.version == written


def test_null_is_not_text(tmp_path: Path) -> None:
    assert "policy.yaml:2: version" in failure(tmp_path, "name: p\nversion: null\n")


def test_numbers_with_an_exponent_are_numbers(tmp_path: Path) -> None:
    policy = load_yaml_record(write(tmp_path, "name: p\nversion: '1'\nnotes: {a: 1e-3}\n"), Policy)
    assert policy.notes == {"a": 0.001}


def test_an_unknown_key_names_its_line_and_the_likely_key(tmp_path: Path) -> None:
    message = failure(tmp_path, "name: p\nversion: '1'\nchecks:\n  - id: a\n    treshold: 0.5\n    threshold: 0.5\n")
    assert message.endswith("policy.yaml:5: unknown key 'treshold' in checks[0] - did you mean 'threshold'?")


def test_an_unknown_key_without_a_likely_key_lists_the_keys(tmp_path: Path) -> None:
    message = failure(tmp_path, "name: p\nversion: '1'\nzzz: 1\n")
    assert message.endswith("policy.yaml:3: unknown key 'zzz' - the keys are name, version, checks, owner, notes")


def test_an_unknown_key_inside_an_optional_record_is_found(tmp_path: Path) -> None:
    message = failure(tmp_path, "name: p\nversion: '1'\nowner:\n  id: a\n  threshold: 0.1\n  tst: floor\n")
    assert "policy.yaml:6: unknown key 'tst' in owner - did you mean 'test'?" in message


def test_a_value_out_of_range_in_a_list_names_its_own_line(tmp_path: Path) -> None:
    text = "name: p\nversion: '1'\nchecks:\n  - {id: a, threshold: 0.5}\n  - id: b\n    threshold: 1.5\n"
    assert "policy.yaml:6: checks[1].threshold: 1.5: input should be less than or equal to 1" in failure(tmp_path, text)


def test_a_missing_key_names_the_record_that_lacks_it(tmp_path: Path) -> None:
    message = failure(tmp_path, "name: p\nversion: '1'\nchecks:\n  - {id: a, threshold: 0.5}\n  - {id: b}\n")
    assert "policy.yaml:5: missing key 'checks[1].threshold'" in message


def test_an_unknown_choice_lists_the_choices(tmp_path: Path) -> None:
    message = failure(tmp_path, "name: p\nversion: '1'\nchecks:\n  - {id: a, threshold: 0.5, test: flor}\n")
    assert "checks[0].test: 'flor' is not known - use 'floor' or 'ceiling'" in message


def test_a_bad_item_does_not_make_its_list_too_short(tmp_path: Path) -> None:
    class Strict(Record):
        checks: tuple[Check, ...] = Field(min_length=1)

    with pytest.raises(InputError) as caught:
        load_yaml_record(write(tmp_path, "checks:\n  - {id: a, treshold: 0.5, threshold: 0.5}\n"), Strict)
    assert str(caught.value).endswith("policy.yaml:2: unknown key 'treshold' in checks[0] - did you mean 'threshold'?")
    with pytest.raises(InputError, match=r"policy\.yaml:1: checks: \[\]: tuple should have at least 1 item"):
        load_yaml_record(write(tmp_path, "checks: []\n"), Strict)


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    message = failure(tmp_path, "nam: p\nversion: '1'\nchecks: {}\n")
    assert message.startswith("3 problems")
    for part in ("policy.yaml:1: missing key 'name'", "policy.yaml:1: unknown key 'nam'", "policy.yaml:3: checks"):
        assert part in message


def test_more_than_ten_problems_are_counted(tmp_path: Path) -> None:
    message = failure(tmp_path, "name: p\nversion: '1'\n" + "".join(f"k{i}: 1\n" for i in range(13)))
    assert message.startswith("13 problems")
    assert message.endswith("... and 3 more")


def test_a_duplicate_key_names_both_lines(tmp_path: Path) -> None:
    message = failure(tmp_path, "name: p\nversion: '1'\nname: q\n")
    assert message.endswith("policy.yaml:3: key 'name' appears twice, first on line 1 - keep one")


def test_a_duplicate_key_in_a_nested_mapping_is_found(tmp_path: Path) -> None:
    assert "policy.yaml:3: key 'a'" in failure(tmp_path, "name: p\nversion: '1'\nnotes: {a: 1, a: 2}\n")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n- b\n", "policy.yaml:1: expected keys and values, found a list"),
        ("just words\n", "found text"),
        ("name: [unclosed\nversion: 1\n", "policy.yaml:2: not valid YAML"),
        ("name: p\n\tversion: 1\n", "policy.yaml:2: not valid YAML"),
        ("name: p\n--- \nname: q\n", "not valid YAML"),
        ("name: !!python/object/apply:os.system ['true']\n", "policy.yaml:1: 'tag:yaml.org,2002:python"),
        ("name: !!binary aGk=\n", "'aGk=' is not a plain value"),
        ("name: p\nversion: '1'\nnotes: {a: .nan}\n", "policy.yaml:3: '.nan' is not a plain value"),
        ("name: p\nversion: '1'\nnotes: {a: -.inf}\n", "policy.yaml:3: '-.inf' is not a plain value"),
        ("name: p\nversion: '1'\nnotes: {a: 1.0e+999}\n", "'1.0e+999' is not a plain value"),
        ("name: p\nversion: '1'\nnotes: {a: 9007199254740992}\n", "'9007199254740992' is not a plain value"),
        ("name: p\nversion: '1'\nnotes: {[1, 2]: x}\n", "policy.yaml:3: a key must be plain text"),
        ("name: *nowhere\n", "policy.yaml:1: not valid YAML"),
        ("name: p\nversion: '1'\nnotes: &a {x: *a}\n", "an alias refers to itself"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(tmp_path: Path, text: str, part: str) -> None:
    assert part in failure(tmp_path, text)


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 12))
    assert "once aliases are expanded" in failure(tmp_path, "l0: &l0 [x]\n" + levels)


def test_deep_nesting_is_an_error_not_a_crash(tmp_path: Path) -> None:
    assert "nested too deeply" in failure(tmp_path, "name: " + "[" * 5000 + "]" * 5000)


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = (
        "name: p\nversion: '1'\nowner: &base {id: a, threshold: 0.5}\nchecks:\n  - {<<: *base, id: b, test: ceiling}\n"
    )
    policy = load_yaml_record(write(tmp_path, text), Policy)
    assert policy.checks == (Check(id="b", threshold=0.5, test="ceiling"),)


def test_a_missing_file_a_directory_and_other_encodings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: the file does not exist"):
        load_yaml_record(tmp_path / "none.yaml", Policy)
    with pytest.raises(InputError, match="this is a directory"):
        load_yaml_record(tmp_path, Policy)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: p\nversion: é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.yaml:2: not UTF-8 text"):
        load_yaml_record(latin, Policy)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: p\nversion: '1'\n")
    assert load_yaml_record(path, Policy).name == "p"


def test_a_document_tells_the_line_of_any_place(tmp_path: Path) -> None:
    document = read_yaml(write(tmp_path, "name: p\nchecks:\n  - id: a\n  - id: b\n    test: floor\n"))
    assert document.where("checks", 1, "test") == f"{tmp_path}/policy.yaml:5"
    assert document.line("checks", 1) == 4
    assert document.line("checks", 1, "absent") == 4
    assert document.line("absent") == 1
