"""Three codes for one language: text, text-to-speech and speech recognition do not agree on Norwegian.

Norwegian is `nb` in texts, `nb-NO` for `<Say>` and `no-NO` for `<Gather>`; with the wrong one of them the provider
fails the whole verb while the caller is on the line. So no place in the adapter builds a code by itself.
"""

import msgspec

__all__ = ["LANGUAGES", "LanguageCodes", "codes"]


class LanguageCodes(msgspec.Struct, frozen=True, kw_only=True):
    """`text`: of contacts and phrases. `speaking`: of `<Say>`. `listening`: of `<Gather>` speech recognition."""

    text: str
    speaking: str
    listening: str


LANGUAGES = {
    "de": LanguageCodes(text="de", speaking="de-DE", listening="de-DE"),
    "nb": LanguageCodes(text="nb", speaking="nb-NO", listening="no-NO"),
    "en": LanguageCodes(text="en", speaking="en-GB", listening="en-GB"),
}


def codes(language: str) -> LanguageCodes:
    """The codes of a text language. Raises KeyError: languages are checked when they enter the adapter."""
    return LANGUAGES[language]
