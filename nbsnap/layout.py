"""A sheet, which is what is to be said, as text for a terminal and as HTML for a notebook.

- Sheets hold strings as they came; both forms pass them through `wording.clean`, and HTML is escaped besides.
- **Everything is bounded**: a cell by its columns on the screen (a wide character takes two, a combining one none, so
  the characters behind one are counted too), and what was cut is counted.
- **A line stays a line.** In a terminal the last column is folded with its indent; in a pipe (`width=None`) each row is
  one line, for grep.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nbsnap import theme
from nbsnap.wording import clean, cut, first_columns, width_of

__all__ = ["BOX", "Block", "Sheet", "Shown", "Table", "escape", "to_html", "to_text"]

LAST = 400  # columns on the screen of a last column, and of any other text that stands alone
BESIDE = 24  # columns without which a last column stands beneath, where a table says so
TABLE_ROWS = 40  # variables shown before "and 12 more"
HTML_ROWS = 500  # the same in a notebook with -v: a page must stay a page


class Block(NamedTuple):
    """Lines that stay as they are, like those of a program; "+" and "-" in front of one mean that it came or went."""

    title: str
    lines: tuple[str, ...]
    markup: str = ""  # what HTML shows instead, escaped by whoever made it; without lines, text shows nothing


class Table(NamedTuple):
    """Rows of cells. `head` names the columns, or is empty; `right` holds the columns that are set to the right."""

    rows: tuple[tuple[str, ...], ...]
    head: tuple[str, ...] = ()
    right: tuple[int, ...] = ()
    limits: tuple[int, ...] = ()  # columns on the screen, per column
    labels: bool = False  # the first column says what kind of row it is, once for rows of one kind
    more: str = ""  # "and 12 more: …"
    beneath: bool = False  # where there is no room for the last column, it stands beneath its row


class Sheet(NamedTuple):
    """What is to be said of one report: raw strings, in order."""

    verb: str  # "Snapshot"
    name: str  # "before-train"; "" where it has none
    id: str  # seven digits
    facts: tuple[str, ...]  # "23 variables, 1.2 GB", "84 MB new on disk", "0.41 s"
    origin: str = ""  # "from 15:32 today", "would hold"
    tables: tuple[Table, ...] = ()
    lines: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


class Shown:
    """A sheet as front ends ask for it: `_repr_html_` for a notebook, `str` for everything else."""

    def __init__(self, sheet: Sheet, width: int | None = None) -> None:
        self.sheet = sheet
        self.width = width

    def __repr__(self) -> str:
        return to_text(self.sheet, self.width)

    def _repr_html_(self) -> str:
        return to_html(self.sheet)


# ---- text ------------------------------------------------------------------------------------------------------------


def title(name: str, id: str) -> str:
    if name and id:
        return f"{cut(name, 60)} ({clean(id)})"
    return cut(name, 60) or clean(id)


def to_text(sheet: Sheet, width: int | None = None) -> str:
    """Return the sheet as lines without a final line break; `width` folds the last column at a terminal's edge."""
    words = [sheet.verb, title(sheet.name, sheet.id), clean(sheet.origin)]
    head = " ".join(word for word in words if word)
    if sheet.facts:
        head += (" " if sheet.origin == "would hold" else " · ") + " · ".join(map(clean, sheet.facts))
    lines = _folded("", head, 2, width)
    for table in sheet.tables:
        lines += _text_table(table, width)
    for block in sheet.blocks:
        if block.markup and not block.lines:
            continue
        lines.append(f"  {cut(block.title, LAST if width is None else width - 2)}")
        lines += [f"    {cut(_tabless(line), LAST if width is None else width - 4)}".rstrip() for line in block.lines]
    for line in sheet.lines:
        lines += _folded("  ", cut(line, 1000), 4, width)
    return "\n".join(lines)


