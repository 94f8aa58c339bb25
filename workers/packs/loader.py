"""Reads a pack's folder into memory, once, strictly."""

import csv
import hashlib
import string
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bus.errors import ConfigurationError
from workers.packs.model import Article, Example, Issue, PackFile, Words
from workers.packs.policy import Policy

__all__ = ["Pack", "PackError", "load"]

T = TypeVar("T")

_BUILT_IN = Path(__file__).parent
_FORMATTER = string.Formatter()


class PackError(ConfigurationError):
    """A file of the pack cannot be used; the text names file and place."""


class Phrase:
    """One sentence of the house with `{placeholders}`: plain names only, no formats, no attributes."""

    __slots__ = ("_parts", "placeholders", "text")

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self._parts: list[tuple[str, str | None]] = []
        try:
            for literal, name, form, conversion in _FORMATTER.parse(text):
                if name is not None and (not name.isidentifier() or form or conversion):
                    raise PackError(f"{where}: a placeholder is a plain name in braces, not {{{name}}}")
                self._parts.append((literal, name))
        except ValueError as error:
            raise PackError(f"{where}: {error}") from error
        self.placeholders = frozenset(name for _, name in self._parts if name is not None)

    def fill(self, values: Mapping[str, object]) -> str:
        return "".join(literal + ("" if name is None else str(values[name])) for literal, name in self._parts)


class Pack:
    """A company pack. Read only; ask it by key, a wrong key is an error and never an empty sentence."""

    def __init__(
        self,
        *,
        folder: Path,
        file: PackFile,
        policy: Policy,
        phrases: Mapping[str, Mapping[str, Phrase]],
        articles: Mapping[str, Mapping[str, Article]],
        words: Mapping[str, Words],
        examples: tuple[Example, ...],
        tests: tuple[Example, ...],
        digest: str,
    ) -> None:
        self.folder = folder
        self.file = file
        self.policy = policy
        self.phrases = phrases
        self.articles = articles
        self.words = words
        self.examples = examples
        self.tests = tests
        self.digest = digest
        """Of everything that the model depends on; changes when an example or an issue changes."""
        self.issues = {
            label: msgspec.structs.replace(issue, label=label) for label, issue in sorted(file.issues.items())
        }

    @property
    def id(self) -> str:
        return self.file.id

    @property
    def languages(self) -> tuple[str, ...]:
        return self.file.languages

    @property
    def default_language(self) -> str:
        return self.file.default_language

    def company(self, language: str) -> str:
        """The trade name in a language."""
        return self.file.company[self.language(language)]

    def department(self, key: str, language: str) -> str:
        """A department's name as customers hear it. Raises KeyError."""
        return self.file.departments[key].names[self.language(language)]

    def language(self, language: str) -> str:
        """The language if the pack speaks it, else the pack's default one."""
        return language if language in self.file.languages else self.file.default_language

    def issue(self, label: str) -> Issue:
        """An issue type by its label. Raises KeyError."""
        return self.issues[label]

    def phrase(self, language: str, key: str, **values: object) -> str:
        """A sentence with its placeholders filled. Raises KeyError for an unknown key or a missing value."""
        phrase = self.phrases[self.language(language)].get(key)
        if phrase is None:
            raise KeyError(f"pack {self.id} has no phrase {key!r} in {self.language(language)}")
        missing = phrase.placeholders - values.keys()
        if missing:
            raise KeyError(f"phrase {key!r} needs {', '.join(sorted(missing))}")
        return phrase.fill(values)

    def has_phrase(self, language: str, key: str) -> bool:
        """Whether there is a sentence of that key."""
        return key in self.phrases[self.language(language)]

    def article(self, key: str, language: str) -> Article:
        """A piece of knowledge. Raises KeyError."""
        return self.articles[self.language(language)][key]

    def has_article(self, key: str) -> bool:
        """Whether there is an article of that key."""
        return key in self.articles[self.default_language]


@cache
def load(name: str) -> Pack:
    """The pack of a built-in name (`shop`) or of a folder. Raises PackError with file, place and reason."""
    folder = _BUILT_IN / name if name.isidentifier() else Path(name)
    if not (folder / "pack.toml").is_file():
        raise PackError(f"no pack {name!r}: {folder / 'pack.toml'} does not exist")
    file = _convert(_toml(folder / "pack.toml"), PackFile, folder / "pack.toml")
    hasher = hashlib.blake2b(
        msgspec.json.encode([sorted(file.issues), file.languages, file.identifiers]), digest_size=12
    )
    examples: list[Example] = []
    tests: list[Example] = []
    for language in file.languages:
        examples += _examples(folder / f"examples.{language}.csv", language)
        tests += _examples(folder / f"test.{language}.csv", language)
    for example in examples:
        hasher.update(msgspec.json.encode(example))
    words: dict[str, Words] = {}
    phrases: dict[str, dict[str, Phrase]] = {}
    articles: dict[str, dict[str, Article]] = {}
    for language in file.languages:
        path = folder / f"words.{language}.toml"
        words[language] = _convert(_toml(path), Words, path)
        path = folder / f"phrases.{language}.toml"
        phrases[language] = {
            key: Phrase(text, f"{path.name}, {key}") for key, text in _flatten(_toml(path), path).items()
        }
        path = folder / f"articles.{language}.toml"
        articles[language] = {
            key: msgspec.structs.replace(_convert(value, Article, path), key=key)
            for key, value in _tables(_toml(path)).items()
        }
    return Pack(
        folder=folder,
        file=file,
        policy=_convert(_toml(folder / "policy.toml"), Policy, folder / "policy.toml"),
        phrases=phrases,
        articles=articles,
        words=words,
        examples=tuple(examples),
        tests=tuple(tests),
        digest=hasher.hexdigest(),
    )


def _toml(path: Path) -> dict[str, Any]:
    # A file that is not there is an empty one: `check` names what is missing, all at once and not one by one.
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackError(f"{path}: {error}") from error


def _convert(value: Any, kind: type[T], path: Path) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise PackError(f"{path}: {error}") from error


def _flatten(table: Mapping[str, Any], path: Path, prefix: str = "") -> dict[str, str]:
    """Nested tables to dotted keys; sentences lose the line breaks at their ends only."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, path, f"{prefix}{key}.")
        elif isinstance(value, str):
            flat[prefix + key] = value.strip("\n")
        else:
            raise PackError(f"{path}: {prefix}{key} must be a sentence in quotes")
    return flat


def _tables(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables to dotted keys down to those that hold a title."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and "title" not in value:
            flat |= _tables(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _examples(path: Path, language: str) -> list[Example]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or not {"text", "label"} <= set(reader.fieldnames):
            raise PackError(f"{path}: the first line must be text,label")
        found: list[Example] = []
        for row in reader:
            if not row["text"] or not row["label"]:
                raise PackError(f"{path}, line {reader.line_num}: text or label is empty")
            found.append(Example(text=row["text"], label=row["label"], language=language))
        return found
