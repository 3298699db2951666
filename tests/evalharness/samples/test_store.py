from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from evalharness.database import open_database
from evalharness.generation_records import ErrorKind, Generation, Judgment, ParseStatus
from evalharness.samples import SampleStore, SampleWriter
from golden_sets.errors import InfrastructureError
from tests.support.generations import ANSWER

FAILURE = replace(ANSWER, text="", finish_reason=None, error=ErrorKind.TIMEOUT, error_detail="too slow", attempts=4)
VERDICT = Judgment(
    judge_digest="sha256:j",
    rubric_digest="sha256:u",
    input_digest="sha256:i",
    order=0,
    repeat=0,
    score=0.75,
    label="pass",
    rationale="Final: X Score: 4",
    parse_status=ParseStatus.LOGPROBS,
)


def stored(store: SampleStore) -> Generation:
    return store.generations("sha256:c", ["sha256:r"])["sha256:r", 0]


def test_what_is_written_is_read_back_unchanged(store: SampleStore) -> None:
    other = replace(ANSWER, repeat=1, text="zwei \u2028 \N{SNOWMAN}", ttft_s=None, tpot_s=None, output_tokens=None)
    store.write([ANSWER, VERDICT, other])
    assert store.generations("sha256:c", ["sha256:r", "sha256:none"], repeats=2) == {
        ("sha256:r", 0): ANSWER,
        ("sha256:r", 1): other,
    }
    assert store.judgments("sha256:j", "sha256:u", ["sha256:i"]) == {("sha256:i", 0, 0): VERDICT}


def test_only_what_was_asked_for_is_found(store: SampleStore) -> None:
    store.write([ANSWER, replace(ANSWER, repeat=1), replace(ANSWER, run="pass-1"), VERDICT, replace(VERDICT, order=1)])
    assert set(store.generations("sha256:c", ["sha256:r"])) == {("sha256:r", 0)}
    assert store.generations("sha256:other", ["sha256:r"]) == {}
    assert stored(store).run == ""
    assert store.generations("sha256:c", ["sha256:r"], run="pass-1")["sha256:r", 0].run == "pass-1"
    assert set(store.judgments("sha256:j", "sha256:u", ["sha256:i"])) == {("sha256:i", 0, 0), ("sha256:i", 1, 0)}
    assert store.judgments("sha256:j", "sha256:other", ["sha256:i"]) == {}


def test_more_digests_than_a_database_takes_parameters(store: SampleStore) -> None:
    digests = [f"sha256:{i}" for i in range(40_000)]
    store.write([replace(ANSWER, request_digest=d) for d in digests[::10]])
    assert len(store.generations("sha256:c", digests)) == 4000


def test_a_finished_sample_is_never_changed(store: SampleStore) -> None:
    store.write([ANSWER, VERDICT])
    store.write([replace(ANSWER, text="another"), FAILURE, replace(VERDICT, score=0.0)])
    assert stored(store) == ANSWER
    assert store.judgments("sha256:j", "sha256:u", ["sha256:i"])["sha256:i", 0, 0] == VERDICT


def test_a_failure_is_kept_until_a_later_attempt_replaces_it(store: SampleStore) -> None:
    store.write([FAILURE])
    assert stored(store) == FAILURE
    store.write([replace(FAILURE, error=ErrorKind.HTTP_5XX, attempts=2)])
    assert (stored(store).error, stored(store).attempts) == (ErrorKind.HTTP_5XX, 6)
    store.write([ANSWER])
    assert stored(store) == replace(ANSWER, attempts=7)


def test_a_failed_judgment_is_replaced_but_an_unparsed_one_is_final(store: SampleStore) -> None:
    failed = replace(VERDICT, score=None, label=None, parse_status=ParseStatus.ERROR)
    unparsed = replace(failed, repeat=1, parse_status=ParseStatus.UNPARSED)
    store.write([failed, unparsed])
    store.write([VERDICT, replace(VERDICT, repeat=1)])
    found = store.judgments("sha256:j", "sha256:u", ["sha256:i"], repeats=2)
    assert found["sha256:i", 0, 0].score == 0.75
    assert found["sha256:i", 0, 1] == unparsed


def test_text_that_no_database_takes_is_made_storable(store: SampleStore) -> None:
    store.write([replace(ANSWER, text="a\0b\ud800c")])
    assert stored(store).text == "a\ufffdb?c"


