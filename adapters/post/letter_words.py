"""What our letters say around the text of a reply, per language."""

import msgspec

__all__ = ["LETTER_WORDS", "LetterWords"]


class LetterWords(msgspec.Struct, frozen=True, kw_only=True):
    """Fixed words of a letter; `{}` takes a name or number."""

    case: str
    date: str
    person: str
    subject: str
    opening_named: str
    opening: str
    closing: str
    reach_title: str
    phone: str
    email: str
    web: str
    return_hint: str
    return_hint_plain: str
    machine_hint: str
    page: tuple[str, str]


LETTER_WORDS = {
    "de": LetterWords(
        case="Ihr Vorgang",
        date="Datum",
        person="Für Sie da",
        subject="Ihre Nachricht an uns",
        opening_named="Guten Tag {},",
        opening="Guten Tag,",
        closing="Mit freundlichen Grüßen",
        reach_title="So erreichen Sie einen Menschen bei uns",
        phone="Telefon {}",
        email="E-Mail {}",
        web="{}",
        return_hint="Wenn Sie uns schreiben, nennen Sie bitte den Vorgang {} oder legen Sie diese Seite bei.",
        return_hint_plain="Oder schreiben Sie uns einen Brief an die Adresse oben.",
        machine_hint="Diesen Brief hat unser automatischer Service verfasst.",
        page=("Seite", "von"),
    ),
    "nb": LetterWords(
        case="Din sak",
        date="Dato",
        person="Din kontaktperson",
        subject="Din henvendelse til oss",
        opening_named="Hei {},",
        opening="Hei,",
        closing="Vennlig hilsen",
        reach_title="Slik får du kontakt med et menneske hos oss",
        phone="Telefon {}",
        email="E-post {}",
        web="{}",
        return_hint="Skriver du til oss, oppgi saksnummer {} eller legg ved denne siden.",
        return_hint_plain="Du kan også skrive et brev til adressen øverst.",
        machine_hint="Dette brevet er skrevet av den automatiske kundeservicen vår.",
        page=("Side", "av"),
    ),
    "en": LetterWords(
        case="Your case",
        date="Date",
        person="Here for you",
        subject="Your message to us",
        opening_named="Dear {},",
        opening="Hello,",
        closing="Kind regards",
        reach_title="How to reach a person here",
        phone="Phone {}",
        email="Email {}",
        web="{}",
        return_hint="If you write to us, please quote case {} or enclose this page.",
        return_hint_plain="Or send us a letter to the address at the top.",
        machine_hint="This letter was written by our automated service.",
        page=("Page", "of"),
    ),
}
