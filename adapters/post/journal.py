"""The journal of scans and letters: what was decided about a file before anything was done with it."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, select

from adapters.post.schema import post_file, post_letter
from bus.delivery.outcome import Outcome, Write
from bus.store.port import Effect, Store
from bus.store.sql import upsert

__all__ = ["FileRow", "Journal", "LetterRow"]


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one file. Times are microseconds since 1970."""

    file: str
    name: str
    state: str
    since: int
    sha256: str = ""
    contact: str = ""
    reason: str = ""
    attempts: int = 0
    next_attempt: int = 0


class LetterRow(msgspec.Struct, frozen=True, kw_only=True):
    """One letter that was or may have been put into the tray."""

    reply: str
    case: str
    digest: str
    state: str
    at: int


_FILE_COLUMNS = (
    post_file.c.file, post_file.c.name, post_file.c.state, post_file.c.since, post_file.c.sha256, post_file.c.contact,
    post_file.c.reason, post_file.c.attempts, post_file.c.next_attempt,
)  # fmt: skip
_OPEN = ("waiting", "retry", "accepted")
_open_files = select(*_FILE_COLUMNS).where(post_file.c.tenant == bindparam("tenant"), post_file.c.state.in_(_OPEN))
_files = select(*_FILE_COLUMNS).where(post_file.c.tenant == bindparam("tenant")).order_by(post_file.c.since)
_same_bytes = select(*_FILE_COLUMNS).where(
    post_file.c.tenant == bindparam("tenant"), post_file.c.sha256 == bindparam("sha256"), post_file.c.contact != ""
)
_put_file = upsert(post_file, ["tenant", "file"])
_forget_versions = delete(post_file).where(
    post_file.c.tenant == bindparam("of_tenant"),
    post_file.c.name == bindparam("of_name"),
    post_file.c.file != bindparam("but"),
    post_file.c.state.in_(("waiting", "retry", "gone")),
    post_file.c.contact == "",
)
_letter = select(
    post_letter.c.reply, post_letter.c.case, post_letter.c.digest, post_letter.c.state, post_letter.c.at
).where(post_letter.c.tenant == bindparam("tenant"), post_letter.c.reply == bindparam("reply"))
_put_letter = upsert(post_letter, ["tenant", "reply"])


class Journal:
    """Reads and writes of one tenant."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store, self._tenant = store, tenant

    async def open_files(self) -> Sequence[FileRow]:
        """Files that are not settled."""
        return [FileRow(**row) for row in await self._store.all(_open_files, {"tenant": self._tenant})]

    async def files(self) -> Sequence[FileRow]:
        """Every file ever, oldest first."""
        return [FileRow(**row) for row in await self._store.all(_files, {"tenant": self._tenant})]

    async def accepted(self, sha256: str) -> FileRow | None:
        """A file with these very bytes whose contact is durable already."""
        row = await self._store.one(_same_bytes, {"tenant": self._tenant, "sha256": sha256})
        return FileRow(**row) if row is not None else None

    async def put_file(self, row: FileRow) -> None:
        """Record the state of a file durably; earlier versions of it that led to nothing are forgotten."""
        values = {"tenant": self._tenant, **msgspec.structs.asdict(row)}
        earlier = {"of_tenant": self._tenant, "of_name": row.name, "but": row.file}
        await self._apply(
            Write(statement=_forget_versions, params=earlier),
            Write(statement=_put_file, params=values),
        )

    async def letter(self, reply: str) -> LetterRow | None:
        """What is known about a letter."""
        row = await self._store.one(_letter, {"tenant": self._tenant, "reply": reply})
        return LetterRow(**row) if row is not None else None

    async def put_letter(self, row: LetterRow) -> None:
        """Record the state of a letter durably."""
        values = {"tenant": self._tenant, **msgspec.structs.asdict(row)}
        await self._apply(Write(statement=_put_letter, params=values))

    async def _apply(self, *writes: Write) -> None:
        await self._store.apply([Effect(outcome=Outcome(writes=writes))])
