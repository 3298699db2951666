"""Routers through the same gate and registry as models: compared, counted, promoted, rolled back, and outdated."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalharness.metrics import METRICS, measure, rows_for
from gates.decision import Status, Verdict
from gates.staleness import STALE
from golden_sets.digests import digest_json
from golden_sets.errors import InputError
from golden_sets.records import Record
from pipelines.progress import Progress
from pipelines.router_release import incumbent_of, release_router
from pipelines.router_staleness import outdated_routers
from router_training.always_flagship import NAME, always_flagship
from router_training.evaluating import evaluate_router
from router_training.frozen_test import FrozenTest
from tests.support.router_releases import RouterLine, scored

FIRST, SECOND = digest_json("flagship one"), digest_json("flagship two")


class Version(Record):
    """A model's manifest, as far as a registry cares."""

    revision: str


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("base")
    RouterLine(directory).router("any")
    return directory / "base"


@pytest.fixture
def line(tmp_path: Path, base: Path) -> RouterLine:
    shutil.copytree(base, tmp_path / "base")
    return RouterLine(tmp_path)


def statuses(line: RouterLine, name: str, threshold: float, hard: float = 0.0) -> dict[str, Status]:
    found = line.release(line.router(name, threshold=threshold), scored(hard=hard)).decision
    return {check.id: check.status for check in found.checks}


def test_a_good_router_is_promoted_over_sending_everything_to_the_flagship(line: RouterLine) -> None:
    router = line.router("first")
    result = line.release(router, scored())
    decision, registry = result.decision, line.place().registry
    assert (decision.verdict, decision.incumbent_name, decision.attempt) == (Verdict.PROMOTE, NAME, 1)
    assert result.promoted
    assert [move.kind for move in result.state.history] == ["seed", "promote"]
    assert result.state.digest == router.digest
    assert registry.show("first").kind == "router"
    assert registry.show("first").manifest["head"] == router.router.manifest.head
    assert registry.verify().problems == ()
    evidence = registry.evidence(decision.evidence_digest)
    assert evidence.subject_kind == "router"
    table = registry.outcomes(evidence)
    timed = rows_for(METRICS["routing_s"], table, {}).arm("candidate")
    assert len(timed) == 800
    assert (timed.numbers("e2e_s") > 0).all()
    share = measure("flagship_share", table.arm("candidate").phase("quality"), "candidate", calibrations=())
    assert result.share is not None
    assert share.estimate(0.95).value == result.share.value
    assert result.reports.exist()


def test_a_router_that_gives_up_too_much_is_blocked_whatever_it_saves(line: RouterLine) -> None:
    found = statuses(line, "greedy", threshold=1.0)
    assert found["quality"] is Status.FAIL
    assert found["cost"] is not Status.PASS or found["share"] is Status.PASS
    assert line.place().current().name == NAME


def test_the_next_router_is_compared_with_the_one_that_is_served(line: RouterLine) -> None:
    line.release(line.router("first"), scored())
    again = line.release(line.router("second", threshold=0.49), scored())
    assert again.decision.incumbent_name == "first"
    assert again.decision.attempt == 2
    jump = next(check for check in again.decision.checks if check.id == "jump")
    assert jump.estimate.value is not None
    assert abs(jump.estimate.value) < 0.05
    assert again.exposures == {"routing-test": 2}


def test_a_jump_of_the_flagship_share_is_bounded(line: RouterLine) -> None:
    line.release(line.router("first"), scored())
    found = statuses(line, "timid", threshold=0.1)
    assert found["jump"] is Status.FAIL
    assert found["quality"] is Status.PASS


def test_the_same_release_again_returns_the_recorded_decision(line: RouterLine) -> None:
    router, pairs = line.router("first"), scored()
    first = line.release(router, pairs)
    before = line.place().registry.log()
    again = line.release(router, pairs, against=NAME)
    assert again.recorded
    assert again.decision == first.decision
    assert again.promoted
    assert line.place().registry.log() == before


