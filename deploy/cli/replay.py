"""`contactbus replay`: decide again what lies in the log, and see what would be different."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from deploy.cli.common import async_command, data_flags, data_options, fail, read_settings

__all__ = ["replay"]


class Moment(click.ParamType):
    """A time as ISO 8601; without a zone it is the time of this machine."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(f"{value!r} is no time; write it as 2026-11-22T09:00 or 2026-11-22T09:00:00+01:00", param, ctx)


@click.command()
@click.option("--group", required=True, help="Whose decisions: intake, triage, case, billing, ...")
@click.option("--topic", "topics", multiple=True, help="Which of the topics that it reads; default all of them.")
@click.option("--from", "start", type=Moment(), help="Records appended from this time on.")
@click.option("--to", "end", type=Moment(), help="Records appended before this time.")
@click.option("--id", "ids", multiple=True, help="Only the record of this id; may be repeated.")
@click.option("--different", "only_different", is_flag=True, help="Print only what would be decided otherwise.")
@click.option("--send", is_flag=True, help="Send the replies that were never planned. Asks before it does.")
@click.option("--yes", is_flag=True, help="With --send: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Accepted for symmetry: the output is JSON lines anyway.")
@data_options
@async_command
async def replay(
    group: str,
    topics: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    ids: tuple[str, ...],
    only_different: bool,
    send: bool,
    yes: bool,
    as_json: bool,
    data: Path | None,
    config_file: Path | None,
) -> None:
    """Let a worker decide records of the log again, without effect; one JSON object per record.

    It decides on the state of today. Nothing is written and nobody is answered, unless --send is given: then the
    replies that the send ledger has never seen are planned, and nothing else.
    """
    from bus.delivery.replay import Range, Replayed, replay
    from bus.message import Reply, encode
    from deploy.departments import GROUPS, build
    from deploy.looking import opened

    if group not in GROUPS:
        fail(f"there is no group {group}; there are {', '.join(GROUPS)}", code=2)
    if start is None and end is None and not ids:
        fail("say which records: --from and --to, or --id", code=2)
    wanted = Range(start=start, end=end, ids=frozenset(ids))
    seen = different = 0
    new: list[Reply] = []
    async with opened(*read_settings(config_file, data_flags(data))) as core:
        worker = build(core, group)
        unknown = set(topics).difference(worker.topics)
        if unknown:
            fail(f"{group} does not read {', '.join(sorted(unknown))}; it reads {', '.join(worker.topics)}", code=2)
        found: Replayed
        async for found, replies in replay(
            worker,
            log_port=core.engine,
            store=core.engine,
            topics=topics or tuple(worker.topics),
            wanted=wanted,
            elsewhere=_elsewhere,
        ):
            seen += 1
            different += found.different
            absent = {reply.id for reply in found.replies if reply.was == "absent"}
            new += [reply for reply in replies if reply.id in absent]
            if found.different or not only_different:
                click.echo(encode(found))
        click.echo(f"{seen} records were decided on the state of today, {different} of them otherwise", err=True)
        if not send:
            return
        if not new:
            click.echo("there is no reply that was never planned", err=True)
            return
        channels = ", ".join(sorted({reply.channel for reply in new}))
        if not yes:
            click.confirm(f"Send {len(new)} replies to customers, by {channels}?", abort=True, err=True)
        click.echo(f"{await _plan(core, new)} replies were planned; the senders send them", err=True)


def _elsewhere(topic: str) -> tuple[str, ...]:
    """Work may lie with every department: that is what triage decides."""
    from bus.log.topics import DEPARTMENTS, work_topic

    if not topic.startswith("work."):
        return (topic,)
    return tuple(work_topic(department, lane) for department in DEPARTMENTS for lane in ("live", "deferred"))


async def _plan(core: Any, replies: list[Any]) -> int:
    from bus.delivery import ledger
    from bus.delivery.outcome import Outcome
    from bus.store.port import Effect

    effects: list[Effect] = []
    for reply in replies:
        writes, records = ledger.plan(reply, core.clock.now())
        effects.append(Effect(outcome=Outcome(writes=tuple(writes), emit=tuple(records))))
    return sum(result.applied for result in await core.engine.apply(effects))