def _text_table(table: Table, width: int | None) -> list[str]:
    limits = table.limits or tuple(LAST for _ in (table.rows or (table.head,))[0])
    rows = [tuple(cut(cell, limit) for cell, limit in zip(row, limits, strict=True)) for row in table.rows]
    body = [table.head, *rows] if table.head else rows
    last = len(limits) - 1
    widths = [max(width_of(row[at]) for row in body) for at in range(last)]
    gap = "   " if table.labels else "  "
    beneath = False
    if width is not None and table.beneath:
        taken = 2 + sum(widths) + len(gap) * last
        beneath = taken + max(width_of(row[last]) for row in body) > width and width - taken < BESIDE
        while 2 + sum(widths) + len(gap) * (last - 1) > width and max(widths) > 12:
            widths[widths.index(max(widths))] -= 1
        while 2 + sum(widths) + len(gap) * (last - 1) > width and last > 2:  # a very narrow terminal has fewer columns
            last, widths = last - 1, widths[:-1]
            body = [(*row[:last], row[-1]) for row in body]
    elif width is not None:  # leave the last column its share of a narrow terminal
        while sum(widths) > width * 0.55 and max(widths) > 12:
            widths[widths.index(max(widths))] -= 1
    if width is not None:
        body = [(*(cut(cell, most) for cell, most in zip(row, widths, strict=False)), row[last]) for row in body]
    lines = []
    label = None
    for number, row in enumerate(body):
        cells = list(row)
        if table.labels:
            cells[0], label = ("" if row[0] == label else row[0]), row[0]
        start = "  "
        for at in range(last):
            pad = " " * (widths[at] - width_of(cells[at]))
            start += (pad + cells[at] if at in table.right else cells[at] + pad) + gap
        if beneath:
            lines.append(start.rstrip())
            if cells[last] and (number or not table.head):
                indent = 2 + widths[0] + len(gap)
                lines += _folded(" " * indent, cells[last], indent, width)
        else:
            lines += _folded(start, cells[last], width_of(start), width)
    if table.more:
        lines.append(f"  {clean(table.more)}")
    return lines


def _tabless(line: str) -> str:
    return line.expandtabs(4)


def _folded(start: str, text: str, indent: int, width: int | None) -> list[str]:
    """Break `start + text` at spaces so that no line is wider than `width`; later lines are indented."""
    if width is None or width_of(start) + width_of(text) <= width:
        return [(start + text).rstrip()]
    if width - indent < 24:
        indent = 4
    lines = []
    line, room = start, width - width_of(start)
    for word in _words(text, max(16, width - indent)):
        taken = width_of(word)
        if taken > room and line.strip():
            lines.append(line.rstrip())
            line, room, word = " " * indent, width - indent, word.lstrip()
            taken = width_of(word)
        line += word
        room -= taken
    return [*lines, line.rstrip()]


def _words(text: str, longest: int) -> Iterable[str]:
    """Yield the words of `text`, each with the spaces before it; one that fits no line comes in parts."""
    spaces = ""
    for word in text.split(" "):
        whole = spaces + word
        while width_of(whole) > longest:
            part = first_columns(whole, longest) or whole[:1]
            yield part
            whole = whole[len(part) :]
        yield whole
        spaces = " "


# ---- HTML ------------------------------------------------------------------------------------------------------------

BOX = (
    f"font-family:{theme.FONT};font-size:var(--jp-ui-font-size1,13px);line-height:1.5;color:{theme.TEXT};"
    "overflow-wrap:break-word"
)
_TABLE = (
    "border-collapse:collapse;border:0;margin:2px 0 4px 0;font-size:inherit;color:inherit;background:transparent;"
    "table-layout:auto;white-space:normal"
)
_TR = "background:transparent;border:0"
_TD = "text-align:left;vertical-align:top;padding:1px 12px 1px 0;border:0;max-width:60em"
_ACCENTS = {"failed": theme.REMOVED, "removed": theme.REMOVED, "added": theme.ADDED}


