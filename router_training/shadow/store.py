"""What shadow validation remembers between runs: one SQLite file, every batch of it written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from evalharness.database import open_database, write_transaction
from golden_sets.errors import InfrastructureError, InputError
from router_training.heads.head import Matrix
from router_training.pairs import DIGITS
from router_training.shadow.alerts import Alert
from router_training.shadow.quality import Labelled
from router_training.shadow.traffic import Place

FILE = "shadow.db"
RECENT = 5000
"""Newest requests whose embedding and prompt are kept; of older ones the numbers are, and prompts that were sampled."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS logs (head TEXT PRIMARY KEY, path TEXT NOT NULL, position INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS requests (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time REAL, family TEXT,"
    " model TEXT NOT NULL, reason TEXT NOT NULL, p_hard REAL NOT NULL, expected_delta REAL NOT NULL,"
    " composition REAL NOT NULL, novelty REAL NOT NULL, band REAL NOT NULL,"
    " p_composition REAL NOT NULL, p_novelty REAL NOT NULL, p_band REAL NOT NULL,"
    " e_composition REAL NOT NULL, e_novelty REAL NOT NULL, e_band REAL NOT NULL,"
    " probability REAL, prompt TEXT, expected TEXT, embedding BLOB)",
    "CREATE TABLE IF NOT EXISTS replays (number INTEGER PRIMARY KEY REFERENCES requests(number),"
    " state TEXT NOT NULL CHECK (state IN ('waiting', 'scored', 'unscored')), small_score REAL, flagship_score REAL,"
    " small_usd REAL, flagship_usd REAL, e_loss REAL, e_large REAL)",
    "CREATE TABLE IF NOT EXISTS tests (name TEXT PRIMARY KEY, state TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS alerts (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL)",
)


