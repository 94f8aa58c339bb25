"""What all pages share: words in three languages, contrast of the colours, safe headers, files."""

import json
import re
from pathlib import Path

import aiohttp
import pytest

from bus.web import attachment_headers, page_headers
from bus.web import routes as asset_routes

ROOT = Path(__file__).parents[2]
LANGUAGES = ("de", "nb", "en")
WORDS = {name: json.loads((ROOT / f"bus/web/i18n/{name}.json").read_text()) for name in LANGUAGES}
SCRIPTS = [*ROOT.glob("bus/web/*.js"), *ROOT.glob("workers/desk/page/*.js"), *ROOT.glob("deploy/start/page/*.js")]


def test_every_language_has_the_same_keys_and_placeholders():
    for name in LANGUAGES:
        assert WORDS[name].keys() == WORDS["en"].keys()
        for key, words in WORDS[name].items():
            assert words.strip() == words != "", (name, key)
            assert set(re.findall(r"\{(\w+)\}", words)) == set(re.findall(r"\{(\w+)\}", WORDS["en"][key])), (name, key)


def test_every_key_that_a_page_names_has_words():
    named = set()
    for script in SCRIPTS:
        named |= set(re.findall(r"""\bt\(\s*["']([\w.?-]+)["']""", script.read_text()))
    assert len(named) > 100
    assert named - WORDS["en"].keys() == set()


@pytest.mark.parametrize(
    ("script", "list_name", "prefix"),
    [
        ("workers/desk/page/queue.js", "VIEWS", "desk.view."),
        ("workers/desk/page/queue.js", "VIEWS", "desk.queue.empty."),
        ("workers/desk/page/context.js", "OUTCOMES", "outcome."),
        ("deploy/start/page/rows.js", "STOPS", "start.stop."),
    ],
)
def test_every_built_key_has_words(script, list_name, prefix):
    [found] = re.findall(rf"{list_name} = \[([^\]]*)\]", (ROOT / script).read_text())
    assert {prefix + name for name in re.findall(r'"([\w-]+)"', found)} <= WORDS["en"].keys()


def test_every_refusal_of_the_desk_has_words():
    codes = set()
    for source in ("workers/desk/web.py", "workers/desk/gate.py"):
        codes |= set(re.findall(r'refuse\(\d+, "([\w-]+)"', (ROOT / source).read_text()))
    assert len(codes) >= 7
    assert {f"error.{code}" for code in codes} <= WORDS["en"].keys()


def test_every_reason_why_something_is_refused_has_words():
    """What people can run into at the desk; the others are mistakes of a page, and have one sentence for all."""
    from workers.case import callback
    from workers.case.supervising import REASONS
    from workers.policy.rules import ROWS

    mistakes = {"case", "changed", "result", "state"}
    said = set()
    for source in [*ROOT.glob("workers/case/*.py"), *ROOT.glob("workers/desk/*.py")]:
        said |= set(re.findall(r'Refused\(\("([\w-]+)",', source.read_text()))
    assert len(said) > 15
    assert {f"refused.{word}" for word in said - mistakes} - WORDS["en"].keys() == set()
    goodwill = {row.id for row in ROWS.values() if row.id.startswith("goodwill.") and row.effect != "permit"}
    assert {f"refused.{rule}" for rule in goodwill} <= WORDS["en"].keys()
    assert {f"reason.{reason}" for reason in REASONS} <= WORDS["en"].keys()
    results = {"talked", "customer"} & set(callback.RESULTS)
    assert {f"desk.{part}.{result}" for result in results for part in ("called", "said.called")} <= WORDS["en"].keys()


def test_every_event_of_a_case_has_a_sentence():
    from workers.case.closing import REASONS
    from workers.case.events import EVENT_KINDS

    spoken = {"received", "reply-planned", "noted", "anything-else-answered"}
    assert {f"event.{kind}" for kind in set(EVENT_KINDS.values()) - spoken} <= WORDS["en"].keys()
    assert {f"closing.{reason}{part}" for reason in REASONS for part in ("", ".todo")} <= WORDS["en"].keys()


def test_every_sentence_about_an_event_finds_its_values():
    text = (ROOT / "workers/desk/page/timeline.js").read_text()
    [given] = re.findall(r"const values = \{(.*?)\n  \};", text, re.DOTALL)
    known = set(re.findall(r"^    (\w+):", given, re.MULTILINE))
    asked = {
        name
        for key, words in WORDS["en"].items()
        if key.startswith("event.")
        for name in re.findall(r"\{(\w+)\}", words)
    }
    assert len(asked) > 15
    assert asked == known


def test_every_way_in_which_software_ends_something_has_words():
    said = set()
    for source in ROOT.glob("workers/*/*.py"):
        text = source.read_text()
        said |= {f"outcome.{word}" for word in re.findall(r'outcome="([a-z-]+)"', text)}
        said |= {f"outcome.{word}" for word in re.findall(r'\bReport\("([a-z-]+)"', text)}
        said |= {f"result.{word}" for word in re.findall(r'\bReport\("[a-z-]+", "([a-z-]+)"', text)}
        said |= {f"result.{word}" for word in re.findall(r'ProcedureEnded\([^()]*result="([a-z-]+)"', text)}
        said |= {
            f"result.{word}" for pair in re.findall(r'result = "(\w+)" if \w+ else "(\w+)"', text) for word in pair
        }
        said |= {f"note.{word}" for word in re.findall(r'Noted\(at=[\w.]+, text="([^"]+)"', text)}
    assert {"outcome.unanswered", "result.paused"} < said
    assert said - WORDS["en"].keys() == set()


