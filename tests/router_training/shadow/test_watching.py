"""A router's traffic watched: counted once, killed and continued, and told apart from what was not drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from golden_sets.errors import InputError
from router_training.always_flagship import always_flagship
from router_training.router import Router
from router_training.shadow.dashboard import dashboard, prices_of
from router_training.shadow.labels import labelled_rows, to_label_rows
from router_training.shadow.raising import clusters_since
from router_training.shadow.store import Scored, ShadowStore, Waiting
from router_training.shadow.summary import summarise
from router_training.shadow.traffic import Batch, Place, Request
from router_training.shadow.watching import ShadowSettings, Watch
from tests.support.shadow_router import HARD, KNOWN, UNSEEN, prompt_of, small_router

LOG = Path("log.jsonl")
CHANGE = 400
DAY = 86_400.0


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    return small_router(tmp_path_factory.mktemp("routers") / "router")


Opened = Callable[[str], Watch]


@pytest.fixture
def opened(router: Router, tmp_path: Path) -> Iterator[Opened]:
    """Open a watch on a state by its name; opening it again is what a later run does."""
    stores: list[ShadowStore] = []

    def open_(name: str, settings: ShadowSettings = SETTINGS) -> Watch:
        stores.append(ShadowStore(tmp_path / name))
        return Watch(router, stores[-1], settings)

    yield open_
    for store in stores:
        store.close()


SETTINGS = ShadowSettings(sample=0.5, seed=1)


def traffic(n: int, *, share: float = 0.25, seed: int = 0) -> list[Request]:
    """Requests of known families; from `CHANGE` on a share of them is of the unseen one."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(n):
        family = UNSEEN if k >= CHANGE and rng.random() < share else str(rng.choice(KNOWN))
        found.append(Request(f"id{k}", prompt_of(family, rng), k / 100 * DAY, family))
    return found


def batches(requests: list[Request], size: int) -> list[Batch]:
    return [
        Batch(tuple(requests[start : start + size]), Place("head", start + size))
        for start in range(0, len(requests), size)
    ]


def scores_of(waiting: list[Waiting], *, lost: float = 0.0) -> list[Scored]:
    """Scores that depend on the id alone; a share ``lost`` of small answers is worth nothing."""
    return [
        Scored(one.number, float(37 * int(one.id[2:]) % 100 >= 100 * lost), 1.0, small_usd=1e-5, flagship_usd=1e-4)
        for one in waiting
    ]


def run(watch: Watch, parts: list[Batch], *, lost: float = 0.0) -> None:
    for part in parts:
        watch.take(part, LOG)
        watch.score(scores_of(watch.waiting(), lost=lost))


def test_a_new_family_rings_and_is_named(opened: Opened) -> None:
    watch = opened("state")
    run(watch, batches(traffic(800), 100))
    drift = [alert for alert in watch.alerts() if alert.kind == "drift"]
    assert drift
    first = drift[0]
    assert CHANGE < first.request <= CHANGE + 200
    assert first.began is not None
    assert CHANGE - 60 <= first.began <= first.request
    assert max(first.clusters[0].families, key=lambda name: first.clusters[0].families[name]) == UNSEEN
    assert first.router == watch.router.digest
    summary = summarise(watch)
    delay = summary.delays[0]
    assert delay.family == UNSEEN
    assert delay.rang_at == first.request
    assert 0 < delay.of_family <= delay.passed == first.request - delay.first + 1
    to_label = to_label_rows(watch, clusters_since(watch.watched, first.began))
    assert {row["family"] for row in to_label if row["cluster"] == 1} == {UNSEEN}
    assert all(row["small_score"] is None for row in to_label)


def test_traffic_as_before_rings_nothing(opened: Opened) -> None:
    watch = opened("state")
    run(watch, batches(traffic(800, share=0.0), 100))
    assert watch.alerts() == []
    summary = summarise(watch)
    assert summary.requests == 800
    assert summary.delays == ()
    assert {one.rang_at for one in summary.tests} == {None}


@pytest.mark.parametrize("lost", [0.5, 1.0])
def test_a_small_model_that_got_worse_rings_though_prompts_are_the_same(opened: Opened, lost: float) -> None:
    watch = opened("state")
    run(watch, batches(traffic(CHANGE), 100), lost=lost)
    kinds = {alert.kind for alert in watch.alerts()}
    assert "drift" not in kinds
    assert {"quality given up", "large differences"} <= kinds
    assert ("daily p75" in kinds) or lost < 1.0
    loss = next(alert for alert in watch.alerts() if alert.kind == "quality given up")
    assert loss.numbers["mean_delta"] == pytest.approx(lost, abs=0.2)
    assert "gives up more than the 5 points it promised" in loss.what
    summary = summarise(watch)
    assert summary.mean_delta is not None
    assert summary.mean_delta.low is not None
    assert summary.mean_delta.low > 0.05
    assert all(day.exceeds for day in summary.days)


