"""The post channel: scans come in through a drop folder, letters go out through a tray."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiohttp import web

from adapters.post.complete import media_type
from adapters.post.config import PostConfig
from adapters.post.folder import DropFolder
from adapters.post.intake import FolderIntake
from adapters.post.journal import Journal
from adapters.post.normalise import CHANNEL, normalise
from adapters.post.recognise import missing_models
from adapters.post.sending import LetterSending
from adapters.post.tray import LetterTray
from bus.adapter.contract import ChannelPlugin, Health, Manifest, Raw, SendResult, Services
from bus.errors import ContactbusError
from bus.message import Reply

__all__ = ["PostAdapter", "plugin"]

log = structlog.get_logger()

_ACKS_EVERY_S = 2.0
_PACKAGES = {"deu": "tesseract-ocr-deu", "nor": "tesseract-ocr-nor", "eng": "tesseract-ocr-eng"}

MANIFEST = Manifest(
    name=CHANNEL,
    kind="deferred",
    identity_kinds=("postal",),
    capabilities=("subject", "delivery-status"),
    max_raw_bytes=50 * 1024 * 1024,
    normalise_in_process=True,
    # Reading limits itself page by page and stops after 120 s; these are the walls around it.
    normalise_seconds=135.0,
    normalise_megabytes=1500,
    # The journal knows what the tray was given, and says when it cannot tell: a person looks before paper goes twice.
    resolve_unknown="idempotent",
    final_status_h=72.0,
    # Each costs paper and postage.
    replies_per_minute=60,
)


class PostAdapter:
    """Post, running. See `bus.adapter.contract.ChannelAdapter`."""

    manifest = MANIFEST

    def __init__(self, config: PostConfig, services: Services) -> None:
        config = _with_company(config, services.options)
        self._config, self._services = config, services
        self.drop_folder = _folder(config.drop_folder, services.data_dir, "in")
        self.letter_tray = _folder(config.letter_tray, services.data_dir, "out")
        for folder in (self.drop_folder, self.letter_tray):
            folder.mkdir(parents=True, exist_ok=True)
        self._tray = LetterTray(self.letter_tray)
        # The folder is this host's, and so is what became of its files; a letter may be sent by any host.
        files = Journal(services.local or services.store, services.tenant)
        self.intake = FolderIntake(config, services, DropFolder(self.drop_folder), files)
        self.sending = LetterSending(config, services, self._tray, Journal(services.store, services.tenant))

    def routes(self) -> Sequence[web.RouteDef]:
        """None: everything travels through folders."""
        return ()

    async def receive(self) -> None:
        """Take scans in, and read what became of letters, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.intake.run())
            tasks.create_task(self._acks())

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        """Typeset, check and lay a letter into the tray."""
        return await self.sending.send(reply, attempt)

    async def probe(self) -> Health:
        """Whether letters can be read and written."""
        if self.intake.trouble:
            return Health(ok=False, detail=self.intake.trouble, fix="check that the folder exists and may be read")
        for folder in (self.drop_folder, self.letter_tray):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                return Health(
                    ok=False, detail=f"{folder} may not be written", fix="give this user read and write access"
                )
        missing = await asyncio.to_thread(missing_models, self._config.tesseract, self._config.languages)
        if missing is None:
            return Health(
                ok=False,
                detail="text recognition is not installed: every letter goes to a person unread",
                fix="apt-get install tesseract-ocr " + " ".join(_PACKAGES.values()),
            )
        if missing:
            packages = " ".join(_PACKAGES.get(name, name) for name in missing)
            return Health(
                ok=False,
                detail=f"recognition models are missing: {', '.join(missing)}",
                fix=f"apt-get install {packages}",
            )
        if not self._config.company.address:
            return Health(
                ok=False,
                detail="letters cannot be sent: no return address is configured",
                fix="set the company's name and address of the post channel",
            )
        waiting, refused = self.intake.waiting()
        return Health(ok=True, detail=f"{waiting} files waiting, {refused} to be tried again")

    async def close(self) -> None:
        """End the typesetting process."""
        await self.sending.close()

    async def _acks(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._tray.create)
                await self.sending.read_acks()
            except (OSError, ContactbusError) as error:
                log.warning("letter tray cannot be read", error=type(error).__name__)
            await asyncio.sleep(_ACKS_EVERY_S)


def _folder(configured: str, data_dir: Path, name: str) -> Path:
    return Path(configured).expanduser() if configured else data_dir / "post" / name


def _with_company(config: PostConfig, options: Mapping[str, Any]) -> PostConfig:
    """Tradenames from the wiring (one, or one per language) where the channel's own settings give none."""
    names = options.get("company")
    if config.company.all_names() or not names:
        return config
    company = config.company
    if isinstance(names, Mapping):
        company = msgspec.structs.replace(company, names={str(key): str(value) for key, value in names.items()})
    else:
        company = msgspec.structs.replace(company, name=str(names))
    return msgspec.structs.replace(config, company=company)


def raw_from_file(data: bytes, name: str, config: PostConfig) -> Raw:
    """A scan as it would come in through the drop folder."""
    return Raw(
        tenant="shop",
        account=config.account,
        media_type=media_type(data) or "application/octet-stream",
        data=data,
        received_at=datetime(1970, 1, 1, tzinfo=UTC),
        native={"file": name},
    )


plugin = ChannelPlugin(
    manifest=MANIFEST,
    config_type=PostConfig,
    normalise=normalise,
    create=PostAdapter,
    raw_from_file=raw_from_file,
)
