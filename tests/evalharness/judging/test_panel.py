"""Several judges: who may sit on a panel, how votes become one judgment, and how far the judges agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.candidate import Candidate, Engine, Manifest
from evalharness.database import open_database
from evalharness.generation_records import Judgment, ParseStatus
from evalharness.judging.pairwise import PairItem, PairJudgment, judge_pairwise
from evalharness.judging.panel import Panel, panel_agreement, panel_vote, panel_vote_pairs
from evalharness.judging.pointwise import JudgeItem, judge_pointwise
from evalharness.judging.rubric import Rubric
from evalharness.samples import SampleStore
from golden_sets.errors import InputError
from tests.support.judge_server import PAIR_RUBRIC, RUBRIC, SETTINGS, Server, always, judge_of, prompt_of

A, B, C = judge_of("a"), judge_of("b"), judge_of("c")
PANEL = Panel((A, B, C))
SCORES = {"p": 0.75, "P": 1.0, "f": 0.25, "F": 0.0}


def said(text: str, judge: str = "j", **changes: Any) -> list[Judgment]:
    """One judgment per character: p and P pass, f and F fail, ? is unparsed, ! failed."""
    return [
        Judgment(
            judge_digest=judge,
            rubric_digest="r",
            input_digest=changes.get("about", f"item-{number}"),
            order=0,
            repeat=0,
            score=SCORES.get(mark),
            label=None if mark not in SCORES else "pass" if mark in "pP" else "fail",
            rationale=f"{judge} says {mark}",
            parse_status={"?": ParseStatus.UNPARSED, "!": ParseStatus.ERROR}.get(mark, ParseStatus.TEXT),
            attempts=2,
        )
        for number, mark in enumerate(text)
    ]


def voted(*texts: str) -> list[Judgment]:
    return panel_vote({f"judge-{n}": said(text, f"judge-{n}") for n, text in enumerate(texts)}, PANEL.digest)


def test_more_than_half_of_all_judges_decide() -> None:
    found = voted("ppf?p?!", "pff?p!!", "pfp?fp!")
    assert [one.label for one in found] == ["pass", "fail", "fail", None, "pass", None, None]
    assert [one.parse_status for one in found[:3]] == [ParseStatus.VOTE] * 3
    assert [one.parse_status for one in found[3:]] == [
        ParseStatus.UNPARSED,
        ParseStatus.VOTE,
        ParseStatus.ERROR,
        ParseStatus.ERROR,
    ]
    assert all(one.judge_digest == PANEL.digest for one in found)
    assert [one.input_digest for one in found] == [f"item-{n}" for n in range(7)]
    assert {one.attempts for one in found} == {6}
    assert found[0].rationale == "\n\n".join(f"judge-{n} (pass): judge-{n} says p" for n in range(3))
    assert "judge-0 (unparsed): judge-0 says ?" in found[3].rationale


def test_two_judges_must_agree_and_abstentions_win_nothing() -> None:
    assert [one.label for one in voted("ppf?", "pff?")] == ["pass", None, "fail", None]
    assert [one.label for one in voted("p", "?")] == [None], "one of two is no majority"
    assert [one.label for one in voted("p", "p", "?", "?")] == [None], "nor are two of four"


def test_the_score_is_the_mean_of_those_who_prevailed() -> None:
    (found,) = voted("p", "P", "F")
    assert found.score == pytest.approx((0.75 + 1.0) / 2)
    assert [one.score for one in voted("p", "F")] == [None]


@given(st.lists(st.text(alphabet="pPfF?!", min_size=4, max_size=4), min_size=1, max_size=5))
def test_score_and_label_never_contradict_each_other_and_order_does_not_matter(texts: list[str]) -> None:
    found = voted(*texts)
    for one in found:
        assert (one.score is None) == (one.label is None)
        if one.score is not None:
            assert RUBRIC.label(one.score) == one.label
    backwards = voted(*reversed(texts))
    assert [(one.label, one.parse_status) for one in found] == [(one.label, one.parse_status) for one in backwards]


def test_judgments_of_different_things_are_not_votes_on_one() -> None:
    with pytest.raises(InputError, match="number 1 are not about the same"):
        panel_vote({"a": said("p"), "b": said("p", about="another")}, "d")
    with pytest.raises(InputError, match="equally many"):
        panel_vote({"a": said("pp"), "b": said("p")}, "d")
    with pytest.raises(InputError, match="at least one judge"):
        panel_vote({}, "d")
    assert panel_vote({"a": [], "b": []}, "d") == []


def test_agreement_of_the_judges() -> None:
    by_judge = {"a": said("ppfffpp?"), "b": said("ppffpppp"), "c": said("pfffppfp")}
    found = panel_agreement(by_judge)
    assert (found.items, found.undecided) == (8, 0)
    assert found.unscored == {"a": 1, "b": 0, "c": 0}
    assert found.by_pair["a", "b"].value == pytest.approx(6 / 8)
    assert found.by_pair["b", "c"].value == pytest.approx(6 / 8)
    assert found.by_pair["a", "c"].value == pytest.approx(4 / 8)
    assert found.agreement.value == pytest.approx((6 + 6 + 4) / 24)
    assert found.split.value == pytest.approx(4 / 8)
    assert found.kappa.value is not None
    assert found.agreement.value is not None
    assert found.kappa.low is not None
    assert -1 <= found.kappa.low < found.kappa.value < found.agreement.value
    undecided = panel_agreement({"a": said("pp"), "b": said("pf")})
    assert (undecided.undecided, undecided.split.value) == (1, 0.5)


def test_agreement_in_clusters_is_known_less_well() -> None:
    texts = {"a": "pf" * 60, "b": "pf" * 50 + "ff" * 10, "c": "pf" * 40 + "pp" * 20}
    by_judge = {name: said(text) for name, text in texts.items()}
    alone, clustered = panel_agreement(by_judge), panel_agreement(by_judge, [n // 6 for n in range(120)])
    for one, other in ((alone.kappa, clustered.kappa), (alone.split, clustered.split)):
        assert one.low is not None
        assert one.high is not None
        assert other.low is not None
        assert other.high is not None
        assert other.value == pytest.approx(one.value)
        assert other.high - other.low > one.high - one.low
    assert clustered.kappa.clusters == 20


def test_judges_that_say_the_same_of_everything_leave_kappa_undefined() -> None:
    found = panel_agreement({"a": said("pp"), "b": said("pp")})
    assert found.kappa.value is None
    assert found.agreement.value == 1.0


def test_agreement_takes_two_judges_and_something_judged() -> None:
    with pytest.raises(InputError, match="two judges"):
        panel_agreement({"a": said("p")})
    with pytest.raises(InputError, match="no judgments"):
        panel_agreement({"a": [], "b": []})


def test_a_panels_identity_is_that_of_its_members_in_any_order() -> None:
    assert Panel((B, C, A)).digest == PANEL.digest
    assert Panel((A,)).digest == A.digest
    assert Panel((A,)).pair_digest == A.pair_digest
    assert len({PANEL.digest, PANEL.pair_digest, Panel((A, B)).digest}) == 3
    other = judge_of("c", pair_template="{criteria}{question}[[{first}]][[{second}]]")
    assert Panel((A, B, other)).digest == PANEL.digest
    assert Panel((A, B, other)).digest_for(PAIR_RUBRIC) != PANEL.digest_for(PAIR_RUBRIC)
    assert PANEL.digest_for(RUBRIC) == PANEL.digest
    assert PANEL.rubric("refusal") == RUBRIC


def test_panels_whose_votes_would_be_none_are_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        Panel(())
    with pytest.raises(InputError, match="two judges are named 'a'"):
        Panel((A, judge_of("b", candidate=judge_of("b").candidate.model_copy(update={"name": "a"}))))
    twin = judge_of("twin", candidate=A.candidate.model_copy(update={"name": "twin"}))
    with pytest.raises(InputError, match="'a' and 'twin' have the same weights"):
        Panel((A, B, twin))
    strict = Rubric(id=RUBRIC.id, version="2", criteria=RUBRIC.criteria, pass_threshold=0.9)
    with pytest.raises(InputError, match="'a' and 'b' do not share the rubric 'refusal'"):
        Panel((A, judge_of("b", rubrics=(strict, PAIR_RUBRIC))))


def test_every_judge_is_held_against_the_candidate() -> None:
    def model(weights: str, family: str | None) -> Candidate:
        manifest = Manifest(model={}, declared_weights=weights, engine=Engine(kind="endpoints"))
        return Candidate(name="flagship", manifest=manifest, family=family)

    kin = judge_of("b", candidate=B.candidate.model_copy(update={"family": "acme"}))
    panel = Panel((judge_of("a", candidate=A.candidate.model_copy(update={"family": "other"})), kin))
    (warning,) = panel.warnings(model("flagship-r1", "acme"))
    assert "judge 'b' and candidate 'flagship' are both of family 'acme'" in warning
    with pytest.raises(InputError, match="judge 'b' has the weights of candidate"):
        panel.warnings(model("b-r1", "acme"))


async def test_a_panel_judges_single_answers_and_pairs(tmp_path: Path) -> None:
    """Three judges, one of which sides with what is shown first, one of which says nothing that can be read."""
    store = SampleStore(open_database(f"sqlite:///{tmp_path}/samples.db"))
    outputs = {"a": "Score: 5 Better: 2", "b": "Score: 4 Better: 2", "c": "Hm."}
    items, pairs = [JudgeItem(prompt_of(), "No.")], [PairItem(prompt_of(), "No.", "Sure.")]
    single: dict[str, list[Judgment]] = {}
    both: dict[str, list[PairJudgment]] = {}
    for judge in PANEL.judges:
        async with Server(always(outputs[judge.name])).served() as served:
            single[judge.name] = await judge_pointwise(items, judge, RUBRIC, served, store, settings=SETTINGS)
            both[judge.name] = await judge_pairwise(pairs, judge, PAIR_RUBRIC, served, store, settings=SETTINGS)
    (one,) = panel_vote(single, PANEL.digest_for(RUBRIC))
    assert (one.label, one.score, one.parse_status) == ("pass", 0.875, ParseStatus.VOTE)
    assert one.input_digest == items[0].input_digest
    assert panel_agreement(single).unscored == {"a": 0, "b": 0, "c": 1}
    (pair,) = panel_vote_pairs(both, PANEL.digest_for(PAIR_RUBRIC))
    assert (pair.first.label, pair.swapped.label, pair.verdict) == ("loss", "win", 0.5)
    assert (pair.first.order, pair.swapped.order) == (0, 1)
    assert pair.first.judge_digest == PANEL.pair_digest


def test_the_same_words_need_no_vote() -> None:
    same = [Judgment("j", "r", "i", 0, 0, 0.5, "tie", "same", ParseStatus.IDENTICAL, 0)]
    (found,) = panel_vote({"a": same, "b": same}, "d")
    assert (found.label, found.parse_status, found.attempts) == ("tie", ParseStatus.IDENTICAL, 0)
