"""Bad input to ``relgate import outcomes`` and ``relgate gate``: one clear error, or inconclusive with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalharness.evidence_files import outcomes_path, read_evidence, write_evidence
from pipelines.cli.app import run

FLOOR = {"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.5}
MARGIN = {"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.05}
VIOLATIONS = {"id": "violations", "metric": "violation_rate", "test": "ceiling", "threshold": 0.05}
RELIABILITY = {"id": "reliability", "metric": "request_success_rate", "test": "floor", "threshold": 0.9}
TTFT = {"id": "ttft", "metric": "ttft_s", "quantile": 0.95, "test": "ceiling", "threshold": 1.0}
COST = {"id": "cost", "metric": "usd_per_success", "test": "ratio_ceiling", "threshold": 1.1}
PRICE = {"id": "price", "metric": "usd_per_million_output_tokens", "test": "ceiling", "threshold": 3.0}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    return capsys


def csv(rows: Sequence[str], header: str = "prompt_id,outcome") -> str:
    return "\n".join([header, *rows]) + "\n"


def answers(n: int, rest: str = "1", *, header: str = "prompt_id,outcome", name: str = "q") -> str:
    return csv([f"{name}{i},{rest}" for i in range(n)], header)


def policy(*checks: dict[str, Any]) -> None:
    lines = ["name: p", "version: 1", "alpha: 0.05", f"primary: {checks[0]['id']}", "checks:"]
    Path("policy.yaml").write_text("\n".join([*lines, *(f"  - {json.dumps(c)}" for c in checks)]) + "\n")


def imported(name: str, text: str, *options: str) -> str:
    """Import a file that is fine."""
    Path(f"{name}.csv").write_text(text)
    assert run(["import", "outcomes", f"{name}.csv", "--subject", name, "-o", f"{name}.json", *options]) == 0
    return f"{name}.json"


def refused(printed: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one error of a command that must refuse: on stderr, and the same in JSON."""
    printed.readouterr()
    assert run([*arguments, "--json"]) == 2
    out, err = printed.readouterr()
    document = json.loads(out)
    assert document["exit_code"] == 2
    assert document["error"]["what"] in err
    assert err.count("relgate:") == 1
    assert "Traceback" not in err
    return err


def decided(printed: pytest.CaptureFixture[str], evidence: str, *options: str) -> dict[str, Any]:
    """The decision on evidence: its exit code fits, and none of its intervals claims certainty."""
    printed.readouterr()
    code = run(["gate", evidence, "--policy", "policy.yaml", "--json", *options])
    document: dict[str, Any] = json.loads(printed.readouterr().out)
    assert code == {"promote": 0, "block": 1, "inconclusive": 3}[document["verdict"]]
    for low, high in intervals(document):
        assert low < high
    return document


def intervals(document: Any) -> Iterator[tuple[float, float]]:
    if isinstance(document, dict):
        if document.get("low") is not None and document.get("high") is not None:
            yield document["low"], document["high"]
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from intervals(part)


def reason(document: dict[str, Any]) -> str:
    (check,) = document["checks"]
    return str(check["reason"])


