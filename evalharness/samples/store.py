"""Look-ups and writes of the sample store (SQLAlchemy Core; SQLite or PostgreSQL).

A finished sample is written once and never changed. A *failed* one (a generation with an error, a judgment whose
request failed) is kept as the record of the attempt, and is the only thing that may be replaced: by a later attempt,
whose ``attempts`` then count the earlier ones too. A judgment that could not be parsed is finished: it is unscored,
not failed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Engine, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from evalharness.database import database_errors, write_transaction
from evalharness.generation_records import Generation, Judgment, ParseStatus
from evalharness.samples.making import make_tables
from evalharness.samples.tables import (
    GENERATIONS,
    JUDGMENTS,
    generation_of,
    generation_row,
    judgment_of,
    judgment_row,
)
from evalharness.samples.writer import SampleWriter
from golden_sets.digests import Digest

_LOOKUP_CHUNK = 500
"""Digests per query: well below every database's limit on bound parameters."""


class SampleStore:
    """The generations and judgments of one database. Safe to use from several threads and processes.

    Args:
        engine: from :func:`evalharness.database.open_database`; the tables are made if they are not there.

    Raises:
        InfrastructureError: the tables cannot be made.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._upserts = {
            table: _upsert(engine, table, failed)
            for table, failed in (
                (GENERATIONS, GENERATIONS.c.error.is_not(None)),
                (JUDGMENTS, JUDGMENTS.c.parse_status == ParseStatus.ERROR.value),
            )
        }
        make_tables(engine)

    def generations(
        self, candidate_digest: Digest, request_digests: Iterable[Digest], *, repeats: int = 1, run: str = ""
    ) -> dict[tuple[Digest, int], Generation]:
        """Stored generations of one candidate, failed ones included, by (request digest, repeat).

        Args:
            candidate_digest: the candidate.
            request_digests: the requests wanted.
            repeats: only repeats 0 ... repeats - 1.
            run: the run they belong to; empty for answers that any run may reuse.

        Raises:
            InfrastructureError: the database cannot be read.
        """
        table = GENERATIONS
        found: dict[tuple[Digest, int], Generation] = {}
        for chunk in _chunks(request_digests):
            query = select(table).where(
                table.c.candidate_digest == candidate_digest,
                table.c.request_digest.in_(chunk),
                table.c.repeat < repeats,
                table.c.run == run,
            )
            for row in self._rows(query):
                generation = generation_of(row)
                found[generation.request_digest, generation.repeat] = generation
        return found

    def judgments(
        self, judge_digest: Digest, rubric_digest: Digest, input_digests: Iterable[Digest], *, repeats: int = 1
    ) -> dict[tuple[Digest, int, int], Judgment]:
        """Stored judgments of one judge under one rubric, failed ones included, by (input digest, order, repeat).

        Raises:
            InfrastructureError: the database cannot be read.
        """
        table = JUDGMENTS
        found: dict[tuple[Digest, int, int], Judgment] = {}
        for chunk in _chunks(input_digests):
            query = select(table).where(
                table.c.judge_digest == judge_digest,
                table.c.rubric_digest == rubric_digest,
                table.c.input_digest.in_(chunk),
                table.c.repeat < repeats,
            )
            for row in self._rows(query):
                judgment = judgment_of(row)
                found[judgment.input_digest, judgment.order, judgment.repeat] = judgment
        return found

    def counts(self) -> dict[str, int]:
        """How many ``generations`` and judges' ``judgments`` are stored, and how many of each failed (``failed_*``)."""
        gen, jud = GENERATIONS, JUDGMENTS
        failed_judgment = jud.c.parse_status == ParseStatus.ERROR.value
        by_judge = jud.c.parse_status != ParseStatus.DETECTED.value
        with database_errors(self.engine), self.engine.connect() as connection:
            return {
                "generations": connection.execute(select(func.count()).select_from(gen)).scalar_one(),
                "failed_generations": connection.execute(select(func.count(gen.c.error))).scalar_one(),
                "judgments": connection.execute(select(func.count()).select_from(jud).where(by_judge)).scalar_one(),
                "failed_judgments": connection.execute(select(func.count()).where(failed_judgment)).scalar_one(),
            }

    def write(self, records: Sequence[Generation | Judgment]) -> None:
        """Store a batch in one transaction; see the module's rule for what may be replaced.

        Raises:
            InfrastructureError: the disk is full, the database is locked or damaged. Nothing of the batch is stored.
        """
        generations = [generation_row(r) for r in records if isinstance(r, Generation)]
        judgments = [judgment_row(r) for r in records if isinstance(r, Judgment)]
        # Always in key order: on PostgreSQL two writers of the same samples would otherwise lock each other out.
        generations.sort(key=itemgetter(*(c.name for c in GENERATIONS.primary_key)))
        judgments.sort(key=itemgetter(*(c.name for c in JUDGMENTS.primary_key)))
        with write_transaction(self.engine) as connection:
            if generations:
                connection.execute(self._upserts[GENERATIONS], generations)
            if judgments:
                connection.execute(self._upserts[JUDGMENTS], judgments)

    def writer(self) -> SampleWriter:
        """A batching writer into this store, to be used with ``async with``."""
        return SampleWriter(self.write)

    @asynccontextmanager
    async def writing(self, writer: SampleWriter | None = None) -> AsyncIterator[SampleWriter]:
        """A writer for the length of the context: the one given, which stays open, or one of its own."""
        if writer is not None:
            yield writer
        else:
            async with self.writer() as own:
                yield own

    def _rows(self, query: Any) -> Iterator[Any]:
        with database_errors(self.engine), self.engine.connect() as connection:
            yield from connection.execute(query).mappings()


def _upsert(engine: Engine, table: Table, failed: ColumnElement[bool]) -> Any:
    """``INSERT ... ON CONFLICT DO UPDATE ... WHERE the stored row is a failed one``; both dialects spell it alike."""
    insert = postgresql.insert(table) if engine.dialect.name == "postgresql" else sqlite.insert(table)
    keys = [c.name for c in table.primary_key]
    changes: dict[str, Any] = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in keys}
    changes["attempts"] = table.c.attempts + insert.excluded.attempts
    return insert.on_conflict_do_update(index_elements=keys, set_=changes, where=failed)


def _chunks(digests: Iterable[Digest]) -> Iterator[list[Digest]]:
    unique = iter(dict.fromkeys(digests))
    while chunk := list(islice(unique, _LOOKUP_CHUNK)):
        yield chunk
