"""Fixtures of the whole tree: a clock that stands still, a fresh embedded engine, a broker and a database server."""

import fcntl
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
import structlog
from hypothesis import settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bus.log.embedded import EmbeddedEngine
from bus.log.kafka_client import Admin, client_options
from bus.log.kafka_settings import KafkaSettings
from bus.log.topics import reply_topic
from bus.store.postgres_settings import PostgresSettings
from bus.testing.clock import FakeClock
from bus.testing.log_records import OTHER, TARGET, TOPIC
from deploy.kafka.brokers import AT_ONCE_S, Brokers
from deploy.kafka.topics import apply_plan
from deploy.migrations import postgres as migrations
from deploy.postgres.server import PostgresServer
from deploy.servers import KAFKA_VARIABLE, POSTGRES_VARIABLE
from workers.packs import load
from workers.triage.brain import Brain

# A busy machine makes single examples slow; that says nothing about the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


_LONG = ("e2e", "doors", "deploy", "pages")
"""Folders whose files take longest, because they start houses and browsers: begun first, so that at the end no process
that runs tests waits for another one's last file (`--dist loadfile --no-loadscope-reorder` keeps this order)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(_LONG)))


@pytest.fixture(scope="session", autouse=True)
def _loggers_are_bound_anew() -> Iterator[None]:
    """A logger that was bound while a command ran in the test's own process must not keep that command's settings."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", lambda **given: configure(**given | {"cache_logger_on_first_use": False}))
        yield


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when told."""
    return FakeClock()


@pytest_asyncio.fixture
async def engine(tmp_path: Path, clock: FakeClock) -> AsyncIterator[EmbeddedEngine]:
    """A fresh embedded engine with every table that is declared so far; closed afterwards."""
    opened = await EmbeddedEngine.open(tmp_path / "data", clock=clock)
    await opened.create_schema()
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a model trained on the shop's examples: once for all processes that run tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "learned"
    folder.mkdir(exist_ok=True)
    with (shared / "learned.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Brain.open(load("shop"), folder)
    return folder


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real broker: the one that the environment names, else one of our own. Use a topic prefix."""
    if KAFKA_VARIABLE in os.environ:
        yield os.environ[KAFKA_VARIABLE]
        return
    brokers = Brokers(tmp_path_factory.mktemp("kafka"))
    try:
        brokers.start()
        yield brokers.bootstrap
    finally:
        brokers.stop(within_s=AT_ONCE_S)


@pytest_asyncio.fixture
async def kafka_settings(kafka_bootstrap: str) -> AsyncIterator[KafkaSettings]:
    """Settings with a fresh topic prefix, under which the topics of the conformance suites exist during the test."""
    settings = KafkaSettings(
        bootstrap=tuple(kafka_bootstrap.split(",")),
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        replication_floor=1,
        min_insync_replicas=1,
        # As short as a busy machine allows: tests kill members and wait for their sessions to end.
        session_timeout_s=3.0,
        heartbeat_s=0.5,
        drain_s=5.0,
        rebalance_timeout_s=15.0,
    )
    names = [TOPIC, OTHER, TARGET, reply_topic("email")]
    await apply_plan(settings, names)
    yield settings
    admin = Admin(**client_options(settings))
    await admin.start()
    try:
        await admin.delete_topics([settings.topic_prefix + name for name in names])
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """Superuser's connection string of a real server: the environment's, else our own. Make a database of your own."""
    if POSTGRES_VARIABLE in os.environ:
        yield os.environ[POSTGRES_VARIABLE]
        return
    # Outside pytest's own folders: the server runs as another user when the tests run as root, and those are closed.
    with tempfile.TemporaryDirectory(prefix="contactbus-postgres-") as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder))
        try:
            server.start()
            yield server.dsn
        finally:
            server.stop()


@contextmanager
def _database(postgres_dsn: str) -> Iterator[PostgresSettings]:
    name = f"cb_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as server:
        server.execute(f"CREATE ROLE {name} LOGIN CREATEROLE")
        server.execute(f"CREATE DATABASE {name} OWNER {name}")
        try:
            settings = PostgresSettings(
                dsn=make_conninfo(postgres_dsn, dbname=name, user="contactbus_app"),
                owner_dsn=make_conninfo(postgres_dsn, dbname=name, user=name),
            )
            migrations.upgrade(settings)
            yield settings
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
            server.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="session")
def postgres_database(postgres_dsn: str) -> Iterator[PostgresSettings]:
    """A database with the product's schema, owned by a role of its own: made once, because that takes seconds."""
    with _database(postgres_dsn) as settings:
        yield settings


@pytest.fixture(scope="session")
def another_database(postgres_dsn: str) -> Callable[[], AbstractContextManager[PostgresSettings]]:
    """Makes one more of these, for who changes more than rows."""
    return lambda: _database(postgres_dsn)


@pytest.fixture
def postgres_settings(postgres_dsn: str, postgres_database: PostgresSettings) -> Iterator[PostgresSettings]:
    """Settings of a database with the product's schema and no rows: the application's role and the owner's."""
    yield postgres_database
    name = conninfo_to_dict(postgres_database.dsn)["dbname"]
    with psycopg.connect(make_conninfo(postgres_dsn, dbname=str(name)), autocommit=True) as database:
        database.execute(_EMPTY_ALL)


_EMPTY_ALL = """
DO $$ DECLARE name regclass; filled boolean; BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
    FOR name IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO filled;
        IF filled THEN EXECUTE format('DELETE FROM %s', name); END IF;
    END LOOP;
END $$
"""
