"""What was made faster gives the same figures as the libraries that it stands in for."""

import random

import numpy as np
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from scipy.sparse import csr_matrix
from scipy.stats import beta
from sklearn.feature_extraction.text import TfidfVectorizer

from workers.packs import Pack
from workers.triage.entities import Entities
from workers.triage.letters import Letters
from workers.triage.lists import Phrases, plain
from workers.triage.pieces import Pieces, Words
from workers.triage.thresholds import TARGETS, bound_reaches

NAMES = ("de", "en", "no", "nn")
LISTS = ("person", "stop", "yes", "no", "done", "angry", "upset", "withdraw", "urgent", "helped", "greeting")


@pytest.fixture(scope="module")
def texts(shop: Pack) -> list[str]:
    """Examples of all languages, alone and several in a row, and what no example has."""
    chosen = random.Random(7).sample([example.text for example in shop.examples], 600)
    rows = [" ".join(chosen[place : place + 1 + place % 4]) for place in range(len(chosen))]
    return [*rows, "", "å", "œuvre ∞ 漢字 слово", "x" * 90, "0 0 0", "ja ja ja ja nein"]


@pytest.mark.parametrize("kind", ["words", "pieces"])
def test_features_are_those_of_scikit_learn(texts: list[str], kind: str) -> None:
    options = (
        {"ngram_range": (1, 2), "token_pattern": r"\w+"}
        if kind == "words"
        else {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 2}
    )
    fitted = TfidfVectorizer(sublinear_tf=True, lowercase=False, dtype=np.float32, **options).fit(texts[:400])
    theirs = fitted.transform(texts)
    weights = np.random.default_rng(7).normal(size=(len(fitted.vocabulary_), 40)).astype(np.float32)
    ours = (Words if kind == "words" else Pieces)(fitted.vocabulary_, fitted.idf_)
    for _ in range(2):  # The second time from memory.
        found = ours.transform(texts)
        whole = csr_matrix((found.gains, found.places, found.ends), shape=(len(texts), len(fitted.vocabulary_)))
        assert abs(whole - theirs).max() < 1e-6
        assert found.times(weights) == pytest.approx(theirs @ weights, abs=1e-5)


@pytest.mark.parametrize("target", sorted(TARGETS.values()))
def test_a_threshold_is_reached_where_the_bound_of_scipy_reaches_it(target: float) -> None:
    counts = random.Random(9)
    answers: list[bool] = []
    for _ in range(400):
        count = counts.randint(30, 5000)
        hits = min(count, max(0, round(count * target) + counts.randint(-20, 60)))
        bound = beta.ppf(0.1, hits, count - hits + 1) if hits else 0.0
        answers.append(bound_reaches(target, hits, count))
        assert answers[-1] == (bound >= target), (hits, count)
    assert 50 < sum(answers) < 350
    assert not bound_reaches(target, 0, 30)


def test_letters_are_those_of_py3langid(texts: list[str]) -> None:
    library = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    library.set_languages(sorted(NAMES))
    ours = Letters((*NAMES, "none of its languages"))
    assert ours.names == tuple(library.nb_classes)
    for text in map(plain, texts * 2):
        assert ours.shares(text) == pytest.approx(library._decide(text).tolist(), abs=2e-3)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Bestellung SO-10234 vom 3. März 2026: 49,90 EUR", "de"),
        ("kr 1 249,00 for SO 10301, ring 0047 22 55 01 02", "nb"),
        ("DE89 3704 0044 0532 0130 00 und £5", "de"),
        ("GB33 BUKB 2020 1555 5555 55 by 25/12/2026, code 123 456", "en"),
        ("betalt 24.99 pounds", "en"),
    ],
)
def test_where_it_stands_in_a_long_text_changes_no_entity(shop: Pack, text: str, language: str) -> None:
    entities = Entities(shop)
    alone = entities.find(text, language)
    assert alone
    before, after = "Guten Tag und vielen Dank für alles. " * 40, ". Mit freundlichen Grüßen, bis bald und danke." * 40
    amid = entities.find(f"{before}{text}{after}", language)
    assert [(e.kind, e.value, e.start - len(before), e.valid) for e in amid] == [
        (e.kind, e.value, e.start, e.valid) for e in alone
    ]


def test_entries_are_found_where_a_search_of_the_whole_text_finds_them(shop: Pack, texts: list[str]) -> None:
    lists = [Phrases(getattr(shop.words[language], name)) for language in shop.languages for name in LISTS]
    found = 0
    for words in map(plain, texts):
        for phrases in lists:
            match = phrases._pattern.search(words)
            assert phrases.find(words) == (match.group() if match is not None else "")
            found += match is not None
    assert found > 200