def test_every_reason_of_a_hand_over_has_words():
    """What software writes down in English for people is shown in theirs; rules and the customer's words may follow."""
    said = set()
    for source in [*ROOT.glob("workers/*/*.py"), *ROOT.glob("deploy/dead_letter_case.py")]:
        text = source.read_text()
        said |= set(re.findall(r'(?:\bPerson|hand_over)\((?:turn, procedure, )?f?"([^"{:]+)', text))
        said |= set(re.findall(r'(?:HandOver|HandedOver)\([^()]*reason="([^"]+)"', text))
        said |= set(re.findall(r'^_REASON = "([^"]+)"', text, re.MULTILINE))
    assert len(said) > 25
    never_shown = {"wrote again"}
    assert {f"reason.{reason}" for reason in said - never_shown} - WORDS["en"].keys() == set()


def test_what_triage_went_by_has_words():
    text = (ROOT / "workers/triage/understand.py").read_text()
    fixed = set(re.findall(r'\("([a-z ]+)",\), \{', text)) | set(re.findall(r'why = "([a-z ]+)"', text))
    assert len(fixed) >= 3
    built = {f"channel: {request}" for request in ("person", "callback", "voicemail")}
    built |= {f"nothing but {bare}" for bare in ("yes", "no", "thanks", "done", "greeting")}
    built |= {"rule", "danger", "answers the question"}
    assert {f"because.{reason}" for reason in fixed | built} - WORDS["en"].keys() == set()


def test_german_is_polite_and_norwegian_is_not_danish():
    informal = re.compile(r"\b(du|dein|deine|dir|dich)\b", re.IGNORECASE)
    assert [key for key, words in WORDS["de"].items() if informal.search(words)] == []
    danish = re.compile(r"\b(af|hvad|nogen|meget|deres|dit|jer)\b", re.IGNORECASE)
    assert [key for key, words in WORDS["nb"].items() if danish.search(words)] == []


def luminance(colour):
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_every_ink_is_readable_on_every_surface(scheme):
    css = (ROOT / "bus/web/tokens.css").read_text()
    blocks = re.findall(r":root \{([^}]*)\}", css)
    assert len(blocks) == 2
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0]))
    tokens |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    surfaces = ("surface", "surface-raised", "surface-sunken")
    for ink in ("ink", "ink-quiet", "accent", "good", "warn", "bad"):
        for surface in surfaces:
            assert contrast(tokens[ink], tokens[surface]) >= 4.5, (ink, surface)
    for soft in ("accent", "good", "warn", "bad"):
        assert contrast(tokens["ink"], tokens[f"{soft}-soft"]) >= 4.5
        if soft != "accent":
            assert contrast(tokens[soft], tokens[f"{soft}-soft"]) >= 4.5, soft
    assert contrast(tokens["accent-ink"], tokens["accent"]) >= 4.5
    assert contrast(tokens["surface-raised"], tokens["bad"]) >= 4.5  # the bar of a lost connection
    assert contrast(tokens["line-strong"], tokens["surface-raised"]) >= 3  # borders of controls


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("Auszug.pdf", "Auszug.pdf", "Auszug.pdf"),
        ("Rückgabe æøå.pdf", "R_ckgabe ___.pdf", "R%C3%BCckgabe%20%C3%A6%C3%B8%C3%A5.pdf"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("C:\\x\\evil.exe", "evil.exe", "evil.exe"),
        ('a"; filename=b\r\nX: y', "a__ filename_bX_ y", "a%22%3B%20filename%3DbX%3A%20y"),
        ("a\u200b.html", "a.html", "a.html"),
        ("", "attachment", "attachment"),
        ("x" * 500, "x" * 120, "x" * 120),
    ],
)
def test_names_of_attachments_cannot_break_out(name, plain, encoded):
    headers = attachment_headers(name)
    assert headers["Content-Disposition"] == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_only_the_widget_may_live_in_other_pages():
    assert page_headers()["X-Frame-Options"] == "DENY"
    widened = page_headers(frame_ancestors="https://shop.example")
    assert "X-Frame-Options" not in widened
    assert "frame-ancestors https://shop.example" in widened["Content-Security-Policy"]


async def test_files_are_served_compressed_once_and_checked_by_tag(house):
    async with aiohttp.ClientSession(house.base, auto_decompress=False) as client:
        packed = await client.get("/assets/tokens.css", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert len(await packed.read()) < (ROOT / "bus/web/tokens.css").stat().st_size / 2
        plain = await client.get("/assets/tokens.css", headers={"Accept-Encoding": "identity"})
        assert await plain.read() == (ROOT / "bus/web/tokens.css").read_bytes()
        again = await client.get("/assets/tokens.css", headers={"If-None-Match": plain.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
        for path in ("/assets/static.py", "/assets/../static.py", "/assets/%2e%2e/log/port.py", "/assets/"):
            assert (await client.get(path)).status == 404, path


async def test_browsers_that_ask_for_an_icon_get_ours(house):
    async with aiohttp.ClientSession(house.base) as client:
        icon = await client.get("/favicon.ico")
        assert (icon.status, icon.content_type) == (200, "image/svg+xml")
        assert await icon.read() == (ROOT / "bus/web/logo.svg").read_bytes()


def test_no_python_is_among_the_files():
    paths = [route.path for route in asset_routes()]
    assert "/assets/i18n/de.json" in paths
    assert not [path for path in paths if path.endswith((".py", ".pyc", ".html"))]
