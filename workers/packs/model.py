"""The shapes of a pack's files. Unknown keys are errors, so that a typing mistake is found and not ignored."""

import msgspec

__all__ = ["RISKS", "Article", "Example", "Issue", "PackFile", "Words"]

RISKS = ("information", "reversible", "money", "legal")
"""What a wrong understanding may cost: an unneeded answer, something that can be undone, money, a lost right."""


class Issue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reason for contact. `label` is `family.leaf`.

    `urgency` 0..3 before the text says more. `risk` is one of RISKS. `procedure` names what the department's worker
    runs; empty: a person deals with it. `answers` names the knowledge article that answers it, if one does.
    `names`, per language, complete the sentence "Is it about ...?".
    """

    label: str = ""
    department: str
    urgency: int = 0
    risk: str = "information"
    procedure: str = ""
    answers: str = ""
    names: dict[str, str] = {}


class Article(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A piece of knowledge in one language: `text`, and `steps` when something is to be done in order.

    `products` are words by which a customer names what the article is about, in lower case.
    """

    key: str = ""
    title: str
    text: str = ""
    steps: tuple[str, ...] = ()
    products: tuple[str, ...] = ()


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence as customers write it, and the label that a person gave it."""

    text: str
    label: str
    language: str


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lists of one language for the rules that come before the model. All in lower case.

    An entry matches whole words; `*` at an end of a word stands for any letters, `...` between words for up to
    `workers.triage.lists.GAP_WORDS` other words.
    """

    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    """Thanks, that was all."""
    thanks: tuple[str, ...] = ()
    greeting: tuple[str, ...] = ()
    """Openings that carry no request, left out before the model reads."""
    closing: tuple[str, ...] = ()
    """Closing formulas of letters and mails; what stands after one is a name."""
    person: tuple[str, ...] = ()
    person_alone: tuple[str, ...] = ()
    """Ask for a person only as the whole message ("Mitarbeiter", on the phone)."""
    callback: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    stop_alone: tuple[str, ...] = ()
    """Opt out only as the whole message ("STOP")."""
    emergency: tuple[str, ...] = ()
    self_harm: tuple[str, ...] = ()
    """Words of somebody who may not want to live any more."""
    threat: tuple[str, ...] = ()
    """Words against somebody's life or safety."""
    praise: tuple[str, ...] = ()
    """Words that praise whoever served the customer; said in a matter of another kind as well."""
    but: tuple[str, ...] = ()
    """What follows one of these takes back the kind words before it."""
    fraud: tuple[str, ...] = ()
    withdraw: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()
    privacy_access: tuple[str, ...] = ()
    privacy_erase: tuple[str, ...] = ()
    legal_threat: tuple[str, ...] = ()
    out_of_office: tuple[str, ...] = ()
    upset: tuple[str, ...] = ()
    angry: tuple[str, ...] = ()
    abusive: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    """The customer had to ask before ("zum dritten Mal")."""
    also: tuple[str, ...] = ()
    """Words with which somebody comes to a further matter ("by the way")."""
    urgent: tuple[str, ...] = ()
    negation: tuple[str, ...] = ()
    helped: tuple[str, ...] = ()
    """Answers to "did that help?" that carry neither yes nor no."""
    not_helped: tuple[str, ...] = ()
    function_words: tuple[str, ...] = ()
    """Frequent small words that tell this language from its neighbours."""
    foreign_words: tuple[str, ...] = ()
    """Frequent small words of a close neighbour that is not this language (Danish beside Norwegian)."""


class Department(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`names` per language as customers hear it."""

    names: dict[str, str]


class PackFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`pack.toml`."""

    id: str
    version: str
    languages: tuple[str, ...]
    default_language: str
    company: dict[str, str]
    home_country: str
    """ISO 3166 of the company's seat: law and number forms where nothing else is known."""
    countries: dict[str, str]
    """Calling code (without +) to language: the language priors of the phone."""
    currencies: dict[str, str]
    """Language to the currency meant when a customer writes none."""
    values: dict[str, tuple[str, ...]]
    tone: dict[str, str]
    departments: dict[str, Department]
    identifiers: dict[str, str]
    """Kind of entity to its pattern: order, invoice, receipt."""
    issues: dict[str, Issue]
