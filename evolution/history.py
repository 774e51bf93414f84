"""Every evaluation ever made, on disk (SQLite), never lost, never repeated.

A kill loses no evaluation whose `append` has returned. A generation's record and the strategy's state enter in one
transaction, so a search that was killed at any instant finds a state, and the evaluations finished since.
"""

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Self

from evolution.errors import StrategyError
from evolution.lock import WriterLock
from evolution.strategy import OK, Evaluation, Genome, Record

MAX_ATTEMPTS = 2  # a candidate that failed is tried once more, then never again
CHEAP = 0.1  # seconds: waiting for the disk after a quicker evaluation could cost more than making it again
JOURNALS = {"wal": "wal", "rollback": "delete"}  # rollback: for network file systems, where WAL does not work
AUTO = "auto"
_MOUNTS = Path("/proc/self/mounts")  # Linux alone has it
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "orangefs", "fuse.")

_APPLICATION_ID = 0x4D534E48  # marks the file as ours
_FORMAT = 1
_TABLES = (
    "CREATE TABLE search (id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint TEXT NOT NULL, state TEXT)",
    "CREATE TABLE evaluations (id INTEGER PRIMARY KEY, genome TEXT NOT NULL, replicate INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, status TEXT NOT NULL, record TEXT NOT NULL,"
    " UNIQUE (genome, replicate, attempt))",
    "CREATE TABLE generations (generation INTEGER PRIMARY KEY, record TEXT NOT NULL)",
)
_ELAPSED = "ALTER TABLE evaluations ADD COLUMN elapsed REAL"  # seconds by the clock since the evaluation before it
_APPEND_ONLY = (
    "CREATE TRIGGER {table}_{action} BEFORE {action} ON {table} BEGIN SELECT RAISE(ABORT, 'append-only'); END"
)
_FAULTS = {  # SQLite's primary result codes -> what the user can do
    sqlite3.SQLITE_FULL: "the disk is full; free some space and start again, what is stored stays",
    sqlite3.SQLITE_IOERR: "reading or writing failed (disk full, quota or size limit?); what is stored stays",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the permissions of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the folder exists and can be written",
    sqlite3.SQLITE_PERM: "it cannot be opened; check the permissions of the file and its folder",
    sqlite3.SQLITE_BUSY: "another program holds it; close that and start again",
    sqlite3.SQLITE_PROTOCOL: "its file system cannot lock it; take journal=rollback",
    sqlite3.SQLITE_NOTADB: "it is not a search history and was left as it is; take another name",
    sqlite3.SQLITE_CORRUPT: "it is damaged and was left as it is; take another name or restore a copy",
}


class HistoryView:
    """A history open for reading only, for reports; works while another process writes."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database

    @property
    def fingerprint(self) -> Record:
        """What the search was started with: space, budget, supernet, recipe."""
        fingerprint: Record = json.loads(self._rows("SELECT fingerprint FROM search")[0][0])
        return fingerprint

    def state(self) -> Record | None:
        """The strategy's state after the last committed generation; None before the first."""
        text = self._rows("SELECT state FROM search")[0][0]
        return None if text is None else json.loads(text)

    def generations(self) -> list[Record]:
        """The committed generations' records, oldest first."""
        return [json.loads(text) for (text,) in self._rows("SELECT record FROM generations ORDER BY generation")]

    def last_generation(self) -> int:
        """The number of the last committed generation; -1 before the first."""
        last = self._rows("SELECT MAX(generation) FROM generations")[0][0]
        return -1 if last is None else int(last)

    def evaluations(self) -> list[Evaluation]:
        """Every evaluation in the order it was stored, each failed attempt included."""
        rows = self._rows("SELECT record FROM evaluations ORDER BY id")
        return [Evaluation.from_json(text) for (text,) in rows]

    def find(self, genome: Genome, replicate: int, rung: int = 0) -> Evaluation | None:
        """The finished evaluation: it succeeded, or failed for good; None while it is still to be tried."""
        if not self.is_finished(genome, replicate, rung):
            return None
        query = "SELECT record FROM evaluations WHERE genome = ? AND replicate = ? ORDER BY attempt DESC LIMIT 1"
        return Evaluation.from_json(self._rows(query, _key(genome, rung), replicate)[0][0])

    def is_finished(self, genome: Genome, replicate: int, rung: int = 0) -> bool:
        """Whether this candidate is not to be tried any more."""
        outcomes = self._outcomes(genome, replicate, rung)
        return OK in outcomes or len(outcomes) >= MAX_ATTEMPTS

    def attempts(self, genome: Genome, replicate: int, rung: int = 0) -> int:
        """How often this candidate was tried."""
        return len(self._outcomes(genome, replicate, rung))

    def succeeded(self) -> int:
        """How many evaluations did not fail."""
        return int(self._rows("SELECT COUNT(*) FROM evaluations WHERE status = ?", OK)[0][0])

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _outcomes(self, genome: Genome, replicate: int, rung: int = 0) -> list[str]:
        """The status of every attempt."""
        query = "SELECT status FROM evaluations WHERE genome = ? AND replicate = ?"
        return [status for (status,) in self._rows(query, _key(genome, rung), replicate)]

    def _rows(self, query: str, *values: object) -> list[Any]:
        with _plain_errors(self.path):
            return self._database.execute(query, values).fetchall()