def test_a_difference_at_the_limit_is_not_above_it(opened: Opened) -> None:
    """.13 - .01 is more than .12 in floating point."""
    watch = opened("state")
    watch.take(batches(traffic(40), 40)[0], LOG)
    watch.score([Scored(one.number, 0.01, 0.13) for one in watch.waiting()])
    summary = summarise(watch)
    assert summary.large is not None
    assert summary.large.value == 0.0
    assert not any(day.exceeds for day in summary.days)


def test_a_day_whose_quartile_is_seen_to_exceed_is_a_notice_and_no_alert(opened: Opened) -> None:
    """Four replays, two of them lost: P75 is 1, and nothing is proved by it."""
    watch = opened("state")
    run(watch, batches(traffic(12), 12), lost=0.5)
    summary = summarise(watch)
    (day,) = summary.days
    assert day.exceeds
    assert day.proved_by is None
    assert summary.alerts == ()
    (notice,) = summary.notices
    assert (notice.level, notice.kind, notice.request, notice.n) == ("notice", "p75 exceeded", day.last_request, day.n)
    assert (notice.false_alarm, notice.evidence) == (None, None)
    assert notice.numbers["p75"] == day.p75
    assert "not proved" in notice.what
    assert [record["level"] for record in summary.records()] == ["notice"]


def test_a_run_in_pieces_is_the_same_run(opened: Opened) -> None:
    """Other batches, a new process for each, replays that come late: the same decisions, evidence and alerts."""
    requests = traffic(600)
    whole = opened("whole")
    run(whole, batches(requests, 100))
    for part in batches(requests, 100):
        opened("pieces").take(part, LOG)
        piece = opened("pieces")
        piece.score(scores_of(piece.waiting()[:7]))
        piece.score(scores_of(piece.waiting()))
    pieces = opened("pieces")
    assert summarise(pieces).to_json() == summarise(whole).to_json()
    assert [alert.request for alert in pieces.alerts()] == [alert.request for alert in whole.alerts()]


def test_what_came_before_is_counted_once(opened: Opened) -> None:
    requests = traffic(300, share=0)
    watch = opened("state")
    assert watch.take(Batch(tuple(requests[:200]), Place("head", 1)), LOG) == 200
    assert opened("state").take(Batch((*requests[100:300], requests[299]), Place("head", 2)), LOG) == 100
    again = opened("state")
    assert again.store.count() == 300
    assert again.store.places() == {"head": 2}
    waiting = again.waiting()
    again.score(scores_of(waiting))
    before = summarise(again)
    again.score([Scored(one.number, 0.0, 1.0) for one in waiting])
    assert summarise(again).to_json() == before.to_json()
    assert before.scored == len(waiting)


def test_a_request_that_is_logged_twice_counts_where_it_came_first(opened: Opened) -> None:
    one, two, three = traffic(3, share=0)
    opened("whole").take(Batch((one, two, one, three, two), Place("head", 1)), LOG)
    pieces = opened("pieces")
    for number, request in enumerate((one, two, one, three, two), start=1):
        pieces.take(Batch((request,), Place("head", number)), LOG)
    whole = opened("whole")
    assert whole.store.requests(("id", "p_composition")) == pieces.store.requests(("id", "p_composition"))
    assert whole.store.requests(["id"])["id"] == ["id0", "id1", "id2"]