def test_equal_routers_are_called_equal(line: RouterLine) -> None:
    pairs = scored()
    place = line.place()
    router = line.router("first")
    line.release(router, pairs)
    twin = line.router("twin", threshold=0.5, judge=digest_json("another manifest, the same decisions"))
    decision = line.release(twin, pairs).decision
    quality = next(check for check in decision.checks if check.id == "quality")
    assert quality.estimate.value == 0.0
    assert decision.verdict is Verdict.PROMOTE
    assert place.current().name == "twin"


def test_other_scores_are_another_attempt(line: RouterLine) -> None:
    router = line.router("first")
    line.release(router, scored())
    result = line.release(router, scored(seed=6), against=NAME)
    assert (result.recorded, result.decision.attempt) == (False, 2)


def test_a_small_model_that_is_often_wrong_where_it_is_trusted_is_noticed(line: RouterLine) -> None:
    assert statuses(line, "first", threshold=0.5, hard=0.2)["quality"] is Status.FAIL


class TestStale:
    def test_a_change_of_the_flagship_blocks_and_says_why(self, line: RouterLine) -> None:
        registry = line.place().registry
        first, second = (registry.register(name, Version(revision=name)) for name in ("flagship-1", "flagship-2"))
        registry.promote("flagship", "production", first, decision_digest=None, expected_generation=0, reason="seed")
        router = line.router("router", flagship=first, small=digest_json("small"))
        fresh = line.release(router, scored())
        assert fresh.promoted
        assert any("the small it was measured with" in note for note in fresh.decision.notes)
        _serve(line, second)
        stale = line.release(router, scored(), against=NAME)
        assert stale.decision.verdict is Verdict.BLOCK
        assert stale.decision.reason.startswith(f"{STALE}: the flagship is 'flagship-2'")
        assert not stale.recorded
        assert "attempted" in [event.type for event in registry.log()]
        assert [event.type for event in registry.log()].count("attempted") == 1
        assert line.release(router, scored(), against=NAME).recorded
        (warning,) = outdated_routers(registry, registry.channel("flagship", "production"))
        assert "'router'" in warning
        assert "train it again" in warning

    def test_a_router_for_other_models_than_are_served_is_never_promoted(self, line: RouterLine) -> None:
        registry = line.place().registry
        served = registry.register("flagship-1", Version(revision="1"))
        registry.promote("flagship", "production", served, decision_digest=None, expected_generation=0, reason="seed")
        result = line.release(line.router("router", flagship=FIRST), scored())
        assert (result.exit_code, result.promoted) == (1, False)
        assert line.place().current().name == NAME


def _serve(line: RouterLine, digest: str) -> None:
    """Move channel flagship to another version, by a decision as it takes one."""
    from gates.gate import gate
    from tests.support.evidence import FLOOR, measured, policy, rows, table

    registry = line.place().registry
    state = registry.channel("flagship", "production")
    about = measured(table(rows([1.0] * 500)), name="flagship-2")
    named = {"subject_digest": digest, "incumbent_name": state.name, "incumbent_digest": state.digest}
    evidence = about.evidence.model_copy(update=named)
    made = policy(FLOOR)
    registry.record_policy(made)
    registry.record_evidence(evidence, about.outcomes.to_parquet())
    decision = gate(made, type(about)(evidence, about.outcomes))
    registry.record_decision(decision)
    registry.promote(
        "flagship",
        "production",
        digest,
        decision_digest=decision.digest,
        expected_generation=state.generation,
        reason="better",
    )


