"""What the case's own worker says unasked: one sentence of the pack as a letter, a mail or a line in a window."""

from typing import Any

from bus.delivery.consent import SERVICE
from bus.log.topics import LIVE_CHANNELS
from bus.message import Reply
from workers.case.changes import Draft, reply_id
from workers.case.model import Route
from workers.packs import Pack

__all__ = ["tell_customer"]


def tell_customer(
    draft: Draft,
    pack: Pack,
    route: Route,
    key: str,
    *,
    kind: str,
    decision: str,
    footer: str,
    purpose: str = SERVICE,
    by_hand: bool = False,
    then: str = "",
    **values: Any,
) -> None:
    """Plan a reply with the phrase `key` through `route`; `footer` is the phrase that ends a letter or mail.

    `then` is a further phrase after it. `purpose` as in `Reply`. `by_hand`: a person has it said, and it goes out
    whatever the customer says meanwhile.
    """
    state = draft.state
    language = pack.language(state.language)
    words = {"company": pack.company(language), "number": state.number, "name": route.address.name, **values}
    spoken = route.channel == "phone" and pack.has_phrase(language, f"{key}.spoken")
    text = pack.phrase(language, f"{key}.spoken" if spoken else key, **words)
    if then:
        text = "\n\n".join((text, pack.phrase(language, then, **words)))
    subject = ""
    if route.channel not in LIVE_CHANNELS:
        greeting = "letter.greeting.named" if route.address.name else "letter.greeting.plain"
        text = "\n\n".join((pack.phrase(language, greeting, **words), text, pack.phrase(language, footer, **words)))
        subject = _subject(route.subject) or pack.phrase(language, "letter.subject", **words)
    draft.reply(
        Reply(
            id=reply_id(state, decision, route.channel, route.address.address),
            tenant=state.tenant, case=state.id, channel=route.channel, account=route.account, to=route.address,
            text=text, language=language, kind=kind, conversation=route.conversation,
            in_reply_to=route.in_reply_to, references=route.references, subject=subject, case_number=state.number,
            purpose=purpose, automatic=not by_hand,
        )
    )  # fmt: skip


def _subject(subject: str) -> str:
    known = subject[:3].casefold() in ("re:", "aw:", "sv:")
    return subject if known or not subject else f"Re: {subject}"