def file_system(folder: Path) -> str:
    """The kind of file system that `folder` lies on, such as ext4 or nfs4; "" where the system does not say."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return ""
    here = folder.resolve()
    kinds = {Path(at.replace("\\040", " ")): kind for _, at, kind, *_ in mounts}  # of two at one place the last
    return next((kinds[place] for place in (here, *here.parents) if place in kinds), "")


def journal_on(kind: str) -> str:
    """The journal that works on a file system of this kind."""
    return "rollback" if kind.startswith(_NETWORK) else "wal"


class History(HistoryView):
    """A history open for writing, created where there is none. One writer at a time.

    fingerprint: JSON values that name the space, budget, supernet and recipe. A history of others is refused.
    journal: `wal`, or `rollback` on a network file system; `auto`: as the file system wants it.
    Raises StrategyError, and changes nothing, for a file that is not a history, cannot be written, is another
    search's or has a writer already.
    """

    def __init__(self, path: Path | str, *, fingerprint: Mapping[str, Any], journal: str = AUTO) -> None:
        path = Path(path)
        if journal not in (AUTO, *JOURNALS):
            raise StrategyError(f"`journal` is one of {', '.join((AUTO, *JOURNALS))}, but got {journal!r}.")
        journal = journal_on(file_system(path.parent)) if journal == AUTO else journal
        self._waits = True
        self._last_stored = monotonic()
        self._lock = WriterLock(path.with_name(path.name + ".lock"))
        try:
            super().__init__(path, _connect(path, str(path)))
            self._open(json.loads(json.dumps(fingerprint)), JOURNALS[journal])
        except BaseException:
            self.close()
            raise

    @staticmethod
    def read(path: Path | str) -> HistoryView:
        """Open for reading only. Raises StrategyError if there is no history at `path`."""
        path = Path(path)
        if not path.is_file():
            raise StrategyError(f"There is no search history at {path}: run the search first.")
        uri = path.absolute().as_uri()
        try:
            return _checked_view(path, f"{uri}?mode=ro")
        except StrategyError:
            wal = path.with_name(path.name + "-wal")
            if wal.exists() and wal.stat().st_size:
                raise
        return _checked_view(path, f"{uri}?immutable=1")  # a finished history in a folder that is read-only

    def append(self, evaluation: Evaluation) -> None:
        """Store one evaluation; no kill loses it once this returns. A finished one must not come again.

        A power failure may lose the last of those that took less than CHEAP seconds, and no others.
        """
        job, status = (evaluation.genome, evaluation.replicate, evaluation.rung), evaluation.status
        assert not self.is_finished(*job), "a finished evaluation was repeated"
        key = _key(evaluation.genome, evaluation.rung)
        row = key, evaluation.replicate, self.attempts(*job) + 1, status, evaluation.to_json()
        self._wait_for_disk(evaluation.seconds >= CHEAP)
        now = monotonic()
        insert = (
            "INSERT INTO evaluations (genome, replicate, attempt, status, record, elapsed) VALUES (?, ?, ?, ?, ?, ?)"
        )
        with _plain_errors(self.path):
            self._database.execute(insert, (*row, now - self._last_stored))
        self._last_stored = now

    def elapsed(self) -> float:
        """Seconds by the clock that writers had it open, each until its last evaluation; workers do not add up.

        Of evaluations from before these times were kept, their own seconds count.
        """
        rows = self._rows("SELECT record, elapsed FROM evaluations")
        return math.fsum(json.loads(record)["seconds"] if elapsed is None else elapsed for record, elapsed in rows)

    def commit(self, record: Record, state: Record) -> None:
        """Store a generation's record (its number is under `generation`) and the state: both or none."""
        self._wait_for_disk(True)
        with self._transaction():
            row = record["generation"], _dump(record)
            self._database.execute("INSERT INTO generations VALUES (?, ?)", row)
            self._database.execute("UPDATE search SET state = ?", (_dump(state),))

    def close(self) -> None:
        """Also lets the next writer in."""
        if hasattr(self, "_database"):
            super().close()
        self._lock.release()

    def _open(self, fingerprint: Record, journal: str) -> None:
        """Check an existing history before anything is written, or create one in a single transaction."""
        is_new = self._rows("SELECT COUNT(*) FROM sqlite_master")[0][0] == 0
        if not is_new:
            _check_format(self)
            difference = describe_difference(self.fingerprint, fingerprint)
            if difference:
                raise StrategyError(
                    f"{self.path} belongs to another search: {difference}; give this search another name."
                )
        if self._rows(f"PRAGMA journal_mode = {journal}")[0][0] != journal:
            raise StrategyError(f"{self.path} cannot keep a {journal} journal here: take journal=rollback.")
        if is_new:
            with self._transaction():
                for statement in _TABLES:
                    self._database.execute(statement)
                for table in ("evaluations", "generations"):
                    for action in ("UPDATE", "DELETE"):
                        self._database.execute(_APPEND_ONLY.format(table=table, action=action))
                self._database.execute("INSERT INTO search VALUES (1, ?, NULL)", (_dump(fingerprint),))
                self._database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._database.execute(f"PRAGMA user_version = {_FORMAT}")
        if "elapsed" not in (name for (name,) in self._rows("SELECT name FROM pragma_table_info('evaluations')")):
            self._rows(_ELAPSED)

    def _wait_for_disk(self, wait: bool) -> None:
        """Whether the next writes return when the disk has them, or already when the operating system has."""
        if wait != self._waits:
            self._rows(f"PRAGMA synchronous = {'FULL' if wait else 'NORMAL'}")
            self._waits = wait

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _plain_errors(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._database.execute("ROLLBACK")
                raise


def describe_difference(stored: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The first three entries that differ, on one line; empty if none does."""
    before, now = _flatten(stored), _flatten(given)
    names = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    parts = [f"{name} was {before.get(name, 'absent')}, now {now.get(name, 'absent')}" for name in names]
    return ", ".join(parts[:3] + ([f"and {len(parts) - 3} more"] if len(parts) > 3 else []))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = json.dumps(value, sort_keys=True)
    return flat


def _connect(path: Path, address: str, *, uri: bool = False) -> sqlite3.Connection:
    with _plain_errors(path):
        database = sqlite3.connect(address, timeout=30, isolation_level=None, uri=uri)
        try:
            database.execute("PRAGMA synchronous = FULL")  # WAL alone would lose the last records with the power
        except BaseException:
            database.close()
            raise
        return database


def _checked_view(path: Path, uri: str) -> HistoryView:
    view = HistoryView(path, _connect(path, uri, uri=True))
    try:
        _check_format(view)
    except BaseException:
        view.close()
        raise
    return view


def _check_format(view: HistoryView) -> None:
    if view._rows("PRAGMA application_id")[0][0] != _APPLICATION_ID:
        raise StrategyError(
            f"{view.path} is a database, but not a search history; it was left as it is: take another name."
        )
    version = view._rows("PRAGMA user_version")[0][0]
    if version != _FORMAT:
        raise StrategyError(f"{view.path} is a history of format {version}, and this version knows format {_FORMAT}.")


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Turn what the user can help (disk, permissions, wrong file) into a StrategyError; our faults pass."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        fault = _FAULTS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if fault is None:
            raise
        raise StrategyError(f"The search history {path}: {fault} ({error}).") from None


def _key(genome: Genome, rung: int) -> str:
    """What finds a candidate; the lowest rung, the only one without successive halving, is not written."""
    return ",".join(map(str, genome)) + (f"@{rung}" if rung else "")


def _dump(values: Any) -> str:
    return json.dumps(values, allow_nan=False, separators=(",", ":"))