class TestImport:
    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            (csv(["a,1", "b,nan"]), 3, "'nan' is no outcome"),
            (csv(["a,1", "b,2"]), 3, "'2' is no outcome"),
            (csv(["a,1", "b,-1"]), 3, "'-1' is no outcome"),
            (csv(["a,1", "b,0.5"]), 3, "'0.5' is no outcome"),
            (csv(["a,1", "b,1", "a,0"]), 4, "'a' has an outcome already, at bad.csv:2"),
            (csv(["a,1", "b,1", "a,1"]), 4, "'a' has an outcome already, at bad.csv:2"),
            (csv(["a,1", ",1"]), 3, "prompt_id is empty"),
            (csv(["a,1", "b,1,3"]), 3, "3 values under a header of 2"),
            (csv(["a,1,0.1", "b,1,-0.1"], "prompt_id,outcome,ttft_s"), 3, "'-0.1' is negative"),
            (csv(["a,1,nan"], "prompt_id,outcome,usd"), 2, "'nan' is not a finite number"),
            (csv(["a,1,inf"], "prompt_id,outcome,usd"), 2, "'inf' is not a finite number"),
            (csv(["a,1,0.5"], "prompt_id,outcome,repeat"), 2, "'0.5' is not a whole number"),
            (csv(["a,1,1e30"], "prompt_id,outcome,repeat"), 2, "'1e30' is too large"),
            (csv(["a,1,timeout"], "prompt_id,outcome,error"), 2, "the request failed, yet its outcome is 1"),
            (csv(["a,1,golden,s", "b,1,adversarial,s"], "prompt_id,outcome,set,set_name"), 3, "set 's' is adversarial"),
        ],
    )
    def test_a_bad_value_is_named_with_its_line(
        self, printed: pytest.CaptureFixture[str], text: str, line: int, message: str
    ) -> None:
        Path("bad.csv").write_text(text)
        error = refused(printed, "import", "outcomes", "bad.csv", "--subject", "m", "-o", "bad.json")
        assert f"bad.csv:{line}: " in error
        assert message in error
        assert not Path("bad.json").exists()

    @pytest.mark.parametrize(
        ("text", "message"), [("", "empty"), ("prompt_id,outcome\n", "no rows"), ("\n\n", "empty")]
    )
    def test_a_file_without_outcomes_is_an_error(
        self, printed: pytest.CaptureFixture[str], text: str, message: str
    ) -> None:
        Path("bad.csv").write_text(text)
        error = refused(printed, "import", "outcomes", "bad.csv", "--subject", "m")
        assert "bad.csv" in error
        assert message in error

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ('{"prompt_id": "a", "outcome": NaN}\n', 1),
            ('{"prompt_id": "a", "outcome": 1}\n{"prompt_id": "b", "outcome": 2}\n', 2),
            ('{"prompt_id": "a", "outcome": 1}\n{"prompt_id"\n', 2),
        ],
    )
    def test_the_same_of_jsonl(self, printed: pytest.CaptureFixture[str], text: str, line: int) -> None:
        Path("bad.jsonl").write_text(text)
        assert f"bad.jsonl:{line}: " in refused(printed, "import", "outcomes", "bad.jsonl", "--subject", "m")

    def test_a_selection_of_nothing_is_an_error(self, printed: pytest.CaptureFixture[str]) -> None:
        Path("good.csv").write_text(answers(10))
        arguments = ["import", "outcomes", "good.csv", "--subject", "m", "--where", "prompt_id=absent"]
        assert "no row has prompt_id=absent" in refused(printed, *arguments)


class TestIncumbent:
    @pytest.mark.parametrize(
        ("text", "options"),
        [
            (answers(300, name="other"), ()),
            (answers(299), ()),
            (answers(301), ()),
            (answers(300), ("--set", "adversarial")),
        ],
    )
    def test_on_other_prompts_or_sets_is_an_error(
        self, printed: pytest.CaptureFixture[str], text: str, options: tuple[str, ...]
    ) -> None:
        policy(MARGIN)
        candidate, incumbent = imported("candidate", answers(300)), imported("incumbent", text, *options)
        error = refused(printed, "gate", candidate, "--policy", "policy.yaml", "--incumbent", incumbent)
        assert "measured on different versions of set(s)" in error
        assert "golden" in error

    def test_with_other_repeats_is_an_error(self, printed: pytest.CaptureFixture[str]) -> None:
        policy(MARGIN)
        twice = csv([f"q{i},1,{r}" for i in range(300) for r in range(2)], "prompt_id,outcome,repeat")
        candidate, incumbent = imported("candidate", answers(300)), imported("incumbent", twice)
        error = refused(printed, "gate", candidate, "--policy", "policy.yaml", "--incumbent", incumbent)
        assert "did not answer the same prompts" in error

    def test_that_claims_the_sets_of_the_candidate_does_not_help(self, printed: pytest.CaptureFixture[str]) -> None:
        """Even evidence whose digests all fit is held against the prompts that were answered."""
        policy(MARGIN)
        candidate, other = imported("candidate", answers(300)), imported("other", answers(300, name="other"))
        theirs, table = read_evidence(Path(other))
        ours, _ = read_evidence(Path(candidate))
        claimed = theirs.model_copy(update={"set_digests": ours.set_digests})
        write_evidence(claimed, table.to_parquet(), Path("forged.json"))
        error = refused(printed, "gate", candidate, "--policy", "policy.yaml", "--incumbent", "forged.json")
        assert "did not answer the same prompts" in error

    def test_that_is_absent_leaves_a_comparison_open(self, printed: pytest.CaptureFixture[str]) -> None:
        policy(MARGIN)
        decision = decided(printed, imported("candidate", answers(300)))
        assert decision["verdict"] == "inconclusive"
        assert "an incumbent to compare with" in reason(decision)


