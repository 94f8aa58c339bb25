"""Writing praise down and passing it on within the company, whoever has recognised it."""

from collections.abc import Sequence

from bus.message import Party, Reply
from workers.case import events
from workers.case.changes import Draft, reply_id
from workers.case.praise import Colleague, told, words_of
from workers.packs import Pack
from workers.records.money import format_date

__all__ = ["give_praise"]


def give_praise(
    draft: Draft, pack: Pack, *, contact: str, text: str, names: Sequence[str], colleagues: Sequence[Colleague],
    who: str, channel: str, actor: str = "customer",
) -> None:  # fmt: skip
    """An event with the customer's words, and a mail with them to the people meant (`names`) and the managers.

    `who` wrote it and `channel` is how; `actor` is the person at the desk who passed it on, where it was one.
    """
    readers = told(names, colleagues)
    words = words_of(text)
    state, language = draft.state, pack.default_language
    draft.tell(
        events.PraiseGiven(
            at=draft.now, actor=actor, contact=contact, words=words, names=tuple(names),
            told=tuple(colleague.name for colleague in readers),
        )
    )  # fmt: skip
    shown = {colleague.name: colleague.shown or colleague.name for colleague in colleagues}
    values = {
        "names": ", ".join(shown.get(name, name) for name in names) or pack.phrase(language, "praise.mail.team"),
        "words": words,
        "who": who,
        "date": format_date(draft.now, language),
        "channel": pack.phrase(language, f"praise.mail.by.{channel}"),
        "number": state.number,
    }
    mail = state.routes.get("email")
    for colleague in readers:
        draft.reply(
            Reply(
                id=reply_id(state, f"praise {contact}", "email", colleague.mail),
                tenant=state.tenant, case=state.id, channel="email", account=mail.account if mail else "",
                to=Party(kind="email", address=colleague.mail, name=shown[colleague.name]),
                subject=pack.phrase(language, "praise.mail.subject", number=state.number),
                text=pack.phrase(language, "praise.mail.text", **values), language=language, kind="internal",
            ),
            elsewhere="praise",
        )  # fmt: skip