def to_html(sheet: Sheet) -> str:
    """Return the sheet as one `<div>`: no script, no style sheet, no reference to anything outside."""
    parts = [f'<div class="nbsnap" style="{BOX}"><div>']
    parts.append(escape(sheet.verb))
    if sheet.name:
        parts.append(f" <b>{escape(cut(sheet.name, 60))}</b>")
    if sheet.id:
        parts.append(f' <span style="{theme.MONO};{theme.DIM}">{escape(sheet.id)}</span>')
    if sheet.origin:
        parts.append(f" {escape(sheet.origin)}")
    if sheet.facts:
        parts.append(" " if sheet.origin == "would hold" else " · ")
        parts.append(" · ".join(map(escape, sheet.facts)))
    parts.append("</div>")
    parts += [_html_table(table) for table in sheet.tables]
    parts += [_html_block(block) for block in sheet.blocks]
    parts += [f"<div>{escape(cut(line, 1000))}</div>" for line in sheet.lines]
    parts.append("</div>")
    return "".join(parts)


_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("'"): "&#x27;"}


def escape(text: str) -> str:
    """Return text for HTML, cleaned."""
    return clean(text).translate(_ENTITIES)


def _html_table(table: Table) -> str:
    limits = table.limits or tuple(LAST for _ in (table.rows or (table.head,))[0])
    last = len(limits) - 1
    label = None
    rows = []
    if table.head:
        cells = "".join(_td(escape(cell), theme.DIM, at in table.right) for at, cell in enumerate(table.head))
        rows.append(f'<tr style="{_TR}">{cells}</tr>')
    for row in table.rows[:HTML_ROWS]:
        cells = ""
        across = last if table.labels and last > 1 and not any(row[1:last]) else 1  # nothing stands between
        for at, (cell, limit) in enumerate(zip(row, limits, strict=True)):
            if across > 1 and 0 < at < last:
                continue
            said = escape(cut(cell, limit))
            if at == 0 and table.labels:
                said, label = ("" if label == row[0] else said), row[0]
                cells += _td(said, f"font-weight:600;white-space:nowrap;color:{_ACCENTS.get(row[0], theme.WARN)}")
            elif at == last:
                cells += _td(said, across=across)
            else:
                name = at == (1 if table.labels else 0)
                style = f"{theme.MONO};white-space:nowrap" if name else "white-space:nowrap"
                cells += _td(said, style, at in table.right)
        rows.append(f'<tr style="{_TR}">{cells}</tr>')
    more = table.more
    if len(table.rows) > HTML_ROWS:
        more = f"and {len(table.rows) - HTML_ROWS:,} more: nbsnap show -v lists them all in a terminal"
    after = f'<div style="{theme.DIM}">{escape(more)}</div>' if more else ""
    inside = f'<table style="{_TABLE}"><tbody>{"".join(rows)}</tbody></table>'
    high = ";max-height:26em" if len(table.rows) > TABLE_ROWS else ""
    inside = f'<div style="overflow:auto{high}">{inside}</div>'
    return inside + after


def _html_block(block: Block) -> str:
    if block.markup:
        title = f'<div style="{theme.MONO}">{escape(cut(block.title, LAST))}</div>'
        side_by_side = "display:inline-block;vertical-align:top;max-width:100%;margin:4px 28px 8px 0"
        return f'<div style="{side_by_side}">{title}{block.markup}</div>'
    lines = []
    for line in block.lines:
        colour = _SIGNS.get(line[:1], "")
        lines.append(f'<div style="{colour}">{escape(cut(_tabless(line), LAST)) or "&nbsp;"}</div>')
    title = f'<div style="{theme.MONO}">{escape(cut(block.title, LAST))}</div>'
    as_it_is = f"{theme.MONO};white-space:pre;overflow-x:auto;line-height:1.35;margin:0 0 6px 1.5em"
    return f'{title}<div style="{as_it_is}">{"".join(lines)}</div>'


_SIGNS = {"+": f"color:{theme.ADDED}", "-": f"color:{theme.REMOVED}", "@": theme.DIM}


def _td(said: str, style: str = "", right: bool = False, across: int = 1) -> str:
    base = _TD.replace("text-align:left", "text-align:right") if right else _TD
    wide = f' colspan="{across}"' if across > 1 else ""
    return f'<td{wide} style="{base}{";" if style else ""}{style}">{said}</td>'