class TestEvidence:
    def test_with_the_outcomes_of_another_is_an_error(self, printed: pytest.CaptureFixture[str]) -> None:
        policy(FLOOR)
        evidence, better = imported("candidate", answers(300, "0")), imported("better", answers(300))
        shutil.copy(outcomes_path(Path(better)), outcomes_path(Path(evidence)))
        assert "the evidence names" in refused(printed, "gate", evidence, "--policy", "policy.yaml")

    def test_without_its_outcomes_is_an_error(self, printed: pytest.CaptureFixture[str]) -> None:
        policy(FLOOR)
        evidence = imported("candidate", answers(300))
        outcomes_path(Path(evidence)).unlink()
        error = refused(printed, "gate", evidence, "--policy", "policy.yaml")
        assert "candidate.outcomes.parquet: cannot read" in error

    def test_whose_set_digests_were_changed_is_an_error(self, printed: pytest.CaptureFixture[str]) -> None:
        policy(FLOOR)
        evidence = imported("candidate", answers(300))
        document = json.loads(Path(evidence).read_text())
        document["evidence"]["set_digests"]["golden"] = "sha256:" + "0" * 64
        Path(evidence).write_text(json.dumps(document))
        assert "the evidence has digest" in refused(printed, "gate", evidence, "--policy", "policy.yaml")


class TestCells:
    @pytest.mark.parametrize(
        ("check", "message"),
        [
            ({**FLOOR, "where": {"tier": "hard"}}, "matches no cell of the evidence (tier=hard)"),
            ({**FLOOR, "where": {"tire": "easy"}}, "have no dimension 'tire'"),
            ({**FLOOR, "each": ["severity"]}, "have no dimension 'severity'"),
            (VIOLATIONS, "matches no cell of the evidence"),
        ],
    )
    def test_an_empty_cell_is_an_error_with_the_line_of_its_check(
        self, printed: pytest.CaptureFixture[str], check: dict[str, Any], message: str
    ) -> None:
        policy(MARGIN, check)
        evidence = imported("candidate", answers(300, "1,easy", header="prompt_id,outcome,tier"))
        error = refused(printed, "gate", evidence, "--policy", "policy.yaml", "--incumbent", evidence)
        assert "policy.yaml:7: " in error
        assert message in error

    def test_prompts_without_a_cell_do_not_drop_out(self, printed: pytest.CaptureFixture[str]) -> None:
        policy({**FLOOR, "each": ["tier"]})
        rows = [f"q{i},{int(i < 200)},{'easy' if i < 200 else ''}" for i in range(300)]
        error = refused(
            printed, "gate", imported("candidate", csv(rows, "prompt_id,outcome,tier")), "--policy", "policy.yaml"
        )
        assert "100 outcomes it is about have no tier" in error

    @pytest.mark.parametrize(
        ("check", "rest", "header"),
        [
            (FLOOR, "1,same", "prompt_id,outcome,cluster"),
            (MARGIN, "1,same", "prompt_id,outcome,cluster"),
            (VIOLATIONS, "0,same,adversarial", "prompt_id,outcome,cluster,set"),
            (COST, "1,same,0.01", "prompt_id,outcome,cluster,usd"),
            (PRICE, "1,same,0.0001,100", "prompt_id,outcome,cluster,usd,output_tokens"),
        ],
    )
    def test_one_cluster_is_one_observation(
        self, printed: pytest.CaptureFixture[str], check: dict[str, Any], rest: str, header: str
    ) -> None:
        policy(check)
        same = imported("same", answers(500, rest, header=header))
        decision = decided(printed, same, "--incumbent", same)
        assert decision["verdict"] == "inconclusive"
        independent = imported("independent", answers(500, rest, header=header.replace("cluster", "note")))
        assert decided(printed, independent, "--incumbent", independent)["verdict"] == "promote"

    @pytest.mark.parametrize("check", [FLOOR, MARGIN])
    def test_one_prompt_is_not_enough(self, printed: pytest.CaptureFixture[str], check: dict[str, Any]) -> None:
        policy(check)
        single = imported("single", answers(1))
        assert decided(printed, single, "--incumbent", single)["verdict"] == "inconclusive"


