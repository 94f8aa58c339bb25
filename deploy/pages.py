"""The pages of a process: shared assets, the desk, and the start page with what it may show."""

from pathlib import Path
from typing import Any

from adapters.phone.config import TOKEN_FILE
from bus.web import routes as shared_routes
from deploy.process import Process
from deploy.start import StartPages, StartServices
from workers.desk.login import login_url
from workers.desk.web import DeskPages
from workers.records.demo import demo_customers

__all__ = ["Pages", "add_desk", "add_pages"]


class Pages:
    """Desk and start page of one process."""

    def __init__(self, desk: DeskPages, start: StartPages) -> None:
        self._desk, self._start = desk, start

    async def close(self) -> None:
        """End the feeds, so that the server can stop."""
        await self._desk.close()
        await self._start.close()


def add_pages(process: Process, *, base_url: str, mailbox: Any = None) -> Pages:
    """Put the pages on the process's server, before it starts. With a `mailbox` the demo's doors are shown."""
    desk = add_desk(process)
    start = StartPages(_start_services(process, base_url, mailbox, _has_relay(process)))
    process.http.add_routes(start.routes())
    process.core.supervisor.run("start page", start.follow)
    return Pages(desk, start)


def add_desk(process: Process) -> DeskPages:
    """Put the desk and the shared assets on the process's server, before it starts."""
    core = process.core
    desk = DeskPages(
        log=core.engine,
        store=core.engine,
        blobs=core.blobs,
        signer=core.signer,
        clock=core.clock,
        pack=core.pack,
        notice="" if _has_relay(process) else "notice.no-relay",
        dials=_can_call_out(process),
    )
    process.http.add_routes([*shared_routes(), *desk.routes()])
    return desk


def _can_call_out(process: Process) -> bool:
    return any(channel.plugin.manifest.name == "phone" and channel.config.account_sid for channel in process.channels)


def _has_relay(process: Process) -> bool:
    return any(channel.plugin.manifest.name == "email" and channel.config.relay_host for channel in process.channels)


def _start_services(process: Process, base_url: str, mailbox: Any, relay: bool) -> StartServices:
    core = process.core
    by_name = {channel.plugin.manifest.name: channel for channel in process.channels}
    email, post, phone = by_name.get("email"), by_name.get("post"), by_name.get("phone")
    post_adapter: Any = post.adapter if post else None
    return StartServices(
        log=core.engine,
        clock=core.clock,
        pack=core.pack,
        tenant=core.settings.tenant,
        channels=[name for name in by_name if name != "link"],
        base_url=base_url,
        public_url=core.public_url,
        demo=mailbox is not None,
        smtp=f"{email.config.smtp_host}:{email.config.smtp_port}" if email else "",
        mail_address=email.config.address if email else "",
        drop_folder=Path(post_adapter.drop_folder) if post else None,
        letter_tray=Path(post_adapter.letter_tray) if post else None,
        phone_numbers=dict(phone.config.numbers) if phone else {},
        phone_token=lambda: (core.data_dir / TOKEN_FILE).read_text("ascii").strip(),
        mailbox=mailbox,
        desk_link=lambda: login_url(
            signer=core.signer, clock=core.clock, tenant=core.settings.tenant, base_url=base_url
        ),
        customers=[
            {
                "name": c["name"],
                "language": c["language"],
                "email": c["email"],
                "phone": c["phone"],
                "address": c["address"],
                "problem": c["story"],
            }
            for c in demo_customers()
        ]
        if mailbox is not None
        else (),
        missing=() if relay else ("missing.relay",),
    )
