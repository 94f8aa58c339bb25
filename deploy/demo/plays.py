"""One contact per channel, each through its real door, played as its customer would.

Nothing here knows what the answer will be: a play sends, waits until something comes back, and tells how long it took,
on every channel from the customer's words at our door to the first answer in the customer's hands.
"""

import asyncio
import smtplib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Any

from bus.clock import Clock

__all__ = ["PLAYS", "Play", "Played", "Scene"]

_ANSWER_S = 55.0
"""The demo promises an answer on every channel within a minute."""

_LOOK_S = 0.05
"""How often the letter tray is looked at: no coarser than what is told of it."""


@dataclass(frozen=True)
class Scene:
    """The doors of the running product."""

    http: str
    smtp: str
    drop_folder: Path
    letter_tray: Path
    phone_token: str
    tenant: str
    mailbox: Any
    clock: Clock
    mail_address: str
    number: Callable[[str], str]
    """The line of a language."""


@dataclass(frozen=True)
class Played:
    """A contact that was answered: after how many seconds for the first time, and with which words."""

    seconds: float
    answer: str


async def german_mail(scene: Scene) -> Played:
    """Grete sees one order twice on her card statement."""
    mail = EmailMessage()
    mail["From"] = "Grete Ohlsen <grete.ohlsen@kunde.example>"
    mail["To"] = scene.mail_address
    mail["Subject"] = "Kartenabrechnung stimmt nicht"
    mail["Date"] = format_datetime(scene.clock.now())
    mail["Message-ID"] = make_msgid(domain="kunde.example")
    mail.set_content(
        "Guten Tag,\n\nauf meiner Kartenabrechnung taucht die Bestellung SO-10234 zweimal auf, beide Male mit "
        "49,90 Euro. Bestellt habe ich nur einmal. Können Sie das bitte in Ordnung bringen?\n\n"
        "Freundliche Grüße\nGrete Ohlsen\n"
    )
    started = time.monotonic()
    await asyncio.to_thread(_post, scene.smtp, mail)
    answer = await scene.mailbox.wait_for(lambda received: mail["Message-ID"] in received.references, timeout=_ANSWER_S)
    return Played(time.monotonic() - started, answer.text)


def _post(address: str, mail: EmailMessage) -> None:
    host, _, port = address.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=20) as server:
        server.send_message(mail)


async def norwegian_letter(scene: Scene) -> Played:
    """Kari sends a letter: she withdraws from a purchase."""
    from adapters.post.samples import make_scan

    scan = await asyncio.to_thread(
        make_scan,
        "Hei,\n\njeg viser til bestilling SO-10301 som jeg fikk levert forrige uke. Jeg benytter meg av angreretten og "
        "trekker meg fra kjøpet. Fint om dere sender meg informasjon om hvordan jeg returnerer varen.\n\n"
        "Med vennlig hilsen\nKari Lunde",
        language="nb",
        sender=("Kari Lunde", "Storgata 12", "0155 Oslo"),
        degrade="office",
        fmt="pdf",
        seed=scene.clock.now().microsecond,
    )
    before = set(scene.letter_tray.glob("*.pdf"))
    started = time.monotonic()
    name = f"brev-{scene.clock.now():%Y%m%d-%H%M%S}.pdf"
    await asyncio.to_thread(_drop, scene.drop_folder, name, scan)
    while not (new := set(scene.letter_tray.glob("*.pdf")) - before):
        if time.monotonic() - started > _ANSWER_S:
            raise TimeoutError
        await asyncio.sleep(_LOOK_S)
    return Played(time.monotonic() - started, new.pop().name)


def _drop(folder: Path, name: str, data: bytes) -> None:
    partial = folder / f".{name}.part"
    partial.write_bytes(data)
    partial.rename(folder / name)


async def english_chat(scene: Scene) -> Played:
    """Tom paid more at the till than the shelf said."""
    from adapters.chat.client import ChatClient

    async with ChatClient(scene.http, "en") as chat:
        started = time.monotonic()
        answers = await chat.say(
            "Hi, the shelf said £19.99 but your till charged me £24.99. Order SO-10388.",
            timeout_s=_ANSWER_S,
            idle_s=0,
        )
        if not answers:
            raise TimeoutError
        return Played(time.monotonic() - started, str(answers[0].data.get("text", "")))


async def german_call(scene: Scene) -> Played:
    """Jonas calls about a coffee machine that does not heat."""
    from adapters.phone.phrases import load_phrases
    from adapters.phone.simulator import Say, simulate_call

    call = await simulate_call(
        scene.http,
        "+49305550144",
        scene.number("de"),
        turns=[
            Say("Guten Tag, meine Kaffeemaschine heizt nicht mehr, sie ist defekt."),
            Say("Ja, jetzt funktioniert sie wieder, vielen Dank."),
            Say("Nein danke, das war alles."),
        ],
        clock="virtual",
        auth_token=scene.phone_token,
        tenant=scene.tenant,
    )
    # "One moment, please" is heard while the caller waits for the answer, and is none.
    waiting = load_phrases()["de"].fillers
    told = call.said_at[0] if call.said_at else call.seconds
    answer = next((line for line in call.heard if line.at >= told and line.say not in waiting), None)
    if answer is None:
        raise TimeoutError
    return Played(answer.at - told, answer.say)


Play = Callable[[Scene], Awaitable[Played]]

PLAYS: tuple[tuple[str, str, Play], ...] = (
    ("phone", "de", german_call),
    ("email", "de", german_mail),
    ("post", "nb", norwegian_letter),
    ("chat", "en", english_chat),
)
"""Channel, language, play."""