class TestNothingMeasured:
    @pytest.mark.parametrize(
        ("check", "told"),
        [
            (TTFT, "'ttft_s': it was not measured"),
            (COST, "'usd'"),
            (PRICE, "'usd'"),
        ],
    )
    def test_a_number_that_was_not_measured_is_not_passed(
        self, printed: pytest.CaptureFixture[str], check: dict[str, Any], told: str
    ) -> None:
        policy(check)
        evidence = imported("candidate", answers(300))
        decision = decided(printed, evidence, "--incumbent", evidence)
        assert decision["verdict"] == "inconclusive"
        assert told in reason(decision)

    @pytest.mark.parametrize("check", [FLOOR, RELIABILITY])
    def test_only_errors_fail_what_counts_them(
        self, printed: pytest.CaptureFixture[str], check: dict[str, Any]
    ) -> None:
        policy(check)
        evidence = imported("candidate", answers(300, ",timeout", header="prompt_id,outcome,error"))
        assert decided(printed, evidence)["verdict"] == "block"

    @pytest.mark.parametrize(
        ("check", "rest", "header", "told"),
        [
            (VIOLATIONS, ",timeout,adversarial", "prompt_id,outcome,error,set", "every request failed"),
            (TTFT, ",timeout", "prompt_id,outcome,error", "it was not measured"),
            (COST, ",timeout,0.01", "prompt_id,outcome,error,usd", "had no success"),
            (RELIABILITY, ",404", "prompt_id,outcome,error", "every one was a client error"),
        ],
    )
    def test_only_errors_leave_the_rest_open(
        self, printed: pytest.CaptureFixture[str], check: dict[str, Any], rest: str, header: str, told: str
    ) -> None:
        policy(check)
        evidence = imported("candidate", answers(300, rest, header=header))
        decision = decided(printed, evidence, "--incumbent", evidence)
        assert decision["verdict"] == "inconclusive"
        assert told in reason(decision)

    def test_a_candidate_that_only_fails_is_worse_than_one_that_answers(
        self, printed: pytest.CaptureFixture[str]
    ) -> None:
        policy(MARGIN)
        broken = imported("broken", answers(300, ",timeout", header="prompt_id,outcome,error"))
        sound = imported("sound", answers(300))
        assert decided(printed, broken, "--incumbent", sound)["verdict"] == "block"
        assert decided(printed, sound, "--incumbent", broken)["verdict"] == "promote"  # 100 % against 100 % at most

    @pytest.mark.parametrize(
        ("check", "text", "told"),
        [
            (FLOOR, answers(300, ""), "300 of 300 answers could not be scored"),
            (MARGIN, answers(300, ""), "600 answers to 300 prompts could not be scored"),
            (
                VIOLATIONS,
                answers(300, ",adversarial", header="prompt_id,outcome,set"),
                "300 of 300 answers could not be scored",
            ),
        ],
    )
    def test_unscored_answers_decide_nothing(
        self, printed: pytest.CaptureFixture[str], check: dict[str, Any], text: str, told: str
    ) -> None:
        policy(check)
        evidence = imported("candidate", text)
        decision = decided(printed, evidence, "--incumbent", evidence)
        assert decision["verdict"] == "inconclusive"
        assert told in reason(decision)

    def test_a_report_can_be_made_of_it_all(self, printed: pytest.CaptureFixture[str]) -> None:
        policy(MARGIN, TTFT, RELIABILITY, COST)
        evidence = imported("candidate", answers(300, ",404", header="prompt_id,outcome,error"))
        decision = decided(printed, evidence, "--report", "pages")
        assert decision["verdict"] == "inconclusive"
        assert "not measured" in Path(decision["reports"]["html"]).read_text()


class TestPolicy:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("alpha: 0.05", "alpha: .nan"),
            ("alpha: 0.05", "alpha: -0.05"),
            ('"threshold": 0.5', '"threshold": .nan'),
            ('"threshold": 0.5', '"threshold": .inf'),
            ('"threshold": 0.5', '"threshold": 50'),
            ('"threshold": 0.5', '"threshold": -0.5'),
        ],
    )
    def test_a_number_that_cannot_be_is_an_error_with_its_line(
        self, printed: pytest.CaptureFixture[str], old: str, new: str
    ) -> None:
        policy(FLOOR)
        text = Path("policy.yaml").read_text()
        line = text[: text.index(old)].count("\n") + 1
        Path("policy.yaml").write_text(text.replace(old, new))
        error = refused(printed, "gate", imported("candidate", answers(300)), "--policy", "policy.yaml")
        assert f"policy.yaml:{line}: " in error