def test_counts(store: SampleStore) -> None:
    store.write([ANSWER, replace(FAILURE, repeat=1), VERDICT])
    assert store.counts() == {"generations": 2, "failed_generations": 1, "judgments": 1, "failed_judgments": 0}


def test_a_second_store_on_the_same_file_sees_everything(store: SampleStore, tmp_path: Path) -> None:
    store.write([ANSWER])
    assert stored(SampleStore(open_database(f"sqlite:///{tmp_path}/samples.db"))) == ANSWER


def made_by_an_older_version(engine: Engine) -> None:
    """A store with one answer, as it was before answers knew the ledger."""
    SampleStore(engine).write([replace(ANSWER, ledger_index=None)])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE generations DROP COLUMN ledger_index"))


def test_an_older_database_is_brought_up_to_date_and_keeps_what_it_holds(engine: Engine) -> None:
    made_by_an_older_version(engine)
    store = SampleStore(engine)
    assert stored(store) == ANSWER
    store.write([replace(ANSWER, repeat=1, ledger_index=7)])
    assert store.generations("sha256:c", ["sha256:r"], repeats=2)["sha256:r", 1].ledger_index == 7
    assert stored(SampleStore(engine)) == ANSWER, "opening it again changes nothing"


def test_an_older_database_may_be_opened_by_several_at_once(engine: Engine) -> None:
    made_by_an_older_version(engine)
    with ThreadPoolExecutor(6) as pool:
        assert all(found == ANSWER for found in pool.map(lambda _: stored(SampleStore(engine)), range(12)))


def test_several_writers_of_the_same_samples_do_not_get_in_each_others_way(store: SampleStore, tmp_path: Path) -> None:
    samples = [replace(ANSWER, repeat=repeat) for repeat in range(50)]

    def write(number: int) -> None:
        own = SampleStore(open_database(f"sqlite:///{tmp_path}/samples.db"))
        for _ in range(5):
            own.write(samples if number % 2 else samples[::-1])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert list(store.generations("sha256:c", ["sha256:r"], repeats=50).values()) == samples


def test_a_full_disk_is_one_clear_error_and_what_was_stored_stays(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/small.db")

    @event.listens_for(engine, "connect")
    def _limit(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 40")

    engine.dispose()
    store = SampleStore(engine)
    store.write([ANSWER])
    with pytest.raises(InfrastructureError, match=r"small\.db: .*full.* - free space"):
        store.write([replace(ANSWER, repeat=i, text="x" * 4000) for i in range(1, 200)])
    assert store.counts()["generations"] == 1
    assert stored(store) == ANSWER


async def test_the_writer_stores_within_its_interval_and_at_the_end(store: SampleStore) -> None:
    async with store.writer() as writer:
        writer.put(ANSWER)
        await asyncio.sleep(0.4)
        assert store.counts()["generations"] == 1
        writer.put(VERDICT)
    assert store.counts()["judgments"] == 1


async def test_the_writer_batches() -> None:
    batches: list[int] = []

    def write(batch: Sequence[Generation | Judgment]) -> None:
        batches.append(len(batch))

    async with SampleWriter(write) as writer:
        for repeat in range(3000):
            writer.put(replace(ANSWER, repeat=repeat))
    assert sum(batches) == 3000
    assert len(batches) < 10


async def test_the_writer_stores_what_is_left_when_the_run_is_cancelled(store: SampleStore) -> None:
    async def run() -> None:
        async with store.writer() as writer:
            writer.put(ANSWER)
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored(store) == ANSWER


async def test_a_failed_write_stops_the_run_at_the_next_sample(tmp_path: Path) -> None:
    store = SampleStore(open_database(f"sqlite:///{tmp_path}/x.db"))
    with store.engine.begin() as connection:
        connection.execute(text("DROP TABLE generations"))
        connection.execute(text("CREATE TABLE generations (x INTEGER)"))
    with pytest.raises(Exception, match="generations"):  # noqa: PT012 - which put raises is a matter of time
        async with store.writer() as writer:
            writer.put(ANSWER)
            await asyncio.sleep(0.5)
            writer.put(ANSWER)
            pytest.fail("the second put must raise")


async def test_a_failed_last_write_is_raised_on_leaving() -> None:
    def write(_batch: Sequence[Generation | Judgment]) -> None:
        raise InfrastructureError("disk full")

    with pytest.raises(InfrastructureError, match="disk full"):
        async with SampleWriter(write) as writer:
            writer.put(ANSWER)
