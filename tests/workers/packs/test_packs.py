"""The shop's pack is whole, and a pack that is not is told so in words."""

import shutil
from pathlib import Path

import pytest

from workers.packs import Pack, PackError, check, load
from workers.packs.checks import MINIMUM_EXAMPLES
from workers.triage.entities import Entities
from workers.triage.lists import Phrases, plain


@pytest.fixture
def shop() -> Pack:
    return load("shop")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shop's files, to be spoilt."""
    folder = tmp_path / "company"
    shutil.copytree(load("shop").folder, folder)
    return folder


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_shop_has_no_findings(shop: Pack) -> None:
    assert check(shop) == []


def test_reasons_that_procedures_serve_have_examples_enough(shop: Pack) -> None:
    for language in shop.languages:
        for label, issue in shop.issues.items():
            count = sum(e.label == label and e.language == language for e in shop.examples)
            assert count >= (25 if issue.procedure and not label.startswith("talk.") else MINIMUM_EXAMPLES), (
                label,
                language,
            )


def test_no_test_line_is_an_example(shop: Pack) -> None:
    trained = {plain(example.text) for example in shop.examples}
    assert [test.text for test in shop.tests if plain(test.text) in trained] == []


def test_what_is_asked_of_a_pack(shop: Pack) -> None:
    assert shop.company("nb") == "Nordlys Handel"
    assert shop.company("fr") == "Nordlicht Handel"
    assert shop.issue("billing.wrong_price").procedure == "disputed_charge"
    assert shop.department("billing", "en") == "billing and payments"
    assert len(shop.article("fault.coffee_machine", "nb").steps) == 2
    assert shop.policy.returns.window_days >= shop.policy.returns.withdrawal_days == 14
    with pytest.raises(KeyError):
        shop.issue("billing.nothing")
    with pytest.raises(KeyError, match="no phrase"):
        shop.phrase("de", "no.such.sentence")


def test_phrases_are_filled_strictly(copy: Path) -> None:
    for language in ("de", "nb", "en"):
        with (copy / f"phrases.{language}.toml").open("a", encoding="utf-8") as file:
            file.write('\n[test]\nsum = "{{x}} {name}: {sum}"\n')
    pack = load(str(copy))
    assert pack.phrase("de", "test.sum", name="A", sum=3, other=1) == "{x} A: 3"
    with pytest.raises(KeyError, match="sum"):
        pack.phrase("de", "test.sum", name="A")


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("phrases.nb.toml", "[", "[", ""),
        ("test.en.csv", "text,label\n", "text,label\nUnsubscribe,sales.stop_contacting_me\n", "among the examples"),
        ("examples.de.csv", "text,label\n", "text,label\nGanz neu hier,billing.wrong_prise\n", "unknown label"),
        ("examples.de.csv", "text,label\n", "text,label\nUmtausch,return.withdraw\n", "same line"),
        ("pack.toml", 'risk = "money"', 'risk = "huge"', "risk huge"),
        ("pack.toml", 'answers = "account.access"', 'answers = "account.nothing"', "no article"),
        ("pack.toml", 'department = "billing"', 'department = "bills"', "department bills"),
        ("articles.en.toml", "[fault.kettle]", "[fault.kettles]", "fault.kettle is missing"),
        ("words.nb.toml", "stop = [", "stop = []\nthanks = [", "stop is empty"),
    ],
)
def test_check_names_what_is_wrong(copy: Path, file: str, old: str, new: str, told: str) -> None:
    if file == "words.nb.toml":
        text = (copy / file).read_text(encoding="utf-8").splitlines()
        text = ["stop = []" if line.startswith("stop = ") else line for line in text]
        (copy / file).write_text("\n".join(text), encoding="utf-8")
    else:
        _edit(copy / file, old, new)
    findings = [f"{finding.where}: {finding.what}" for finding in check(load(str(copy)))]
    if not told:
        assert findings == []
    else:
        assert any(told in finding for finding in findings), findings


def test_a_missing_phrase_and_other_placeholders_are_found(copy: Path) -> None:
    with (copy / "phrases.de.toml").open("a", encoding="utf-8") as file:
        file.write('\n[test]\nonly_german = "x"\nsum = "{a}"\n')
    for language in ("nb", "en"):
        with (copy / f"phrases.{language}.toml").open("a", encoding="utf-8") as file:
            file.write('\n[test]\nsum = "{b}"\n')
    told = [finding.what for finding in check(load(str(copy)))]
    assert told.count("test.only_german is missing") == 2
    assert any(what.startswith("test.sum has different placeholders") for what in told)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("pack.toml", "id = [", "pack.toml"),
        ("policy.toml", "[returns]\nwindow_dayz = 3\n", "policy.toml"),
        ("phrases.de.toml", 'a = "{x.y}"\n', "plain name"),
        ("phrases.de.toml", "a = 3\n", "sentence in quotes"),
        ("examples.nb.csv", "body,kind\nx,y\n", "text,label"),
        ("examples.nb.csv", "text,label\nx,\n", "line 2"),
        ("words.en.toml", 'yess = ["yes"]\n', "words.en.toml"),
    ],
)
def test_files_that_cannot_be_used_are_named(copy: Path, file: str, text: str, told: str) -> None:
    (copy / file).write_text(text, encoding="utf-8")
    with pytest.raises(PackError, match=told):
        load(str(copy))


def test_a_pack_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="does not exist"):
        load(str(tmp_path / "nowhere"))


def test_the_digest_follows_the_examples(copy: Path) -> None:
    before = load(str(copy)).digest
    load.cache_clear()
    _edit(copy / "examples.en.csv", "text,label\n", "text,label\nA wholly new line,order.status\n")
    assert load(str(copy)).digest != before


def test_identifiers_of_the_pack_are_found(shop: Pack) -> None:
    found = {entity.kind for entity in Entities(shop).find("SO-12345 RE-12345 R-12345", "en")}
    assert found == set(shop.file.identifiers)


@pytest.mark.parametrize(
    ("entry", "text", "hit"),
    [
        ("keine werbung", "Bitte KEINE  Werbung!", True),
        ("werbe*", "diese Werbemails", True),
        ("*werbung", "Mailwerbung nervt", True),
        ("mit ... sprechen", "mit einem netten Menschen sprechen", True),
        ("mit ... sprechen", "mit dem Hund gehen und dann viel später mal lange sprechen", False),
        ("stop", "stopping", False),
        ("that's it", "That’s it", True),
    ],
)
def test_entries_of_word_lists(entry: str, text: str, hit: bool) -> None:
    assert bool(Phrases([entry]).find(plain(text))) is hit
