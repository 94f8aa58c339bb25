"""Knowledge articles of the pack: found by the words with which customers name things."""

from workers.dialogue.steps import Fact, Person, Report, Step
from workers.dialogue.turn import Turn
from workers.packs import Article

__all__ = ["AnswerFromArticle", "find_article"]


def find_article(turn: Turn, key: str = "", *, prefix: str = "", otherwise: str = "") -> Article | None:
    """The article of that key, else the one whose product words the contact names (the longest word decides).

    Only articles whose keys begin with `prefix` are looked at; `otherwise` is the key to take when none fits.
    """
    language = turn.language
    if key and turn.pack.has_article(key):
        return turn.pack.article(key, language)
    text = f"{turn.contact.subject} {turn.contact.own_text()}".casefold()
    found: tuple[int, Article] | None = None
    for article in turn.pack.articles[language].values():
        if not article.key.startswith(prefix):
            continue
        for word in article.products:
            if word.casefold() in text and (found is None or len(word) > found[0]):
                found = (len(word), article)
    if found is not None:
        return found[1]
    return turn.pack.article(otherwise, language) if otherwise and turn.pack.has_article(otherwise) else None


class AnswerFromArticle:
    """Procedure `article`: what can be answered from knowledge is answered at once; the rest is a person's."""

    name = "article"
    facts: tuple[Fact, ...] = ()
    needs_proof = False
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        issue = turn.pack.issues.get(turn.label)
        article = find_article(turn, issue.answers if issue is not None else "")
        if article is None:
            return Person(turn.label or "no article", say="article.none")
        if article.text:
            turn.say_text(article.text)
        if article.steps:
            marks = (f"{place}. {step}" for place, step in enumerate(article.steps, start=1))
            turn.say_text((" " if turn.spoken else "\n").join(marks))
        turn.act("article", article.key, ())
        return Report("explained", "explained")
