"""An outbound campaign by e-mail: only to those who agreed, not too often, not at night.

The campaign picks by the rule that is asked once more in the transaction that starts each sending
(`bus.delivery.consent.may_contact`). A "stop" that arrives in between wins.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import bindparam, exists, func, select

from bus.clock import Clock, to_micros
from bus.delivery.consent import MARKETING, Entry, may_contact
from bus.delivery.ledger import send_ledger
from bus.errors import ConfigurationError
from bus.message import Party, Reply, derive_id, derive_number
from bus.store.permission import consent_ledger, entries_about, entry_of
from bus.store.port import Effect, Store
from workers.case import events
from workers.case.changes import Draft, reply_id
from workers.case.model import Question
from workers.case.rules import Open
from workers.packs import Pack
from workers.records.schema import customer

__all__ = ["Campaign", "CampaignResult", "campaign_from_toml", "start_campaign"]

_MONTH = timedelta(days=30)
_LEFT_OUT = {"withdrawn": "asked to stop", "expired": "consent ran out", "no consent": "no consent for e-mail"}
_BATCH = 200
"""Mails planned per transaction."""

_ever_agreed = (
    select(customer)
    .where(
        customer.c.tenant == bindparam("tenant"),
        customer.c.email != "",
        exists().where(
            consent_ledger.c.tenant == customer.c.tenant,
            consent_ledger.c.person == customer.c.person,
            consent_ledger.c.purpose == MARKETING,
            consent_ledger.c.given == 1,
        ),
    )
    .order_by(customer.c.id)
)
_sent_lately = (
    select(send_ledger.c.person, func.count().label("count"))
    .where(
        send_ledger.c.tenant == bindparam("tenant"),
        send_ledger.c.purpose == MARKETING,
        send_ledger.c.planned_at > bindparam("since"),
        send_ledger.c.state.not_in(("blocked", "refused")),
    )
    .group_by(send_ledger.c.person)
)


class Campaign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`name` makes it once per customer. `subjects` and `texts` per language; who has none in theirs gets no mail."""

    name: str
    subjects: Mapping[str, str]
    texts: Mapping[str, str]
    account: str = ""


class CampaignResult(msgspec.Struct, frozen=True, kw_only=True):
    """How many mails were planned, and how many customers were left out by reason."""

    planned: int
    left_out: dict[str, int]


def campaign_from_toml(data: bytes, pack: Pack, *, account: str) -> Campaign:
    """A campaign as people write it; `account` is the mailbox it comes from when the file names none.

    Raises ConfigurationError naming what is wrong: no TOML, an unknown key, no name, a text without its subject, an
    empty one, a language that the pack does not speak.
    """
    try:
        campaign = msgspec.convert(tomllib.loads(data.decode()), Campaign)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"this is no campaign: {error}") from None
    if not campaign.name.strip():
        raise ConfigurationError("this is no campaign: name is empty")
    if not campaign.texts:
        raise ConfigurationError("this is no campaign: [texts] has none")
    for language in sorted({*campaign.texts, *campaign.subjects}):
        if language not in pack.languages:
            raise ConfigurationError(f"the pack {pack.id} does not speak {language!r}: {', '.join(pack.languages)}")
        for part, given in (("texts", campaign.texts), ("subjects", campaign.subjects)):
            if not given.get(language, "").strip():
                raise ConfigurationError(f"this is no campaign: {part}.{language} is missing or empty")
    return msgspec.structs.replace(campaign, account=campaign.account or account)


async def start_campaign(
    campaign: Campaign, *, store: Store, clock: Clock, pack: Pack, tenant: str = "shop"
) -> CampaignResult:
    """Plan the campaign's mails. Starting it again plans only what is missing."""
    now = clock.now()
    limits = pack.policy.sales
    left_out: dict[str, int] = {}
    said: dict[str, list[Entry]] = {}
    for row in await store.all(entries_about, {"tenant": tenant, "purpose": MARKETING}):
        said.setdefault(row["person"], []).append(entry_of(row))
    lately = {
        row["person"]: row["count"]
        for row in await store.all(_sent_lately, {"tenant": tenant, "since": to_micros(now - _MONTH)})
    }
    effects: list[Effect] = []
    for row in await store.all(_ever_agreed, {"tenant": tenant}):
        verdict = may_contact(said[row["person"]], MARKETING, "email", now, limits.quiet(), row["country"])
        reason = _LEFT_OUT.get(verdict.reason, verdict.reason)
        if reason:
            pass
        elif lately.get(row["person"], 0) >= limits.messages_per_month:
            reason = "enough this month"
        elif row["language"] not in campaign.texts:
            reason = "no text in the language"
        elif verdict.not_before is not None:
            reason = "hour of the day"
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        draft = _open(campaign, tenant, row["person"], row["language"], now)
        draft.reply(_mail(campaign, draft, pack, row))
        effects.append(Effect(outcome=draft.outcome()))
    planned = 0
    for start in range(0, len(effects), _BATCH):
        results = await store.apply(effects[start : start + _BATCH])
        planned += sum(result.applied for result in results)
        again = sum(not result.applied for result in results)
        if again:
            left_out["had it already"] = left_out.get("had it already", 0) + again
    return CampaignResult(planned=planned, left_out=left_out)


def _open(campaign: Campaign, tenant: str, person: str, language: str, now: datetime) -> Draft:
    case_id = derive_id("k", tenant, "campaign", campaign.name, person)
    draft = Draft(None, now)
    draft.do(
        Open(
            id=case_id, tenant=tenant, number=derive_number(tenant, case_id), person=person, channel="email",
            language=language, link="campaign",
        )
    )  # fmt: skip
    # It waits for the customer, and for nobody at the desk.
    draft.tell(events.QuestionAsked(at=now, question=Question(kind="request", asked_at=now)))
    return draft


def _mail(campaign: Campaign, draft: Draft, pack: Pack, row: Mapping[str, str]) -> Reply:
    state, language = draft.state, pack.language(row["language"])
    company = pack.company(language)
    text = "\n\n".join(
        (
            pack.phrase(language, "letter.greeting.named", company=company, name=row["name"]),
            campaign.texts[row["language"]],
            pack.phrase(language, "campaign.footer", company=company),
        )
    )
    return Reply(
        id=reply_id(state, f"campaign {campaign.name}", "email", row["email"]),
        tenant=state.tenant, case=state.id, channel="email", account=campaign.account,
        to=Party(kind="email", address=row["email"], name=row["name"]), text=text, language=language, kind="notice",
        purpose=MARKETING, person=state.person, country=row["country"], subject=campaign.subjects[row["language"]],
        case_number=state.number,
    )  # fmt: skip
