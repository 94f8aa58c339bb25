"""Commands on those who work here: `staff add`, `list`, `remove`, `link`."""

from pathlib import Path
from typing import Any

import click

from deploy.cli.common import (
    async_command,
    data_flags,
    data_options,
    fail,
    json_option,
    print_json,
    print_table,
    read_settings,
)

__all__ = ["staff"]


@click.group()
def staff() -> None:
    """Who works here, and what each may do."""


@staff.command("add")
@click.argument("name")
@click.option("--display-name", default="", help="As it is written, such as 'Jürgen Müller'; none: NAME.")
@click.option("--role", default="representative", show_default=True, help="Or supervisor, manager, technical.")
@click.option("--mail", default="", help="Where praise is sent.")
@click.option("--phone", default="", help="Rings first in a call-back, such as +4930123456.")
@click.option("--language", "languages", multiple=True, help="May be given again; none: all.")
@click.option("--department", "departments", multiple=True, help="May be given again; none: all.")
@click.option("--skill", "skills", multiple=True, metavar="FAMILY=LEVEL", help="Level 1 to 3; may be given again.")
@click.option("--chats", type=int, default=2, show_default=True, help="How many chats at once.")
@click.option("--mails", type=int, default=3, show_default=True, help="How many mails and letters at once.")
@data_options
@json_option
@async_command
async def staff_add(
    name: str, data: Path | None, config_file: Path | None, as_json: bool, skills: tuple[str, ...], **fields: Any
) -> None:
    """Enter NAME, or change what is known of it.

    NAME signs in and has letters, digits and hyphens; colleagues and customers read the display name. Such as

    \b
      contactbus staff add mina --display-name 'Mina Åsen' --role supervisor --skill billing=2
    """
    import msgspec

    from deploy.looking import opened
    from workers.desk.staff import People, Staff

    try:
        levels = {family: int(level) for family, _, level in (skill.partition("=") for skill in skills)}
        person = msgspec.convert({"name": name, "skills": levels, **fields}, Staff)
    except ValueError as error:
        fail(str(error), code=2)
    async with opened(*read_settings(config_file, data_flags(data))) as core:
        departments, languages = core.pack.file.departments, core.pack.languages
        for what, given, known in (
            ("department", person.departments, departments),
            ("language", person.languages, languages),
        ):
            wrong = sorted(set(given) - set(known))
            if wrong:
                fail(f"there is no {what} {wrong[0]!r}; there are {', '.join(known)}", code=2)
        await People(store=core.engine, clock=core.clock).keep(core.settings.tenant, person)
    if as_json:
        print_json(person)
    else:
        click.echo(f"{person.name} works here as {person.role}")


@staff.command("list")
@data_options
@json_option
@async_command
async def staff_list(data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Everybody who works here, by name."""
    from deploy.looking import opened
    from workers.desk.staff import People

    async with opened(*read_settings(config_file, data_flags(data))) as core:
        found = await People(store=core.engine, clock=core.clock).all(core.settings.tenant)
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "display name", "role", "languages", "departments", "skills", "phone", "mail"),
        [
            (
                person.name,
                person.display_name or "-",
                person.role,
                " ".join(person.languages) or "all",
                " ".join(person.departments) or "all",
                " ".join(f"{family}={level}" for family, level in sorted(person.skills.items())) or "-",
                person.phone or "-",
                person.mail or "-",
            )
            for person in found
        ],
        empty="nobody is entered: whoever starts the product may do everything",
    )


@staff.command("remove")
@click.argument("name")
@data_options
@json_option
@async_command
async def staff_remove(name: str, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Take NAME off the list. Open sessions end at once, what was offered is offered to others."""
    from deploy.looking import opened
    from workers.desk.staff import People

    async with opened(*read_settings(config_file, data_flags(data))) as core:
        removed = await People(store=core.engine, clock=core.clock).remove(core.settings.tenant, name)
    if not removed:
        fail(f"nobody called {name!r} works here")
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        click.echo(f"{name} works here no more")


@staff.command("link")
@click.argument("name")
@click.option("--url", default="", help="Address of the running desk; default: that of the configuration.")
@data_options
@json_option
@async_command
async def staff_link(name: str, url: str, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """A link that signs NAME in at the desk, once, within 15 minutes."""
    from deploy.looking import opened
    from deploy.settings import HttpSettings
    from workers.desk.login import login_url
    from workers.desk.staff import People

    layers, settings = read_settings(config_file, data_flags(data))
    async with opened(layers, settings) as core:
        tenant = core.settings.tenant
        if await People(store=core.engine, clock=core.clock).one(tenant, name) is None:
            fail(f"nobody called {name!r} works here; enter the name with: contactbus staff add {name}")
        http = layers.section("http", HttpSettings)
        base = url or settings.public_url or f"http://{http.host}:{http.port}"
        link = login_url(signer=core.signer, clock=core.clock, tenant=tenant, base_url=base, person=name)
    if as_json:
        print_json({"name": name, "desk_url": link})
    else:
        click.echo(link)