_REPLAY_COLUMNS = (
    *("number", "id", "time", "family", "prompt", "probability", "p_hard", "expected_delta", "state"),
    *("small_score", "flagship_score", "small_usd", "flagship_usd", "e_loss", "e_large"),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A request as it is remembered."""

    number: int
    """In the order of arrival, from 1."""
    id: str
    time: float | None
    family: str | None
    model: str
    reason: str
    p_hard: float
    expected_delta: float
    composition: float
    novelty: float
    band: float
    p_composition: float
    p_novelty: float
    p_band: float
    e_composition: float
    """Evidence after it, common logarithm; the same for the next two."""
    e_novelty: float
    e_band: float
    probability: float | None
    """With which it was sampled; None: it was not."""
    prompt: str | None
    expected: str | None
    """What its answer is scored by, JSON."""
    embedding: bytes | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sampled request that is to be replayed."""

    number: int
    id: str
    prompt: str
    expected: Mapping[str, Any] | None
    """What its answers are scored by, where the log knows."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of a replay."""

    number: int
    small_score: float | None
    """In [0, 1]; None: it could not be scored."""
    flagship_score: float | None
    small_usd: float | None = None
    flagship_usd: float | None = None

    @property
    def is_scored(self) -> bool:
        """Whether both answers have a score."""
        return self.small_score is not None and self.flagship_score is not None


class ShadowStore:
    """The file. One process works on it at a time.

    Args:
        directory: of the state; made where it is missing.

    Raises:
        InfrastructureError: it cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._engine = open_database(f"sqlite:///{(directory / FILE).resolve()}")
        with self.writing() as connection:
            for table in _TABLES:
                connection.execute(text(table))

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction."""
        with write_transaction(self._engine) as connection:
            yield connection

    # -- settings ------------------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """What the state was begun with; empty for a new one."""
        return {name: json.loads(value) for name, value in self._rows("SELECT name, value FROM settings")}

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Remember what the state is begun with."""
        with self.writing() as connection:
            for name, value in settings.items():
                connection.execute(
                    text("INSERT OR REPLACE INTO settings VALUES (:name, :value)"),
                    {"name": name, "value": json.dumps(value)},
                )

    # -- requests ------------------------------------------------------------------------------------------

    def places(self) -> dict[str, int]:
        """How far each log was read, by its head."""
        return dict(self._rows("SELECT head, position FROM logs"))

    def count(self) -> int:
        """Requests taken so far."""
        return int(self._rows("SELECT COUNT(*) FROM requests")[0][0])

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that were taken before."""
        found: set[str] = set()
        for start in range(0, len(ids), 500):
            part = {f"i{k}": one for k, one in enumerate(ids[start : start + 500])}
            places = ", ".join(f":{name}" for name in part)
            found |= {row[0] for row in self._rows(f"SELECT id FROM requests WHERE id IN ({places})", part)}  # noqa: S608
        return found

    def take(
        self,
        requests: Sequence[Taken],
        place: Place,
        path: Path,
        tests: Mapping[str, Any],
        alerts: Mapping[str, Alert],
    ) -> None:
        """A batch: requests, how far the log was read, the tests after it and the alerts that it rang."""
        with self.writing() as connection:
            if requests:
                columns = list(Taken.__slots__)
                names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
                rows = [asdict(one) for one in requests]
                connection.execute(text(f"INSERT INTO requests ({names}) VALUES ({values})"), rows)  # noqa: S608
                sampled = [{"number": one.number} for one in requests if one.probability is not None]
                if sampled:
                    connection.execute(text("INSERT INTO replays (number, state) VALUES (:number, 'waiting')"), sampled)
                oldest = requests[-1].number - RECENT
                connection.execute(
                    text(
                        "UPDATE requests SET embedding = NULL,"
                        " prompt = CASE WHEN probability IS NULL THEN NULL ELSE prompt END"
                        " WHERE number > :oldest - :more AND number <= :oldest"
                    ),
                    {"oldest": oldest, "more": len(requests)},
                )
            connection.execute(
                text("INSERT OR REPLACE INTO logs VALUES (:head, :path, :position)"),
                {"head": place.head, "path": str(path), "position": place.offset},
            )
            _keep(connection, tests, alerts)

    def requests(self, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Some columns of every request, in the order of arrival."""
        chosen = [name for name in columns if name in Taken.__slots__]
        rows = self._rows(f"SELECT {', '.join(chosen)} FROM requests ORDER BY number")  # noqa: S608
        return {name: [row[place] for row in rows] for place, name in enumerate(chosen)}

    def recent(self, first: int, last: int) -> list[tuple[int, str, str, str | None, str, bytes]]:
        """Number, id, prompt, family, model and embedding of requests that still have one, first to last."""
        return [
            tuple(row)
            for row in self._rows(
                "SELECT number, id, prompt, family, model, embedding FROM requests"
                " WHERE number BETWEEN :first AND :last AND embedding IS NOT NULL ORDER BY number",
                {"first": first, "last": last},
            )
        ]

    # -- replays -------------------------------------------------------------------------------------------

    def waiting(self) -> list[Waiting]:
        """Sampled requests that have not been replayed, in the order of arrival."""
        rows = self._rows(
            "SELECT r.number, r.id, r.prompt, r.expected FROM replays p JOIN requests r USING (number)"
            " WHERE p.state = 'waiting' ORDER BY number"
        )
        return [
            Waiting(number, id_, prompt, None if expected is None else json.loads(expected))
            for number, id_, prompt, expected in rows
        ]

    def score(self, scored: Iterable[Scored]) -> None:
        """What came of replays; one that came twice counts once."""
        with self.writing() as connection:
            for one in scored:
                connection.execute(
                    text(
                        "UPDATE replays SET state = :state, small_score = :small, flagship_score = :flagship,"
                        " small_usd = :small_usd, flagship_usd = :flagship_usd"
                        " WHERE number = :number AND state = 'waiting'"
                    ),
                    {
                        "number": one.number,
                        "state": "scored" if one.is_scored else "unscored",
                        "small": one.small_score,
                        "flagship": one.flagship_score,
                        "small_usd": one.small_usd,
                        "flagship_usd": one.flagship_usd,
                    },
                )

    def replays(self) -> list[dict[str, Any]]:
        """Every replay with its request, in the order of arrival."""
        columns = _REPLAY_COLUMNS
        rows = self._rows(f"SELECT {', '.join(columns)} FROM replays JOIN requests USING (number) ORDER BY number")  # noqa: S608
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def first_waiting(self) -> int | None:
        """Number of the first request whose replay is awaited; None: there is none."""
        found: int | None = self._rows("SELECT MIN(number) FROM replays WHERE state = 'waiting'")[0][0]
        return found

    def resolved(self, after: int, before: int) -> list[tuple[int, str, float | None, float | None, float | None]]:
        """Number, model, probability and both scores of the requests between two numbers, in the order of arrival."""
        rows = self._rows(
            "SELECT r.number, r.model, r.probability, p.small_score, p.flagship_score"
            " FROM requests r LEFT JOIN replays p USING (number) WHERE r.number > :after AND r.number < :before"
            " ORDER BY r.number",
            {"after": after, "before": before},
        )
        return [tuple(row) for row in rows]

    def labelled(self, last: int) -> list[Labelled]:
        """The replays with both scores up to a request, in the order of arrival."""
        rows = self._rows(
            "SELECT number, time, ROUND(flagship_score - small_score, :digits), probability"
            " FROM replays JOIN requests USING (number)"
            " WHERE state = 'scored' AND number <= :last ORDER BY number",
            {"last": last, "digits": DIGITS},
        )
        return [Labelled(*row) for row in rows]

    def judge(
        self, evidence: Sequence[Mapping[str, Any]], tests: Mapping[str, Any], alerts: Mapping[str, Alert]
    ) -> None:
        """What the tests of quality make of replays: evidence by number, the tests after them, the alerts they rang."""
        with self.writing() as connection:
            if evidence:
                connection.execute(
                    text("UPDATE replays SET e_loss = :e_loss, e_large = :e_large WHERE number = :number"),
                    [dict(one) for one in evidence],
                )
            _keep(connection, tests, alerts)

    # -- tests and alerts ----------------------------------------------------------------------------------

    def tests(self) -> dict[str, Any]:
        """The tests as the last batch left them."""
        return {name: json.loads(state) for name, state in self._rows("SELECT name, state FROM tests")}

    def alerts(self) -> dict[str, Alert]:
        """Every alert by name, in the order in which they rang."""
        rows = self._rows("SELECT name, record FROM alerts ORDER BY number")
        return {name: Alert.model_validate_json(record) for name, record in rows}

    def _rows(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(text(statement), dict(parameters or {})))


def vector_of(data: bytes) -> Matrix:
    """An embedding as it is remembered."""
    return np.frombuffer(data, dtype=np.float16).astype(np.float32)


def bytes_of(embedding: Matrix) -> bytes:
    """An embedding to remember: half precision tells clusters apart."""
    return embedding.astype(np.float16).tobytes()


def check_settings(store: ShadowStore, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Begin a state, or make sure that it is this one; returns what it was begun with.

    Raises:
        InputError: the state is another router's, or was begun with other settings.
    """
    found = store.settings()
    if not found:
        store.begin(wanted)
        return dict(wanted)
    for name, value in wanted.items():
        if found.get(name) != value:
            raise InputError(
                f"the state was begun with {name} = {found.get(name)}, not {value}",
                where=store.directory,
                do="name another --state directory: what was counted under one cannot be continued under the other",
            )
    return found


def locked(directory: Path) -> Any:
    """A lock on the state; use with ``with``.

    Raises:
        InputError: another process works on it.
        InfrastructureError: the directory cannot be made.
    """
    from filelock import FileLock, Timeout

    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            "another shadow run works on this state", where=directory, do="wait for it, or name another --state"
        ) from error
    except OSError as error:
        raise InfrastructureError(f"cannot be made ({error.strerror})", where=directory) from error
    return lock


def _keep(connection: Connection, tests: Mapping[str, Any], alerts: Mapping[str, Alert]) -> None:
    for name, state in tests.items():
        connection.execute(
            text("INSERT OR REPLACE INTO tests VALUES (:name, :state)"), {"name": name, "state": json.dumps(state)}
        )
    for name, alert in alerts.items():
        connection.execute(
            text("INSERT OR IGNORE INTO alerts (name, record) VALUES (:name, :record)"),
            {"name": name, "record": alert.model_dump_json()},
        )
