"""Commands that play a customer at the real doors: `chat say`, `phone call`."""

from pathlib import Path
from typing import Any

import click

from deploy.cli.common import async_command, data_flags, data_options, fail, json_option, print_json, read_settings

__all__ = ["chat", "phone"]

_url = click.option("--url", help="Base address of the product; default http://127.0.0.1:8080.")


@click.group()
def chat() -> None:
    """Be a visitor in the chat."""


@chat.command("say")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@_url
@click.option(
    "--lang", type=click.Choice(("de", "nb", "en")), default="en", show_default=True, help="Language of the widget."
)
@click.option("--origin", default="", help="The public address of the product, where that is not --url.")
@json_option
@async_command
async def chat_say(texts: tuple[str, ...], url: str | None, lang: str, origin: str, as_json: bool) -> None:
    """Say each TEXT in one conversation, one after the other, and print the answers.

    \b
    Such as
      contactbus chat say "The shelf said £19.99, the till £24.99" "No, that was all"
    """
    from adapters.chat.client import ChatClient, ChatRefused

    turns: list[dict[str, Any]] = []
    address = url or "http://127.0.0.1:8080"
    if not address.startswith(("http://", "https://")):
        fail(f"--url wants an address such as http://127.0.0.1:8080, not {address!r}", code=2)
    try:
        async with ChatClient(address, lang=lang, origin=origin.rstrip("/"), patient=False) as client:
            for text in texts:
                answers = await client.say(text)
                turns.append({"say": text, "answers": [str(answer.data.get("text", "")) for answer in answers]})
                if not as_json:
                    click.echo(click.style(f"you     {text}", dim=True))
                    for answer in answers:
                        click.echo(f"answer  {answer.data.get('text', '')}")
    except (ChatRefused, TimeoutError, OSError) as error:
        fail(str(error) or f"nobody answers at {address}; is the product running?")
    if as_json:
        print_json(turns)


@click.group()
def phone() -> None:
    """Be a caller on the phone."""


class _Turns(click.Command):
    """Keeps `--say`, `--keys` and `--wait` in the order given: each is a turn of the caller."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        turns: list[tuple[str, str]] = []
        for index, argument in enumerate(args):
            name, equals, value = argument.partition("=")
            if name in ("--say", "--keys", "--wait"):
                turns.append((name[2:], value if equals else (args[index + 1] if index + 1 < len(args) else "")))
        ctx.meta["turns"] = turns
        return super().parse_args(ctx, args)


@phone.command("call", cls=_Turns)
@_url
@click.option("--from", "from_", required=True, help="The caller's number, such as +49305550144.")
@click.option("--to", required=True, help="The number called; `up` prints those that are answered.")
@click.option("--say", multiple=True, help="What the caller says; may be given again.")
@click.option("--keys", multiple=True, help="Keys the caller presses; may be given again.")
@click.option("--wait", metavar="SECONDS", multiple=True, type=float, help="How long the caller only listens.")
@click.option(
    "--clock",
    type=click.Choice(("virtual", "real")),
    default="virtual",
    show_default=True,
    help="Whether waiting takes time.",
)
@data_options
@json_option
@click.pass_context
def phone_call(
    ctx: click.Context,
    url: str | None,
    from_: str,
    to: str,
    say: tuple[str, ...],
    keys: tuple[str, ...],
    wait: tuple[float, ...],
    clock: str,
    data: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Make a simulated call with signed webhooks, and print what the caller hears with the second at which he does.

    Each --say, --keys and --wait is a turn of the caller, in the order given.

    \b
    Such as
      contactbus phone call --from +49305550144 --to +49301234567 --say "Meine Kaffeemaschine heizt nicht"
      contactbus phone call --from +49305550101 --to +49301234567 --keys 0 --wait 130 --keys 1
    """
    _call(ctx.meta["turns"], url or "http://127.0.0.1:8080", from_, to, clock, data, config_file, as_json)


@async_command
async def _call(
    turns: list[tuple[str, str]],
    url: str,
    from_: str,
    to: str,
    clock: str,
    data: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    from adapters.phone.config import TOKEN_FILE, load_tokens
    from adapters.phone.simulator import CallFailed, Keys, Say, Wait, simulate_call
    from deploy.channels import load_plugin, plugin_config

    layers, settings = read_settings(config_file, data_flags(data))
    config = plugin_config(layers, load_plugin("phone"))
    secret = Path(config.auth_token_file) if config.auth_token_file else settings.data_dir / TOKEN_FILE
    if not secret.exists():
        fail(f"{secret} is missing: name the data folder of the running product with --data")
    makers: dict[str, Any] = {"say": Say, "keys": Keys, "wait": lambda text: Wait(float(text))}
    try:
        call = await simulate_call(
            url,
            from_,
            to,
            turns=[makers[kind](text) for kind, text in turns],
            clock=clock,
            auth_token=load_tokens(config, settings.data_dir)[0],
            tenant=settings.tenant,
            public_url=config.public_url or settings.public_url,
        )
    except CallFailed as error:
        fail(str(error))
    for problem in call.problems:
        click.echo(f"contactbus: {problem}", err=True)
    heard = [{"at": round(line.at, 2), "say": line.say} for line in call.heard]
    if as_json:
        print_json(heard)
    else:
        for line in heard:
            click.echo(f"{line['at']:7.1f} s  {line['say']}")
    if call.ended == "error":
        fail("the call broke off")
