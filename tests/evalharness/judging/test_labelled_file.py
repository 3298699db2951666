"""Reading files of labels and verdicts: what every label means, and what is refused where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evalharness.judging.labelled_file import LabelledAnswers, read_labelled_answers
from golden_sets.errors import InputError


def written(tmp_path: Path, text: str, name: str = "labels.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def outcomes(answers: LabelledAnswers) -> list[tuple[float | None, float | None]]:
    pairs = zip(answers.truth.tolist(), answers.seen.tolist(), strict=True)
    return [(None if t != t else t, None if s != s else s) for t, s in pairs]


def test_usual_labels_need_no_explanation(tmp_path: Path) -> None:
    path = written(tmp_path, "id,human,judge\na,1,1.0\nb,0,1\nc,1.0,\nd,,0\n")
    found = read_labelled_answers(path)
    assert outcomes(found) == [(1, 1), (0, 1), (1, None), (None, 0)]
    assert (found.positive, found.negative) == (("1",), ("0",))
    assert len(set(found.clusters.tolist())) == 4
    assert found.notes == ()


def test_words_are_read_whatever_their_case(tmp_path: Path) -> None:
    found = read_labelled_answers(written(tmp_path, "human,judge\nPass,pass\nfail,FAIL\n"))
    assert outcomes(found) == [(1, 1), (0, 0)]


def test_everything_that_is_not_positive_is_negative_and_said_so(tmp_path: Path) -> None:
    path = written(tmp_path, "human,judge\ncomply,comply\npartial,refuse\nrefuse,partial\nrefuse,other\n")
    found = read_labelled_answers(path, positive=["partial", "refuse"])
    assert outcomes(found) == [(0, 0), (1, 1), (1, 1), (1, 0)]
    assert found.negative == ("comply", "other")
    assert found.notes == ("only the judge uses other: taken as negative",)


def test_with_negative_labels_a_third_one_of_a_person_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'human,judge\ncomply,comply\nrefuse,refuse\n"un\nsure",refuse\nmaybe,refuse\n')
    with pytest.raises(InputError, match=r"labels\.csv:4: human: 'un\nsure' is neither a positive nor a negative"):
        read_labelled_answers(path, positive=["refuse"], negative=["comply"])


def test_with_negative_labels_prose_of_the_judge_is_unparsed_and_named(tmp_path: Path) -> None:
    path = written(tmp_path, "human,judge\n1,1\n0,0\n1,I think so\n0,I think so\n1,2\n")
    found = read_labelled_answers(path)
    assert outcomes(found) == [(1, 1), (0, 0), (1, None), (0, None), (1, None)]
    assert found.notes == ("3 verdicts are no label and count as unparsed: 'I think so' (2), '2' (1)",)


def test_unknown_labels_ask_which_are_positive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name them with --positive LABEL; people's labels are good, poor"):
        read_labelled_answers(written(tmp_path, "human,judge\ngood,good\npoor,good\n"))


def test_a_misspelt_positive_label_is_found_out(tmp_path: Path) -> None:
    path = written(tmp_path, "human,judge\n3_partial_refusal,x\ny,x\n")
    with pytest.raises(InputError, match="did you mean '3_partial_refusal'"):
        read_labelled_answers(path, positive=["3_partial_refusl"])
    found = read_labelled_answers(path, positive=["refused"])
    assert "no row has label 'refused'" in found.notes


def test_one_label_cannot_mean_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="both positive and negative"):
        read_labelled_answers(written(tmp_path, "human,judge\na,b\n"), positive=["a"], negative=["a"])


def test_rows_of_one_id_or_cluster_belong_together(tmp_path: Path) -> None:
    path = written(tmp_path, "id,human,judge,q\na,1,1,x\na,0,0,y\n,1,1,y\n,1,1,\n")
    by_id = read_labelled_answers(path)
    assert by_id.clusters[0] == by_id.clusters[1]
    assert len(set(by_id.clusters.tolist())) == 3
    assert by_id.notes == ("4 rows have 3 ids: rows of one id count as one cluster",)
    by_cluster = read_labelled_answers(path, columns={"cluster": "q"})
    assert by_cluster.clusters[1] == by_cluster.clusters[2]
    assert len(set(by_cluster.clusters.tolist())) == 3
    both = read_labelled_answers(path, columns={"id": "id,q"})
    assert len(set(both.clusters.tolist())) == 4


def test_other_names_rows_and_formats(tmp_path: Path) -> None:
    rows = [
        {"gold": 1, "gpt": 1, "model": "a", "chars": 10, "w": 2.5},
        {"gold": 0, "gpt": None, "model": "b", "chars": 20, "w": 1},
        {"gold": 0, "gpt": 0, "model": "a", "chars": None, "w": 4},
        {"gold": None, "gpt": 0, "model": "a", "chars": 7, "w": None},
    ]
    path = written(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "labels.jsonl")
    columns = {"human": "gold", "judge": "gpt", "arm": "model", "length": "chars", "weight": "w"}
    found = read_labelled_answers(path, columns=columns)
    assert found.arms == ("a", "b")
    assert found.of_arm(0).truth.tolist()[:2] == [1, 0]
    assert found.weights.tolist() == [2.5, 1, 4, 1]
    assert found.lengths is not None
    assert np.isnan(found.lengths).tolist() == [False, False, True, False]
    assert len(read_labelled_answers(path, columns=columns, where={"model": "b"})) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,judge\na,1\n", "there is no column 'human'"),
        ("human,verdict\n1,1\n", "map one with --column judge=COLUMN"),
        ("human,judge\n,1\n", "no row has a human label"),
        ("human,judge,weight\n1,1,2\n0,0,0\n", r"labels\.csv:3: weight: '0' is not above 0"),
        ("human,judge,weight\n1,1,2\n0,0,\n", r"labels\.csv:3: a labelled answer without a weight"),
        ("human,judge,length\n1,1,ten\n", r"labels\.csv:2: length: 'ten' is not a number"),
        ("human,judge\n", "the file has no rows"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_labelled_answers(written(tmp_path, text))