class TestArchive:
    def test_what_is_served_is_kept_and_checked_when_it_is_loaded(self, line: RouterLine) -> None:
        router = line.router("first")
        line.release(router, scored())
        shutil.rmtree(line.directory / "first")
        place = line.place()
        kept = incumbent_of(place, None)
        assert (kept.name, kept.digest) == ("first", router.digest)
        head = place.archive.place(router.digest) / "head.safetensors"
        data = bytearray(head.read_bytes())
        data[-1] ^= 1
        head.write_bytes(bytes(data))
        with pytest.raises(InputError, match="is not the file that the manifest names"):
            incumbent_of(place, None)

    def test_a_channel_goes_back_to_no_router(self, line: RouterLine) -> None:
        line.release(line.router("first"), scored())
        place = line.place()
        state = place.current()
        place.registry.rollback(
            "router",
            "production",
            always_flagship().digest,
            expected_generation=state.generation,
            reason="complaints",
        )
        assert incumbent_of(line.place(), None).name == NAME

    def test_files_that_are_gone_are_named(self, line: RouterLine) -> None:
        line.release(line.router("first"), scored())
        shutil.rmtree(line.place().archive.directory)
        with pytest.raises(InputError, match="the files of router 'first'"):
            incumbent_of(line.place(), None)


def test_a_router_takes_no_model_s_name_and_no_model_s_channel(line: RouterLine) -> None:
    registry = line.place().registry
    registry.register("first", Version(revision="1"))
    with pytest.raises(InputError, match="is the name of a model"):
        line.release(line.router("first"), scored())
    with pytest.raises(InputError, match="'first' is a model"):
        registry.promote(
            "router",
            "production",
            registry.resolve("first"),
            decision_digest=None,
            expected_generation=0,
            reason="by mistake",
        )


def test_without_promotion_nothing_is_served(line: RouterLine) -> None:
    result = line.release(line.router("first"), scored(), promote=False)
    assert (result.decision.verdict, result.promoted) == (Verdict.PROMOTE, False)
    assert line.place().current().digest is None
    assert line.release(line.router("first"), scored()).promoted


def test_the_report_shows_the_frontier_and_the_forecast(line: RouterLine) -> None:
    router, pairs = line.router("first"), scored()
    reference = router.router.reference
    assert reference is not None
    evaluation = evaluate_router(
        pairs,
        router.router.decide(pairs.prompts),
        router.router.manifest.operating_point,
        calibration_p_hard=reference.p_hard,
    )
    result = line.release(router, pairs, evaluation=evaluation)
    page = result.reports.html.read_text()
    assert page.count("data:image/svg+xml;base64,") == 3
    assert "100.0 % did before: a jump of -" in page
    document = json.loads(result.reports.json.read_text())
    titles = [section["title"] for section in document["report"]["sections"]]
    assert titles == ["The router", "The frontier", "Calibration, by length and family"]
    rules = [row[0] for row in document["report"]["sections"][1]["tables"][0]["rows"]]
    assert {"this router", "length", "random", "oracle"} <= set(rules)
    for path in (result.reports.html, result.reports.json, result.reports.markdown):
        path.unlink()
    again = line.release(router, pairs, against=NAME)
    assert again.recorded
    assert again.reports.html.read_text().count("data:image/svg+xml;base64,") == 3


@pytest.mark.slow
def test_a_release_is_mirrored_like_a_model_s(line: RouterLine) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{line.directory / 'mlflow.db'}"
    place = replace(line.place(), mlflow_uri=uri)
    router, test = line.router("first"), FrozenTest.of_pairs(scored())
    result = release_router(place, router, incumbent_of(place, None), test, progress=Progress(quiet=True))
    assert result.warnings == ()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    served = client.get_model_version_by_alias("router", "production")
    assert served.source == f"relgate:{router.digest}"
    run = client.get_run(str(served.run_id))
    assert run.data.params["head"] == "ridge"
    assert run.data.metrics["flagship_share"] == pytest.approx(result.share.value if result.share else None)
    assert run.data.tags["relgate.verdict"] == "promote"


def test_prompts_of_one_group_are_one_prompt(line: RouterLine) -> None:
    """Eight hundred rows in twelve groups prove nothing."""
    pairs = scored()
    grouped = type(pairs)(**{**pairs.__dict__, "groups": np.arange(800) % 12})
    found = line.release(line.router("first"), grouped).decision
    quality = next(check for check in found.checks if check.id == "quality")
    assert quality.estimate.clusters == 12
    assert quality.status is Status.INCONCLUSIVE