def test_a_batch_that_fails_leaves_no_trace(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies while it writes: the fault is injected where the batch is half written."""
    watch = opened("state")
    run(watch, batches(traffic(100, share=0), 100))
    before = summarise(watch).to_json()

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    second = batches(traffic(200, share=0), 100)[1]
    with monkeypatch.context() as patch:
        patch.setattr("router_training.shadow.store._keep", dies)
        with pytest.raises(KeyboardInterrupt):
            watch.take(second, LOG)
    after = opened("state")
    assert summarise(after).to_json() == before
    assert after.take(second, LOG) == 100


def test_an_alert_that_was_not_written_any_more_is_written_by_the_next_process(opened: Opened) -> None:
    """Between a batch and its alerts there are two transactions: what a process does that dies in between."""
    watch = opened("state")
    run(watch, batches(traffic(CHANGE), 100), lost=1.0)
    before = watch.alerts()
    assert {alert.test for alert in before} >= {"loss", "large", "p75"}
    with watch.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM alerts")
    assert [alert.test for alert in opened("state").alerts()] == [alert.test for alert in before]


def test_only_small_routed_requests_are_drawn_with_the_stated_probability(opened: Opened) -> None:
    watch = opened("state")
    run(watch, batches(traffic(CHANGE), 100))
    seen = watch.store.requests(("model", "probability", "family"))
    drawn = [probability is not None for probability in seen["probability"]]
    assert {model for model, one in zip(seen["model"], drawn, strict=True) if one} == {"small"}
    assert {one for one in seen["probability"] if one is not None} == {0.5}
    assert 0.4 < sum(drawn) / seen["model"].count("small") < 0.6
    hard = [model for model, family in zip(seen["model"], seen["family"], strict=True) if family in HARD]
    assert hard.count("flagship") > 0.8 * len(hard)


def test_unscored_replays_are_counted_and_left_out(opened: Opened) -> None:
    watch = opened("state")
    watch.take(batches(traffic(200, share=0), 200)[0], LOG)
    waiting = watch.waiting()
    watch.score([Scored(waiting[0].number, None, 1.0), *scores_of(waiting[1:])])
    summary = summarise(watch)
    assert (summary.unscored, summary.scored, summary.waiting) == (1, len(waiting) - 1, 0)
    assert len(labelled_rows(watch)) == len(waiting) - 1


def test_tests_of_quality_wait_for_replays_in_the_order_of_arrival(opened: Opened) -> None:
    watch = opened("state")
    watch.take(batches(traffic(200, share=0), 200)[0], LOG)
    first, *rest = watch.waiting()
    watch.score(scores_of(rest))
    assert watch.labelled() == []
    watch.score(scores_of([first]))
    assert [one.request for one in watch.labelled()] == [first.number, *(one.number for one in rest)]


def test_a_higher_sample_later_is_weighted(opened: Opened, router: Router, tmp_path: Path) -> None:
    watch = opened("state")
    run(watch, batches(traffic(200, share=0), 200))
    store = ShadowStore(tmp_path / "state")
    try:
        later = Watch(router, store, ShadowSettings(sample=1.0, seed=1))
        later.take(batches(traffic(400, share=0), 200)[1], LOG)
        later.score(scores_of(later.waiting()))
        weights = {row["weight"] for row in labelled_rows(later)}
        assert weights == {1.0, 0.5}
    finally:
        store.close()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (ShadowSettings(sample=0.1, seed=1), "may be raised, not lowered"),
        (ShadowSettings(sample=0.5, seed=2), "begun with seed = 1"),
        (ShadowSettings(sample=0.5, seed=1, false_alarm=0.2), "begun with false_alarm"),
    ],
)
def test_a_state_is_not_continued_under_other_rules(
    opened: Opened, router: Router, tmp_path: Path, settings: ShadowSettings, why: str
) -> None:
    opened("state").take(batches(traffic(50), 50)[0], LOG)
    store = ShadowStore(tmp_path / "state")
    try:
        with pytest.raises(InputError, match=why):
            Watch(router, store, settings)
    finally:
        store.close()


def test_a_router_that_learnt_nothing_is_not_watched(tmp_path: Path) -> None:
    store = ShadowStore(tmp_path)
    try:
        with pytest.raises(InputError, match="sends everything to the flagship"):
            Watch(always_flagship(), store, SETTINGS)
    finally:
        store.close()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="sampled share"):
        ShadowSettings(sample=0.0)
    with pytest.raises(InputError, match="chance"):
        ShadowSettings(false_alarm=1.0)


def test_odd_prompts_pass_through(opened: Opened) -> None:
    odd = ["", "   ", "x" * 200_000, "\x00\u202e", "日本語のプロンプト", "word " * 5000]
    watch = opened("state")
    requests = tuple(Request(f"odd{k}", text, None, None) for k, text in enumerate(odd))
    taken = watch.take(Batch(requests, Place("head", 1)), LOG)
    assert taken == len(odd)
    assert set(watch.store.requests(("model",))["model"]) == {"flagship"}
    assert summarise(watch).dashboard[0].requests == len(odd)


def test_the_dashboard_judges_cost_and_nothing_else() -> None:
    prices = prices_of([{"small_usd": 1.0, "flagship_usd": 3.0}, {"small_usd": None, "flagship_usd": 5.0}])
    assert (prices.small_usd, prices.flagship_usd) == (1.0, 4.0)
    flagship = np.array([True, False, False, False, True, True])
    days = dashboard([0.0, 1.0, 2.0, 3.0, DAY, DAY], flagship, prices, forecast_share=0.25)
    assert [(day.requests, day.usd_per_request, day.green) for day in days] == [(4, 1.75, True), (2, 4.0, False)]
    unpriced = dashboard([None] * 4, flagship[:4], prices_of([]), forecast_share=0.25)
    assert [(day.day, day.green, day.usd_per_request) for day in unpriced] == [(0, True, None)]
