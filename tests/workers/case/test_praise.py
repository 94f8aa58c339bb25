"""Who is praised: whoever is named, else whoever answered, and nobody by guess."""

import pytest

from workers.case.praise import Colleague, meant, told

PEOPLE = [
    Colleague(name="Mina Berg", mail="mina@shop.example"),
    Colleague(name="Jonas Weber", mail="jonas@shop.example"),
    Colleague(name="Anna Weber", mail="anna@shop.example"),
    Colleague(name="Per", mail=""),
    Colleague(name="Ida Lund", mail="ida@shop.example", role="manager"),
]


@pytest.mark.parametrize(
    ("text", "helpers", "names"),
    [
        ("MINA BERG war großartig!", [], ("Mina Berg",)),
        ("Takk til mina, hun var fantastisk", [], ("Mina Berg",)),
        ("Mr Weber was brilliant", [], ()),
        ("Mr Weber was brilliant", ["Jonas Weber"], ("Jonas Weber",)),
        ("Anna Weber was brilliant", ["Jonas Weber"], ("Anna Weber",)),
        ("Jonas und Mina waren toll", [], ("Mina Berg", "Jonas Weber")),
        ("Ein Lob an das ganze Team", ["Mina Berg"], ("Mina Berg",)),
        ("Ein Lob an das ganze Team", ["Mina Berg", "Jonas Weber"], ()),
        ("Ein Lob an das ganze Team", [], ()),
        ("Seminar super, terminal auch", [], ()),
        ("Per var kjempeflink", [], ("Per",)),
        ("perfekt", [], ()),
        ("Olga was so helpful", ["Olga"], ("Olga",)),
    ],
)
def test_who_is_meant(text: str, helpers: list[str], names: tuple[str, ...]) -> None:
    assert meant(text, PEOPLE, helpers) == names


@pytest.mark.parametrize(
    ("text", "helpers", "names"),
    [
        ("Ein Lob für Frau Müller!", [], ("amueller",)),
        ("Takk til ØYVIND ÅSEN", [], ("oyvind",)),
        ("Thanks to Anne-Marie", [], ("amueller",)),
        ("Großes Lob an Müller", ["jm"], ("jm",)),
        ("Danke, Jürgen Müller", ["amueller"], ("jm",)),
        ("Danke an amueller", [], ()),
        ("Danke an das Team", ["oyvind"], ("oyvind",)),
    ],
)
def test_people_are_praised_by_the_name_that_is_read(text: str, helpers: list[str], names: tuple[str, ...]) -> None:
    people = [
        Colleague(name="amueller", shown="Anne-Marie Müller"),
        Colleague(name="oyvind", shown="Øyvind Åsen"),
        *([Colleague(name="jm", shown="Jürgen Müller")] if "jm" in (*helpers, *names) else []),
    ]
    assert meant(text, people, helpers) == names


def test_a_letter_is_not_praised_by_its_signature() -> None:
    text = "Danke an Mina, sie war sehr freundlich!\n\nMit freundlichen Grüßen\nJonas Weber"
    assert meant(text, PEOPLE, [], writer="Jonas Weber") == ("Mina Berg",)
    assert meant("Ein großes Lob!\n\njonas weber", PEOPLE, ["Ida Lund"], writer="Jonas Weber") == ("Ida Lund",)
    assert meant("Danke, Jonas Weber!", PEOPLE, [], writer="Otto Maier") == ("Jonas Weber",)


def test_the_person_and_the_managers_are_told_by_mail() -> None:
    assert [one.name for one in told(["Mina Berg", "Per"], PEOPLE)] == ["Mina Berg", "Ida Lund"]
    assert [one.name for one in told([], PEOPLE)] == ["Ida Lund"]
