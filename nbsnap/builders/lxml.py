"""What streams call for documents of lxml. These names stand in stored snapshots. Nothing is loaded from elsewhere."""

from __future__ import annotations

from typing import Any


def root(text: bytes, kind: str) -> Any:
    """Return the root element of a document; `kind` is "xml" or "html"."""
    from lxml import etree, html

    make = html.XHTMLParser if kind == "html" else etree.XMLParser
    parser = make(
        huge_tree=True, no_network=True, resolve_entities=False, load_dtd=False, strip_cdata=False, encoding="utf-8"
    )
    return etree.fromstring(text, parser)


def element(root: Any, steps: tuple[int, ...]) -> Any:
    """Return the element to which one comes by these numbers of children."""
    for step in steps:
        root = root[step]
    return root


def tree(root: Any) -> Any:
    """Return the tree of a root element."""
    from lxml import etree

    return etree.ElementTree(root)
