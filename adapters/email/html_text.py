"""HTML of a mail to the text that a reader would see, with the lines that stand inside a quotation marked.

The tree is lexbor's (tolerant, linear on the inputs that hang other parsers); depth and size are capped before, because
very deep trees cost it quadratic time.
"""

import html
import re

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode

__all__ = ["HtmlText", "html_to_text"]

MAX_HTML = 1_000_000
"""Characters; newsletters reach 200,000."""

_MAX_DEPTH = 1000
_MAX_NODES = 100_000

_NEVER_SHOWN = frozenset({
    "script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg", "math", "select",
    "textarea", "canvas", "audio", "video",
})  # fmt: skip
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "li", "main", "nav", "ol", "p", "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
})  # fmt: skip
_SPACED = frozenset({
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre", "blockquote", "dl",
})  # fmt: skip
_QUOTE_CLASSES = frozenset({"gmail_quote", "yahoo_quoted", "protonmail_quote", "tutanota_quote", "moz-cite-prefix"})
_QUOTE_IDS = frozenset({"replysplit"})
_SIGNATURE_CLASSES = frozenset({"gmail_signature", "moz-signature"})
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all|visibility\s*:\s*hidden", re.IGNORECASE)
_BLANK = re.compile(r"[ \t\r\n\f\u00a0\u200b\u200c\u034f]+")
_DEEP = re.compile(
    r"<(/?)(?:div|span|font|b|i|u|em|strong|a|blockquote|table|center|section|article|ul|ol|q|big|small)\b"
)


class HtmlText(msgspec.Struct, frozen=True):
    """Lines of text, and for each whether it is quoted (`quote`), signature (`signature`) or neither (empty).

    `cut`: there was more than is read."""

    lines: tuple[str, ...]
    marks: tuple[str, ...]
    cut: bool = False

    @property
    def text(self) -> str:
        """The lines joined."""
        return "\n".join(self.lines)


def html_to_text(source: str) -> HtmlText:
    """Visible text. Links keep their target only where the text does not tell; pictures their description."""
    cut = len(source) > MAX_HTML
    source = source[:MAX_HTML]
    if _too_deep(source):
        return _without_tree(source, cut)
    body = LexborHTMLParser(source).body
    if body is None:
        return HtmlText((), (), cut)
    writer = _Writer()
    whole = _walk(body, writer)
    return writer.result(cut or not whole)


def _too_deep(source: str) -> bool:
    depth = 0
    for match in _DEEP.finditer(source.lower()):
        depth += -1 if match[1] else 1
        if depth > _MAX_DEPTH:
            return True
        depth = max(depth, 0)
    return False


_TAG = re.compile(r"<[^<>]{0,2000}>")


def _without_tree(source: str, cut: bool) -> HtmlText:
    lines = [_BLANK.sub(" ", line).strip() for line in html.unescape(_TAG.sub("\n", source)).split("\n")]
    kept = tuple(line for line in lines if line)
    return HtmlText(kept, ("",) * len(kept), cut)


