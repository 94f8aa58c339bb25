"""Every sentence that the code says exists in every language, with the same details in it."""

import re
from pathlib import Path

import pytest

import workers
from workers.packs import load

PACK = load("shop")
FOLDERS = ("case", "dialogue", "billing", "returns", "sales", "support")
CALL = re.compile(r'(?:\bsay|\bphrase)\(\s*(?:language,\s*)?f?"([a-z_.\-]+)"|\bsay="([a-z_.\-]+)"')

SPOKEN_OF_CHOICES = (
    *(f"method.{name}" for name in ("card", "invoice", "account")),
    *(f"bill.{name}" for name in ("item", "shipping", "discount")),
    *(f"choice.{name}" for name in ("repair", "replacement", "refund")),
    *(f"fault.{name}" for name in ("repair", "replacement", "refund")),
    *(f"again.{name}" for name in ("confirm", "tried", "choice")),
    *(f"tone.{name}" for name in ("upset", "angry", "abusive")),
    *(f"disclosure.{name}" for name in ("live", "deferred", "letter")),
    *(f"anything-else.{name}" for name in ("ask", "notice", "letter")),
    *(f"status.{name}" for name in ("placed", "shipped", "late")),
    *(f"matter.{name}" for name in ("apart", "later", "next", "back")),
    "ask.order", "ask.variant", "faulty_device.choose", "damaged_or_wrong_item.choose", "closing.unanswered",
    "closing.notice", "charge.authorises", "refund.on-its-way", "refund.should-be-there",
)  # fmt: skip
"""Keys that the code puts together."""


def said() -> set[str]:
    """The keys that stand in the code as they are."""
    root = Path(workers.__file__).parent
    text = "\n".join(path.read_text() for folder in FOLDERS for path in (root / folder).glob("*.py"))
    return {one or other for one, other in CALL.findall(text)}


@pytest.mark.parametrize("language", ["de", "nb", "en"])
def test_every_sentence_exists(language: str) -> None:
    keys = said()
    assert len(keys) > 60
    missing = [key for key in sorted(keys | set(SPOKEN_OF_CHOICES)) if not PACK.has_phrase(language, key)]
    assert missing == []


def test_every_sentence_says_the_same_in_every_language() -> None:
    keys = {language: set(PACK.phrases[language]) for language in PACK.languages}
    assert keys["de"] == keys["nb"] == keys["en"]
    for key in keys["de"]:
        assert len({PACK.phrases[language][key].placeholders for language in PACK.languages}) == 1, key


def test_what_ends_a_request_says_how_to_go_on() -> None:
    words = {"de": "Mensch", "nb": "menneske", "en": "person"}
    for language, word in words.items():
        for key in (
            "handover.deferred",
            "letter.footer",
            "disclosure.deferred",
            "disclosure.live",
            "disclosure.letter",
        ):
            assert word in PACK.phrases[language][key].text
        for key in ("handover.deferred", "charge.refunded", "fault.repair", "return.instructions"):
            assert PACK.phrases[language][key].placeholders & {"date", "until"}, key
