"""Names what is missing or contradictory in a pack, all of it, in words for the person who edits it."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from bus.log.topics import DEPARTMENTS
from workers.packs.loader import Pack
from workers.packs.model import RISKS

__all__ = ["MINIMUM_EXAMPLES", "MINIMUM_TESTS", "Finding", "check"]

MINIMUM_EXAMPLES = 12
"""Per issue and language. Below this a leaf is guessed rather than known (measured: 10 examples give 62-72 %)."""

MINIMUM_TESTS = 4
"""Per issue and language: fewer say nothing about a leaf."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`where` is the file to edit, `what` what is wrong there."""

    where: str
    what: str


def check(pack: Pack) -> list[Finding]:
    """Every finding of a pack; an empty list means that the pack can be used."""
    return [
        *_languages(pack),
        *_issues(pack),
        *_examples(pack),
        *_phrases(pack),
        *_articles(pack),
    ]


def _languages(pack: Pack) -> Iterator[Finding]:
    file = pack.file
    if file.default_language not in file.languages:
        yield Finding(where="pack.toml", what=f"default_language {file.default_language} is not among the languages")
    for name, table in (("company", file.company), ("values", file.values), ("tone", file.tone)):
        for language in file.languages:
            if not table.get(language):
                yield Finding(where="pack.toml", what=f"{name} has nothing for {language}")
    for key, department in file.departments.items():
        for language in file.languages:
            if not department.names.get(language):
                yield Finding(where="pack.toml", what=f"department {key} has no name in {language}")
    for language in file.languages:
        words = pack.words[language]
        for field in ("yes", "no", "done", "person", "stop", "function_words"):
            if not getattr(words, field):
                yield Finding(where=f"words.{language}.toml", what=f"{field} is empty")


def _issues(pack: Pack) -> Iterator[Finding]:
    for label, issue in pack.issues.items():
        where = f"pack.toml, {label}"
        if issue.department not in DEPARTMENTS:
            yield Finding(where=where, what=f"department {issue.department} is none of {', '.join(DEPARTMENTS)}")
        elif issue.department not in pack.file.departments:
            yield Finding(where=where, what=f"department {issue.department} has no names")
        if issue.risk not in RISKS:
            yield Finding(where=where, what=f"risk {issue.risk} is none of {', '.join(RISKS)}")
        if not 0 <= issue.urgency <= 3:
            yield Finding(where=where, what=f"urgency {issue.urgency} is not 0 to 3")
        if issue.answers and not pack.has_article(issue.answers):
            yield Finding(where=where, what=f"there is no article {issue.answers}")
        for language in pack.languages:
            if not issue.names.get(language):
                yield Finding(where=where, what=f"no name in {language}")


def _examples(pack: Pack) -> Iterator[Finding]:
    for kind, rows, minimum in (("examples", pack.examples, MINIMUM_EXAMPLES), ("test", pack.tests, MINIMUM_TESTS)):
        counts = Counter((row.language, row.label) for row in rows)
        for language in pack.languages:
            for label in pack.issues:
                if counts[language, label] < minimum:
                    yield Finding(
                        where=f"{kind}.{language}.csv",
                        what=f"{label} has {counts[language, label]} lines, needs {minimum}",
                    )
        seen: dict[tuple[str, str], str] = {}
        for row in rows:
            if row.label not in pack.issues:
                yield Finding(where=f"{kind}.{row.language}.csv", what=f"unknown label {row.label}: {row.text[:60]}")
            other = seen.setdefault((row.language, _plain(row.text)), row.label)
            if other != row.label:
                yield Finding(
                    where=f"{kind}.{row.language}.csv",
                    what=f"{other} and {row.label} have the same line: {row.text[:60]}",
                )
    trained = {_plain(row.text) for row in pack.examples}
    for row in pack.tests:
        if _plain(row.text) in trained:
            yield Finding(where=f"test.{row.language}.csv", what=f"is among the examples too: {row.text[:60]}")


def _phrases(pack: Pack) -> Iterator[Finding]:
    keys = {key for table in pack.phrases.values() for key in table}
    if not keys:
        yield Finding(where="phrases", what="there are none")
    for key in sorted(keys):
        present = {language: table[key].placeholders for language, table in pack.phrases.items() if key in table}
        for language in pack.languages:
            if language not in present:
                yield Finding(where=f"phrases.{language}.toml", what=f"{key} is missing")
        if len(set(present.values())) > 1:
            told = "; ".join(f"{language}: {', '.join(sorted(names)) or 'none'}" for language, names in present.items())
            yield Finding(where="phrases", what=f"{key} has different placeholders ({told})")


def _articles(pack: Pack) -> Iterator[Finding]:
    keys = {key for table in pack.articles.values() for key in table}
    for key in sorted(keys):
        steps = {language: len(table[key].steps) for language, table in pack.articles.items() if key in table}
        for language in pack.languages:
            if language not in steps:
                yield Finding(where=f"articles.{language}.toml", what=f"{key} is missing")
        if len(set(steps.values())) > 1:
            yield Finding(where="articles", what=f"{key} has different numbers of steps")


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
