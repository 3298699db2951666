"""Evidence from results measured elsewhere: what each column means, and that no bad value slips through."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from evalharness.evidence import Evidence
from evalharness.importing import import_outcomes
from evalharness.outcomes import OutcomeTable
from golden_sets.digests import digest_bytes, digest_file
from golden_sets.errors import InputError
from golden_sets.records import SetKind

DATA = Path(os.environ.get("RELGATE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
shared = pytest.mark.skipif(not DATA.is_dir(), reason=f"RELGATE_DATA: {DATA} is not there")


def write(tmp_path: Path, text: str, name: str = "outcomes.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path: Path, text: str, **options: dict[str, str]) -> OutcomeTable:
    return import_outcomes(
        write(tmp_path, text), subject="s", where=options.get("where"), columns=options.get("columns")
    )[1]


def failure(tmp_path: Path, text: str, **options: dict[str, str]) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, **options)
    return str(caught.value)


def test_the_two_required_columns_are_enough(tmp_path: Path) -> None:
    path = write(tmp_path, "prompt_id,outcome\na,1\nb,0\nc,\n")
    evidence, table = import_outcomes(path, subject="model-x")
    frame = table.frame
    assert frame["prompt_id"].tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(table.numbers("outcome"), [1.0, 0.0, np.nan])
    assert set(frame["arm"]) == {"candidate"}
    assert set(frame["phase"]) == {"quality"}
    assert set(frame["set_kind"]) == set(frame["set_name"]) == {"golden"}
    assert frame["scored_by"].tolist()[:2] == ["import", "import"]
    assert frame["scored_by"].isna().tolist() == [False, False, True]
    assert not table.failed().any()
    assert len(set(table.clusters())) == 3
    assert evidence.subject_name == "model-x"
    assert evidence.plan_digest is None
    assert evidence.judge_digest is None
    assert evidence.outcomes == digest_bytes(table.to_parquet())
    assert evidence.outcome_rows == 3
    assert evidence.provenance.details["file"] == digest_file(path)


def test_every_optional_column_reaches_the_table(tmp_path: Path) -> None:
    header = (
        "prompt_id,outcome,set,set_name,repeat,cluster,error,score,ttft_s,tpot_s,e2e_s,prompt_tokens,output_tokens,usd,"
        "severity,tier,length_bucket,category,tenant,dim.region"
    )
    row = "a,0,adversarial,attacks,2,c1,,0.25,0.1,0.01,1.5,12,34,0.002,high,hard,le64,arson,acme,eu"
    table = read(tmp_path, f"{header}\n{row}\n")
    found = table.frame.iloc[0]
    assert (found["set_kind"], found["set_name"], found["repeat"], found["cluster"]) == (
        "adversarial",
        "attacks",
        2,
        "c1",
    )
    numbers = ["score", "ttft_s", "tpot_s", "e2e_s", "prompt_tokens", "output_tokens", "usd"]
    assert [found[n] for n in numbers] == [0.25, 0.1, 0.01, 1.5, 12, 34, 0.002]
    cell = {"severity": "high", "tier": "hard", "length_bucket": "le64", "category": "arson", "tenant": "acme"}
    assert len(table.where({**cell, "region": "eu", "set": "adversarial"})) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("0", 0), ("1.0", 1), ("0.0", 0), ("true", 1), ("False", 0), (" 1 ", 1)],
)
def test_outcomes_may_be_written_so(tmp_path: Path, text: str, value: float) -> None:
    assert read(tmp_path, f"prompt_id,outcome\na,{text}\n").numbers("outcome").tolist() == [value]


@pytest.mark.parametrize("text", ["2", "0.5", "yes", "pass", "-1", "nan", "NA", "1_full_compliance"])
def test_any_other_outcome_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    message = failure(tmp_path, f"prompt_id,outcome\na,1\nb,{text}\n")
    assert f"outcomes.csv:3: outcome: '{text}' is no outcome" in message


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("timeout", "timeout"),
        ("OOM", "oom"),
        ("connection", "connection"),
        ("408", "timeout"),
        ("429", "rate_limited"),
        ("429.0", "rate_limited"),
        ("404", "http_4xx"),
        ("500", "http_5xx"),
        ("503", "http_5xx"),
        ("-1", "connection"),
        ("-100", "connection"),
    ],
)
def test_errors_are_kinds_or_codes(tmp_path: Path, text: str, kind: str) -> None:
    table = read(tmp_path, f"prompt_id,outcome,error\na,,{text}\nb,1,\n")
    assert table.frame["error"].tolist()[0] == kind
    assert table.failed().tolist() == [True, False]


def test_a_success_status_is_no_error(tmp_path: Path) -> None:
    assert not read(tmp_path, "prompt_id,outcome,error\na,1,200\nb,0,200\n").failed().any()


@pytest.mark.parametrize("text", ["0", "302", "boom", "4.5", "inf"])
def test_an_unknown_error_is_refused(tmp_path: Path, text: str) -> None:
    assert f"outcomes.csv:2: error: '{text}' is no kind of error" in failure(
        tmp_path, f"prompt_id,outcome,error\na,,{text}\n"
    )


def test_a_failed_request_has_no_outcome(tmp_path: Path) -> None:
    table = read(tmp_path, "prompt_id,outcome,error\na,0,timeout\nb,1,\n")
    assert np.isnan(table.numbers("outcome")).tolist() == [True, False]
    assert table.frame["scored_by"].isna().tolist() == [True, False]
    message = failure(tmp_path, "prompt_id,outcome,error\na,1,\nb,1,timeout\n")
    assert "outcomes.csv:3: the request failed, yet its outcome is 1" in message


def test_sets_are_kinds_with_names(tmp_path: Path) -> None:
    table = read(tmp_path, "prompt_id,outcome,set\na,1,golden\na,0,adversarial\nb,1,\n")
    assert table.frame["set_kind"].tolist() == ["golden", "adversarial", "golden"]
    assert "outcomes.csv:2: set: 'train' is no kind of set" in failure(tmp_path, "prompt_id,outcome,set\na,1,train\n")
    message = failure(tmp_path, "prompt_id,outcome,set,set_name\na,1,golden,x\nb,1,golden,y\nc,1,adversarial,x\n")
    assert "outcomes.csv:4: set 'x' is adversarial here and golden before" in message


def test_the_default_kind_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path, "prompt_id,outcome\na,1\n")
    table = import_outcomes(path, subject="s", set_kind_default=SetKind.FALSE_REFUSAL)[1]
    assert table.frame["set_kind"].tolist() == ["false_refusal"]


def test_columns_are_mapped_and_rows_chosen(tmp_path: Path) -> None:
    text = "model,id,correct,outcome,lang\nA,1,1,junk,de\nB,1,0,junk,de\nA,2,0,junk,en\n"
    columns = {"prompt_id": "id", "outcome": "correct", "dim.lang": "lang"}
    path = write(tmp_path, text)
    evidence, table = import_outcomes(path, subject="A", where={"model": "A"}, columns=columns)
    assert table.frame["prompt_id"].tolist() == ["1", "2"]
    assert table.numbers("outcome").tolist() == [1, 0]
    assert table.dimensions == ("lang",)
    details = evidence.provenance.details
    assert (details["where"], details["rows_in_file"], details["ignored_columns"]) == ({"model": "A"}, 3, ["outcome"])
    assert len(read(tmp_path, text, where={"model": "A", "lang": "en"}, columns=columns)) == 1


def test_a_column_that_is_called_like_ours_by_chance_can_be_hidden(tmp_path: Path) -> None:
    text = "prompt_id,outcome,set\na,1,train\n"
    assert len(read(tmp_path, text, columns={"set": ""})) == 1


def test_choices_that_do_not_exist_say_what_does(tmp_path: Path) -> None:
    text = "model,prompt_id,outcome\nA,1,1\nB,1,0\n"
    assert "no row has model=C - values of 'model' are A, B" in failure(tmp_path, text, where={"model": "C"})
    assert "there is no column 'modle' - the columns are model, prompt_id, outcome" in failure(
        tmp_path, text, where={"modle": "A"}
    )
    assert "there is no column 'correct'" in failure(tmp_path, text, columns={"outcome": "correct"})
    assert "did you mean 'outcome'?" in failure(tmp_path, text, columns={"outcom": "model"})
    missing = "there is no column 'prompt_id' - map one with --column prompt_id=COLUMN; the columns are id, outcome"
    assert missing in failure(tmp_path, "id,outcome\n1,1\n")
    assert "there is no column 'outcome' - map one" in failure(tmp_path, "prompt_id,correct\n1,1\n")


def test_measurements_without_outcomes_are_unscored(tmp_path: Path) -> None:
    path = write(tmp_path, "prompt_id,ttft_s,error\na,0.5,\nb,,429\n")
    evidence, table = import_outcomes(path, subject="s")
    assert np.isnan(table.numbers("outcome")).all()
    np.testing.assert_array_equal(table.numbers("ttft_s"), [0.5, np.nan])
    assert evidence.provenance.details["without_outcomes"] is True


def test_two_rows_for_one_prompt_need_a_repeat(tmp_path: Path) -> None:
    text = "prompt_id,outcome,n\na,1,0\nb,1,0\na,0,1\n"
    message = failure(tmp_path, text)
    assert "outcomes.csv:4: prompt 'a' has an outcome already, at" in message
    assert "outcomes.csv:2 (1 such rows)" in message
    assert "map that column to 'repeat'" in message
    assert read(tmp_path, text, columns={"repeat": "n"}).frame["repeat"].tolist() == [0, 0, 1]
    assert "number the samples of a prompt" in failure(tmp_path, "prompt_id,outcome,repeat\na,1,0\na,1,0\n")


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("ttft_s", "fast", "'fast' is not a number"),
        ("ttft_s", "-0.1", "'-0.1' is negative"),
        ("usd", "inf", "'inf' is not a finite number"),
        ("usd", "NaN", "'NaN' is not a finite number"),
        ("output_tokens", "1_000", "'1_000' is not a number"),
        ("repeat", "1.5", "'1.5' is not a whole number"),
        ("repeat", "-1", "'-1' is negative"),
        ("score", "1.5", "'1.5' lies outside [0, 1]"),
    ],
)
def test_a_number_that_is_none_is_named(tmp_path: Path, column: str, value: str, why: str) -> None:
    message = failure(tmp_path, f"prompt_id,outcome,{column}\na,1,\nb,1,{value}\n")
    assert f"outcomes.csv:3: {column}: {why}" in message


def test_an_empty_prompt_id_is_named(tmp_path: Path) -> None:
    assert "outcomes.csv:3: prompt_id is empty" in failure(tmp_path, "prompt_id,outcome\na,1\n,1\n")


def test_lines_are_right_after_values_that_span_lines_and_blank_lines(tmp_path: Path) -> None:
    text = 'prompt_id,outcome,answer\na,1,"one\ntwo, and\nthree"\n\nb,maybe,x\n'
    assert "outcomes.csv:6: outcome: 'maybe'" in failure(tmp_path, text)


def test_the_lines_of_chosen_rows_are_those_of_the_file(tmp_path: Path) -> None:
    text = "model,prompt_id,outcome\nA,1,1\nB,1,0\nA,2,bad\n"
    assert "outcomes.csv:4: outcome: 'bad'" in failure(tmp_path, text, where={"model": "A"})


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "outcomes.csv: the file is empty"),
        ("prompt_id,outcome\n", "the file has no rows"),
        ("prompt_id,outcome\na,1\nb\n", "outcomes.csv:3: 1 values under a header of 2"),
        ("prompt_id,outcome\na,1,2\n", "outcomes.csv:2: 3 values under a header of 2"),
        ("prompt_id,prompt_id,outcome\na,b,1\n", "two columns are called 'prompt_id'"),
        ("prompt_id;outcome\na;1\n", "there is no column 'prompt_id'"),
        ('[{"prompt_id": "a"}]', "write one JSON object a line, or CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str, part: str) -> None:
    assert part in failure(tmp_path, text)


def test_missing_files_directories_and_other_encodings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_outcomes(tmp_path / "none.csv", subject="s")
    with pytest.raises(InputError, match="is a directory"):
        import_outcomes(tmp_path, subject="s")
    path = tmp_path / "latin.csv"
    path.write_bytes("prompt_id,outcome\na,1\né,1\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv:3: not UTF-8 text"):
        import_outcomes(path, subject="s")


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbfprompt_id,outcome\r\na,1\r\n")
    assert len(import_outcomes(path, subject="s")[1]) == 1


# -- JSONL -------------------------------------------------------------------------------------------------------------


def jsonl(tmp_path: Path, rows: list[dict[str, object]]) -> Path:
    return write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "outcomes.jsonl")


def test_jsonl_says_the_same_as_csv(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt_id": "a", "outcome": 1, "tier": "easy", "ttft_s": 0.5},
        {"prompt_id": "b", "outcome": None, "error": 429},
        {"prompt_id": 3, "outcome": False, "tier": "hard", "note": {"nested": True}},
    ]
    one = import_outcomes(jsonl(tmp_path, rows), subject="s")[1]
    text = "prompt_id,outcome,tier,ttft_s,error\na,1,easy,0.5,\nb,,,,429\n3,0,hard,,\n"
    assert one.to_parquet() == read(tmp_path, text).to_parquet()


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{bad", "outcomes.jsonl:3: not a JSON object"),
        ("[1]", "outcomes.jsonl:3: not a JSON object"),
        ('{"prompt_id": "b", "outcome": 0.5}', "outcomes.jsonl:3: outcome: '0.5' is no outcome"),
        ('{"prompt_id": ["b"], "outcome": 1}', "outcomes.jsonl:3: 'prompt_id' is neither text nor a number"),
        ('{"outcome": 1}', "outcomes.jsonl:3: prompt_id is empty"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path: Path, line: str, part: str) -> None:
    path = write(tmp_path, f'{{"prompt_id": "a", "outcome": 1}}\n\n{line}\n', "outcomes.jsonl")
    with pytest.raises(InputError) as caught:
        import_outcomes(path, subject="s")
    assert part in str(caught.value)


# -- identity ----------------------------------------------------------------------------------------------------------


def imported(tmp_path: Path, text: str, subject: str = "s") -> Evidence:
    return import_outcomes(write(tmp_path, text), subject=subject)[0]


def test_importing_twice_gives_the_same_evidence(tmp_path: Path) -> None:
    path = write(tmp_path, "prompt_id,outcome\na,1\nb,0\n")
    one = import_outcomes(path, subject="s")[0]
    time.sleep(1.1)
    assert import_outcomes(path, subject="s")[0].digest == one.digest


def test_the_subject_is_its_name_and_rows(tmp_path: Path) -> None:
    one = imported(tmp_path, "prompt_id,outcome\na,1\nb,0\n")
    assert imported(tmp_path, "prompt_id,outcome\nb,0\na,1\n").subject_digest == one.subject_digest
    assert imported(tmp_path, "prompt_id,outcome\na,0\nb,0\n").subject_digest != one.subject_digest
    assert imported(tmp_path, "prompt_id,outcome\na,1\nb,0\n", "t").subject_digest != one.subject_digest


def test_set_digests_tell_whether_two_subjects_were_asked_the_same(tmp_path: Path) -> None:
    one = imported(tmp_path, "prompt_id,outcome\na,1\nb,0\n")
    assert imported(tmp_path, "prompt_id,outcome\nb,1\na,1\n").set_digests == one.set_digests
    assert imported(tmp_path, "prompt_id,outcome\na,1\nc,0\n").set_digests != one.set_digests


def test_equal_ids_pair_across_subjects_and_differ_across_sets(tmp_path: Path) -> None:
    table = read(tmp_path, "prompt_id,outcome,set\na,1,golden\na,0,adversarial\nb,1,golden\n")
    assert table.frame["prompt_digest"].nunique() == 3
    again = read(tmp_path, "prompt_id,outcome,set\nb,1,golden\na,1,golden\n")
    assert again.frame["prompt_digest"].tolist() == [table.frame["prompt_digest"][2], table.frame["prompt_digest"][0]]


def test_a_large_file_is_read_whole(tmp_path: Path) -> None:
    rows = 100_000
    path = tmp_path / "large.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt_id", "outcome", "repeat", "tier"])
        writer.writerows((f"p{i // 2}", int(i % 3 == 0), i % 2, "easy" if i % 4 else "hard") for i in range(rows))
    table = import_outcomes(path, subject="s")[1]
    assert len(table) == rows
    assert table.frame["prompt_id"].nunique() == rows // 2
    assert table.numbers("outcome").sum() == len(range(0, rows, 3))
    assert len(table.where({"tier": "hard"})) == rows // 4


# -- real files --------------------------------------------------------------------------------------------------------


@pytest.mark.shared_data
@shared
def test_a_real_leaderboard_file_is_imported_by_subject() -> None:
    path = DATA / "gsm8k_outcomes.csv"
    columns = {"prompt_id": "id", "outcome": "correct"}
    with path.open(encoding="utf-8") as file:
        correct = [int(row["correct"]) for row in csv.DictReader(file) if row["model"] == "Athene-70B"]
    evidence, table = import_outcomes(path, subject="Athene-70B", where={"model": "Athene-70B"}, columns=columns)
    assert table.numbers("outcome").tolist() == correct
    assert evidence.outcome_rows == len(correct)
    with pytest.raises(InputError, match="pick one subject's rows with --where"):
        import_outcomes(path, subject="all", columns=columns)


@pytest.mark.shared_data
@shared
def test_a_real_latency_file_keeps_its_failures() -> None:
    path = DATA / "provider_latency.csv"
    columns = {"prompt_id": "i", "error": "error_code", "e2e_s": "end_to_end_latency_s"}
    where = {"provider": "lepton", "size": "13b"}
    table = import_outcomes(path, subject="lepton", where=where, columns=columns)[1]
    with path.open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if (r["provider"], r["size"]) == ("lepton", "13b")]
    assert len(table) == len(rows)
    assert table.failed().sum() == sum(bool(r["error_code"]) for r in rows) > 0
    assert set(table.frame["error"].dropna()) == {"rate_limited"}