class _Writer:
    """Collects words into lines; `mark` is what the lines written now are part of."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.marks: list[str] = []
        self.words: list[str] = []
        self.mark = ""
        self.preformatted = 0

    def text(self, value: str) -> None:
        if self.preformatted:
            first, *rest = value.replace("\r\n", "\n").split("\n")
            self.words.append(first)
            for line in rest:
                self.end_line(force=True)
                self.words.append(line)
        else:
            self.words.append(_BLANK.sub(" ", value))

    def end_line(self, *, force: bool = False) -> None:
        joined = "".join(self.words)
        line = joined.rstrip() if self.preformatted else re.sub(r" {2,}", " ", joined).strip()
        self.words.clear()
        if line or force:
            self.lines.append(line)
            self.marks.append(self.mark)

    def gap(self) -> None:
        """One empty line, not at the beginning and never two."""
        self.end_line()
        if self.lines and self.lines[-1]:
            self.lines.append("")
            self.marks.append(self.mark if self.marks[-1] == self.mark else "")

    def result(self, cut: bool) -> HtmlText:
        self.end_line()
        while self.lines and not self.lines[-1]:
            self.lines.pop()
            self.marks.pop()
        return HtmlText(tuple(self.lines), tuple(self.marks), cut)


def _walk(body: LexborNode, out: _Writer) -> bool:
    """Depth first without recursion: (node, entering) and what to restore when a node is left. Whether that was all."""
    root = body.mem_id
    node: LexborNode | None = body
    open_marks: list[tuple[int, str]] = []
    for _ in range(_MAX_NODES):
        if node is None:
            return True
        step_in = _enter(node, out, open_marks)
        following = node.first_child if step_in else None
        while following is None:
            if step_in:
                _leave(node, out, open_marks)
            if node.mem_id == root:
                return True
            following = node.next
            if following is None:
                node = node.parent
                if node is None:
                    return True
                step_in = True
        node = following
    return False


def _enter(node: LexborNode, out: _Writer, open_marks: list[tuple[int, str]]) -> bool:
    """Write what the node begins with; whether its children are to be read."""
    tag = node.tag or ""
    if tag == "-text":
        # lexbor gives the text of a text node without its entities resolved a second time.
        out.text(node.text_content or "")
        return False
    if tag in _NEVER_SHOWN or tag.startswith(("-", "_")):
        return False
    if tag == "br":
        out.end_line(force=True)
        return False
    attributes = node.attributes if tag not in ("tr", "td", "tbody", "b", "i", "strong", "em", "u") else {}
    style = attributes.get("style")
    if style and _HIDDEN_STYLE.search(style):
        return False
    if tag == "img":
        alternative = (attributes.get("alt") or "").strip()
        if alternative and len(alternative) <= 200:
            out.text(f"[{alternative}]")
        return False
    mark = _mark_of(tag, attributes)
    if tag in _SPACED:
        out.gap()
    elif tag in _BLOCKS:
        out.end_line()
    if mark and not out.mark:
        out.end_line()
        open_marks.append((node.mem_id, out.mark))
        out.mark = mark
    if tag == "li":
        out.words.append("- ")
    elif tag in ("td", "th"):
        out.words.append(" ")
    elif tag == "hr":
        out.end_line()
        return False
    elif tag == "pre":
        out.preformatted += 1
    return True


def _leave(node: LexborNode, out: _Writer, open_marks: list[tuple[int, str]]) -> None:
    tag = node.tag or ""
    if tag == "a":
        _add_target(node, out)
    if tag in _BLOCKS:
        out.end_line()
    if tag == "pre":
        out.preformatted -= 1
    if open_marks and open_marks[-1][0] == node.mem_id:
        out.end_line()
        out.mark = open_marks.pop()[1]
    if tag in _SPACED:
        out.gap()


def _add_target(node: LexborNode, out: _Writer) -> None:
    target = (node.attributes.get("href") or "").strip()
    shown = "".join(out.words[-3:])
    if target.startswith(("http://", "https://")) and len(target) <= 300 and "://" not in shown and shown.strip():
        host_and_path = target.split("://", 1)[1].rstrip("/")
        if host_and_path not in shown and host_and_path.removeprefix("www.") not in shown:
            out.words.append(f" <{target}>")


def _mark_of(tag: str, attributes: dict[str, str | None]) -> str:
    classes = (attributes.get("class") or "").lower().split()
    if not _SIGNATURE_CLASSES.isdisjoint(classes):
        return "signature"
    if not _QUOTE_CLASSES.isdisjoint(classes) and tag != "span":
        return "quote"
    if (attributes.get("id") or "").lower() in _QUOTE_IDS:
        return "quote"
    if tag == "blockquote" and (attributes.get("type") or "").lower() == "cite":
        return "quote"
    if tag == "div" and (attributes.get("name") or "").lower() == "quote":
        return "quote"
    return ""
