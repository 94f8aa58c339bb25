"""Our own Twilio: calls against a running product, without a telephone and without the internet.

    transcript = await simulate_call(
        "http://127.0.0.1:8080", "+49305550144", "+49301234567",
        turns=[Say("Meine Kaffeemaschine ist defekt."), Keys("0"), Wait(130)], clock="virtual", auth_token=token,
    )

Requests are signed as the provider signs them, every document is checked against the grammar of TwiML, and requests
are repeated by the provider's rules. `Faults` breaks the network on purpose.
"""

import random
import secrets
from collections.abc import Collection, Sequence

import aiohttp

from adapters.phone.render import OVERRIDE
from adapters.phone.simulator.caller import Caller
from adapters.phone.simulator.dialled import SimulatedCall
from adapters.phone.simulator.grammar import problems_of
from adapters.phone.simulator.network import Answer, Faults, HttpTransport, Network, Transport
from adapters.phone.simulator.pace import Pace, RealPace, VirtualPace
from adapters.phone.simulator.script import Keys, Say, Turn, Wait
from adapters.phone.simulator.transcript import Heard, Request, Transcript

__all__ = [
    "Answer",
    "CallFailed",
    "Faults",
    "Heard",
    "Keys",
    "Pace",
    "RealPace",
    "Request",
    "Say",
    "Transcript",
    "Transport",
    "Turn",
    "VirtualPace",
    "Wait",
    "problems_of",
    "simulate_call",
]


class CallFailed(Exception):
    """The product did not even pick up; the text says what it answered."""


async def simulate_call(
    url: str,
    from_: str,
    to: str,
    turns: Sequence[Turn] = (),
    *,
    auth_token: str,
    clock: str = "virtual",
    tenant: str = "shop",
    public_url: str = "",
    faults: Faults | None = None,
    seed: int | None = None,
    transport: Transport | None = None,
    answering: Collection[str] = (),
) -> Transcript:
    """Call `to` from `from_` (E.164) and do the turns; ends when the product hangs up or the caller has nothing left.

    `url` is the base address of the product. `public_url` is what the product calls itself, if that is another: it
    goes into signatures. `clock`: virtual (speech and long silences take no time) or real. With `seed` the faults and
    the CallSid are the same again. `answering`: telephones that are picked up when the product dials them. Raises
    CallFailed when nothing was heard because the first request failed, and ValueError for an unknown clock; what goes
    wrong later is in `Transcript.problems`.
    """
    if clock not in ("virtual", "real"):
        raise ValueError(f"clock is {clock!r}, neither 'virtual' nor 'real'")
    pace: Pace = VirtualPace() if clock == "virtual" else RealPace()
    rng = random.Random(seed)  # noqa: S311 - faults to be repeated, not secrets
    sid = "CA" + (secrets.token_hex(16) if seed is None else f"{rng.getrandbits(128):032x}")
    url = url.rstrip("/")
    base = (public_url or url).rstrip("/")

    async def conduct(carrier: Transport) -> Transcript:
        transcript = Transcript(call_sid=sid)
        network = Network(carrier, auth_token, pace=pace, faults=faults or Faults(), rng=rng)
        call = SimulatedCall(
            network=network, pace=pace, caller=Caller(turns, pace.now()), transcript=transcript, from_=from_, to=to,
            voice_url=f"{base}/phone/{tenant}/voice#{OVERRIDE}",
            status_url=f"{base}/phone/{tenant}/status#{OVERRIDE}", answering=answering,
        )  # fmt: skip
        await call.run()
        if transcript.ended == "error" and not transcript.heard:
            raise CallFailed(_why(transcript))
        return transcript

    if transport is not None:
        return await conduct(transport)
    async with aiohttp.ClientSession() as session:
        return await conduct(HttpTransport(session, (base, url) if base != url else None))


def _why(transcript: Transcript) -> str:
    status = transcript.requests[0].status if transcript.requests else 0
    if status == 403:
        return "the product refused the signature: is this its auth token, and the address it calls itself by?"
    return f"the product answered {status}" if status else "nobody answers at that address"
