"""Trees of documents: BeautifulSoup, lxml, spaCy. What a session holds of them are places in a tree.

Pickle would follow each element to its neighbours and so copy, cut or refuse the tree. Here the tree is one object, its
root, and an element refers to it and says where it stands; so all elements of a document come back in one document.
"""

from __future__ import annotations

import operator
import sys
from typing import Any

from nbsnap.builders import bs4, lxml
from nbsnap.errors import CannotSave

from .common import Plan, refuse

# --- BeautifulSoup ----------------------------------------------------------------------------------------------------

#: How an element of BeautifulSoup hangs in its tree, made anew when the tree is put together.
_LINKS = {"parent", "contents", "next_element", "previous_element", "next_sibling", "previous_sibling"}
_LINKS |= {"_most_recent_element"}


def _soup(desk: Any, node: Any) -> Any:

    root = node
    while root.parent is not None:
        root = root.parent
    desk.claim(root)
    if root is not node:
        return bs4.node, (root, _path(node))
    rows: list[tuple[Any, ...]] = []
    numbers: dict[int, int] = {}
    level = [(root, -1)]
    while level:
        one, parent = level.pop()
        numbers[id(one)] = len(rows)
        rows.append((type(one), parent, str.__str__(one) if isinstance(one, str) else None, _attributes(one)))
        level.extend((child, numbers[id(one)]) for child in reversed(getattr(one, "contents", ())))
    first = root.contents[0] if getattr(root, "contents", ()) else None
    hangs = first is not None and (root.next_element is first, first.previous_element is root)
    return bs4.new, (type(root), rows[0][2]), (rows, hangs), None, None, bs4.fill


def _path(node: Any) -> tuple[int, ...]:
    """Return the numbers of children by which one comes from the root to an element."""
    steps: list[int] = []
    while (parent := node.parent) is not None:
        steps.append(next(number for number, child in enumerate(parent.contents) if child is node))
        node = parent
    return tuple(reversed(steps))


def _attributes(node: Any) -> dict[str, Any]:
    kept = {name: value for name, value in vars(node).items() if name not in _LINKS}
    builder = kept.get("builder")
    if builder is not None:
        kept["builder"] = type(builder)  # it holds a parser; another one is as good
    return kept


# --- lxml -------------------------------------------------------------------------------------------------------------


def _element(desk: Any, element: Any) -> Any:
    if type(element).__module__ == "lxml.objectify":  # it says itself how its own are saved
        desk.claim(element)
        return NotImplemented

    etree = sys.modules["lxml.etree"]
    tree = element.getroottree()
    root = tree.getroot()
    desk.claim(root)
    if root is not element:
        if root is None:
            raise CannotSave("hangs in no tree", element)
        return lxml.element, (root, _steps(root, element))
    kind = "html" if type(element).__module__.startswith("lxml.html") else "xml"
    text: bytes = etree.tostring(tree, encoding="utf-8", with_tail=False)
    try:
        again = lxml.root(text, kind)
        same = etree.tostring(again.getroottree(), encoding="utf-8", with_tail=False) == text
    except etree.XMLSyntaxError as error:
        raise CannotSave(f"holds what XML cannot say: {error}", element) from error
    if not same:
        raise CannotSave("would not be the same when it is parsed again", element)
    return lxml.root, (text, kind)


def _steps(root: Any, element: Any) -> tuple[int, ...]:
    steps: list[int] = []
    while element is not root:
        parent = element.getparent()
        if parent is None:
            raise CannotSave("stands beside the root of its document", element)
        steps.append(parent.index(element))
        element = parent
    return tuple(reversed(steps))


def _element_tree(desk: Any, tree: Any) -> Any:

    desk.claim(tree)
    return lxml.tree, (tree.getroot(),)


_COMPILED = refuse("lives in the memory of a C library, which has no way to save it")

# --- spaCy ------------------------------------------------------------------------------------------------------------


def _span(desk: Any, span: Any) -> Any:
    desk.claim(span)
    return type(span), (span.doc, span.start, span.end, span.label, None, None, span.kb_id, span.id)


def _token(desk: Any, token: Any) -> Any:
    return operator.getitem, (token.doc, token.i)


def _lexeme(desk: Any, lexeme: Any) -> Any:
    return operator.getitem, (lexeme.vocab, lexeme.orth_)


PLANS_BY_NAME: dict[str, Plan] = {
    "bs4.element.PageElement": _soup,
    "lxml.etree._Element": _element,
    "lxml.etree._ElementTree": _element_tree,
    "lxml.etree._XPathEvaluatorBase": _COMPILED,
    "lxml.etree._Validator": _COMPILED,
    "lxml.etree.XSLT": _COMPILED,
    "lxml.etree._BaseParser": _COMPILED,
    "spacy.tokens.span.Span": _span,
    "spacy.tokens.token.Token": _token,
    "spacy.lexeme.Lexeme": _lexeme,
}
