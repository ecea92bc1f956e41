"""What streams call for documents of BeautifulSoup. These names stand in stored snapshots."""

from __future__ import annotations

from typing import Any


def new(cls: Any, text: str | None) -> object:
    """Return an element without a tree: a tag, or a string if there is a text."""
    return cls.__new__(cls) if text is None else str.__new__(cls, text)


def fill(root: Any, state: tuple[list[tuple[Any, ...]], Any]) -> None:
    """Hang a tree under its root: for each element, in the order of the document, class, parent, text, attributes."""
    rows, hangs = state
    nodes: list[Any] = []
    for cls, parent, text, attributes in rows:
        node: Any = new(cls, text) if nodes else root
        vars(node).update(attributes)
        node.next_element = node.next_sibling = node.previous_sibling = node.previous_element = node.parent = None
        if text is None:
            node.contents = []
        if nodes:
            nodes[-1].next_element, node.previous_element = node, nodes[-1]
            node.parent = nodes[parent]
            if siblings := node.parent.contents:
                siblings[-1].next_sibling, node.previous_sibling = node, siblings[-1]
            siblings.append(node)
        nodes.append(node)
    if hangs and not hangs[0]:
        root.next_element = None
    if hangs and not hangs[1]:
        nodes[1].previous_element = None
    if isinstance(builder := vars(root).get("builder"), type):
        root.builder = builder()
        root.builder.soup = root


def node(root: Any, steps: tuple[int, ...]) -> object:
    """Return the element to which one comes by these numbers of children."""
    for step in steps:
        root = root.contents[step]
    return root
