"""A snapshot as a page of its own: one HTML file that opens anywhere, without a server, a script or a network.

**Whatever stands in a snapshot is text.** Names, messages, code and previews may be a stranger's: all of it goes
through `wording.clean` and is escaped, pictures are checked to be PNGs, and the page forbids itself (by a policy in its
head) to run or to load anything. It follows the reader's light or dark theme, narrow screens and paper.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from nbsnap.glance import ENTITIES, Grid, Picture, escape, read
from nbsnap.model import Skip, Snapshot, Variable
from nbsnap.wording import beside, clean, count, cut, short_id, size

__all__ = ["page"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
OPEN = 60  # variables whose previews are unfolded
COLOURED = 20_000  # characters of a cell
_FIGURE = "beside:figures:"


def page(snapshot: Snapshot) -> str:
    """Return the page."""
    head = snapshot.head
    looks = {one.name: read(one) for one in snapshot.previews}
    pictures = {name: look for name, look in looks.items() if isinstance(look, Picture)}
    bound: dict[int | None, list[str]] = defaultdict(list)
    for variable in snapshot.variables:
        bound[variable.cell].append(variable.name)
    places = {number: place for place, (number, _) in enumerate(snapshot.history)}  # of a number, the last cell
    parts = [
        ("lost", "Not saved", len(snapshot.skips), _skips(snapshot.skips, places)),
        ("figures", "Figures", len(pictures), _figures(pictures)),
        ("variables", "Variables", len(snapshot.variables), _variables(snapshot.variables, looks, places)),
        ("beside", "Beside the variables", 0, _beside(snapshot)),
        ("cells", "Cells", len(snapshot.history), _cells(snapshot.history, bound, places)),
        ("packages", "Packages", len(snapshot.packages), _packages(snapshot.packages)),
    ]
    shown = [part for part in parts if part[3]]
    sections = "\n".join(
        f'<section id="{key}"><h2>{title}{f" <small>{number:,}</small>" if number else ""}</h2>\n{body}\n</section>'
        for key, title, number, body in shown
    )
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _, _ in shown)
    name = head.name or short_id(head.id)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(cut(name, 60))} · {escape(cut(head.notebook, 60))}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{_header(snapshot, name)}
<nav>{links}</nav>
{sections}
<footer>Made by {escape(head.tool)} without loading any of the values.</footer>
</main>
</body>
</html>
"""


# ---- the parts -------------------------------------------------------------------------------------------------------


def _header(snapshot: Snapshot, name: str) -> str:
    head = snapshot.head
    facts = [
        ("Notebook", escape(head.notebook)),
        ("Taken", _moment(head.time)),
        ("Holds", f"{count(head.variables, 'variable')}, {size(head.size)}"),
        ("New on disk", size(head.new_bytes)),
        ("Python", f"{escape(head.python)} <i>{escape(head.platform)}</i>"),
        ("Directory", f"<code>{escape(snapshot.cwd)}</code>" if snapshot.cwd else ""),
        ("After", f"<code>{escape(short_id(head.parent))}</code>" if head.parent else ""),
        ("Id", f"<code>{escape(head.id)}</code>"),
    ]
    rows = "".join(f"<div><dt>{term}</dt><dd>{said}</dd></div>" for term, said in facts if said)
    message = f'<p class="message">{escape(cut(head.message, 1000))}</p>' if head.message else ""
    return f'<header><p class="kind">Snapshot</p><h1>{escape(cut(name, 120))}</h1>{message}<dl>{rows}</dl></header>'


def _moment(time: str) -> str:
    """Return a moment as it is everywhere: a page is read in other places, on other days."""
    try:
        moment = datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return escape(time)
    return f"{moment:%Y-%m-%d %H:%M} <i>UTC</i>"


def _skips(skips: Sequence[Skip], places: Mapping[int, int]) -> str:
    rows = []
    for skip in skips:
        told = skip.path in ("", skip.name) or skip.reason.startswith(skip.path)
        where = "" if told else f" <code>{escape(cut(skip.path, 100, middle=True))}</code>"
        hint = f'<p class="dim">{escape(cut(skip.hint, 300))}</p>' if skip.hint else ""
        kind = f'<b class="tag">{escape(cut(skip.kind, 20))}</b>' if skip.kind != "skipped" else ""
        rows.append(
            f'<div class="row lost"><div class="line"><b class="name">{escape(cut(skip.name, 80))}</b>'
            f'<span class="type">{escape(cut(skip.type, 60))}</span>{kind}{_cell_link(skip.cell, places)}</div>'
            f"<p>{escape(cut(skip.reason, 400))}{where}</p>{hint}{_first_line(skip.code)}</div>"
        )
    return _list(rows)


def _figures(pictures: Mapping[str, Picture]) -> str:
    shown = []
    for name, picture in pictures.items():
        title = f"figure {name.removeprefix(_FIGURE)}" if name.startswith(_FIGURE) else name
        shown.append(f"<figure>{_img(picture, title)}<figcaption>{escape(cut(title, 60))}</figcaption></figure>")
    return f'<div class="figures">{"".join(shown)}</div>' if shown else ""


def _img(picture: Picture, title: str) -> str:
    source = f"data:image/png;base64,{picture.data}"
    return f'<img src="{source}" width="{picture.width}" height="{picture.height}" alt="{escape(cut(title, 60))}">'


def _variables(
    variables: Sequence[Variable], looks: Mapping[str, Grid | Picture | str | None], places: Mapping[int, int]
) -> str:
    ordered = sorted(variables, key=lambda variable: (-variable.size, variable.name))
    rows = []
    for number, variable in enumerate(ordered):
        look = looks.get(variable.name)
        said = "; ".join(part for part in (variable.summary, *variable.notes) if part)
        line = (
            f'<div class="line"><b class="name">{escape(cut(variable.name, 80))}</b>'
            f'<span class="type">{escape(cut(variable.type, 60))}</span>'
            f'<span class="said">{escape(cut(said, 300))}</span>'
            f'<span class="size">{size(variable.size)}</span>{_cell_link(variable.cell, places)}</div>'
        )
        shown = _grid(look) if isinstance(look, Grid) else f"<pre>{_text(look)}</pre>" if isinstance(look, str) else ""
        if shown:
            is_open = " open" if number < OPEN else ""
            rows.append(f'<details class="row"{is_open}><summary>{line}</summary>{shown}</details>')
        else:
            rows.append(f'<div class="row">{line}</div>')
    return _list(rows)


def _grid(grid: Grid) -> str:
    dtypes = any(grid.dtypes)
    cells = zip(grid.columns, grid.dtypes, grid.right, strict=True)
    corner = "<th></th>" if grid.names else ""
    top = corner + "".join(
        f"<th{_right(right)}>{escape(column)}{f'<i>{escape(dtype)}</i>' if dtypes else ''}</th>"
        for column, dtype, right in cells
    )
    body = []
    for at, row in enumerate(grid.rows):
        name = f"<th>{escape(grid.names[at])}</th>" if grid.names else ""
        cells_of_row = "".join(f"<td{_right(to)}>{escape(cell)}</td>" for cell, to in zip(row, grid.right, strict=True))
        body.append(f"<tr>{name}{cells_of_row}</tr>")
    rest = f'<p class="dim">{escape(grid.rest)}</p>' if grid.rest else ""
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll">{table}</div>{rest}'


def _right(right: bool) -> str:
    return ' class="n"' if right else ""


def _beside(snapshot: Snapshot) -> str:
    said = beside(entry.name for entry in snapshot.beside)
    return f'<ul class="chips">{"".join(f"<li>{escape(cut(one, 200))}</li>" for one in said)}</ul>' if said else ""


def _cells(
    history: Sequence[tuple[int, str]], bound: Mapping[int | None, Sequence[str]], places: Mapping[int, int]
) -> str:
    rows = []
    for place, (number, code) in enumerate(history):
        names = bound.get(number, ()) if places[number] == place else ()
        chips = "".join(f"<li>{escape(cut(name, 60))}</li>" for name in names[:40])
        more = f"<li>and {len(names) - 40:,} more</li>" if len(names) > 40 else ""
        made = f'<ul class="chips bound">{chips}{more}</ul>' if names else ""
        rows.append(
            f'<div class="cell" id="cell-{place}"><span class="prompt">In [{number}]</span>'
            f"<div><pre>{_code(code)}</pre>{made}</div></div>"
        )
    return "\n".join(rows)


def _packages(packages: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<li>{escape(cut(name, 60))} <i>{escape(cut(version, 40))}</i></li>" for name, version in packages)
    return f'<ul class="packages">{rows}</ul>' if rows else ""


def _list(rows: Iterable[str]) -> str:
    body = "\n".join(rows)
    return f'<div class="rows">\n{body}\n</div>' if body else ""


def _cell_link(number: int | None, places: Mapping[int, int]) -> str:
    if number is None:
        return ""
    if number not in places:
        return f'<span class="at">In [{number}]</span>'
    return f'<a class="at" href="#cell-{places[number]}">In [{number}]</a>'


def _first_line(code: str) -> str:
    return f"<pre>{_code(cut(code, 300))}</pre>" if code else ""


# ---- text ------------------------------------------------------------------------------------------------------------


def _lines(text: str) -> str:
    return "\n".join(clean(line.expandtabs(4)) for line in text.splitlines())


def _text(text: str) -> str:
    return _lines(text).translate(ENTITIES)


_WORDS = (
    "False None True and as assert async await break class continue def del elif else except finally for from global if"
    " import in is lambda nonlocal not or pass raise return try while with yield"
)
_TOKENS = re.compile(
    r'(?P<s>\b[rbfuRBFU]{1,2}(?=["\'])|"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|\'\'\'[^\'\\]*(?:(?:\\.|\'(?!\'\'))[^\'\\]*)*\'\'\''
    r'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')'
    r"|(?P<c>\#[^\n]*)"
    rf"|(?P<k>(?<![\w.])(?:{'|'.join(_WORDS.split())})(?!\w)|^[%!]{{1,2}}\w*|^@[\w.]+)"
    r"|(?P<d>(?<![\w.])\d[\w.]*)",
    re.MULTILINE | re.DOTALL,
)


def _code(code: str) -> str:
    """Return code with its words, texts and remarks in colour."""
    code = _lines(code)
    if len(code) > COLOURED:
        return code.translate(ENTITIES)
    parts, at = [], 0
    for match in _TOKENS.finditer(code):
        parts.append(code[at : match.start()].translate(ENTITIES))
        parts.append(f'<span class="{match.lastgroup}">{match.group().translate(ENTITIES)}</span>')
        at = match.end()
    return "".join(parts) + code[at:].translate(ENTITIES)


# ---- looks -----------------------------------------------------------------------------------------------------------

_STYLE = """
:root{color-scheme:light dark;--paper:#f7f7f5;--card:#fff;--ink:#1f2328;--dim:#667079;--edge:#e3e4e0;--code:#f6f6f3;
--accent:#0a6c74;--warn:#a34d00;--soft:#e7f1f1;--s:#1f7a3d;--c:#7b838b;--k:#8b2fa8;--d:#1750b8}
@media (prefers-color-scheme:dark){:root{--paper:#131619;--card:#1b1f23;--ink:#e4e7ea;--dim:#96a0a9;--edge:#2c3238;
--code:#15181c;--accent:#5cc4cc;--warn:#f0a35e;--soft:#1d3134;--s:#7fd29a;--c:#7f8992;--k:#d49be6;--d:#8ab4f8}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1020px;margin:0 auto;padding:40px 24px 64px}
code,pre,.name,.at,.prompt,.chips.bound,td,th{
font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
i{font-style:normal;color:var(--dim)}
p{margin:0}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
.dim{color:var(--dim);font-size:13px}
.kind{color:var(--accent);font-size:12px;font-weight:600;letter-spacing:.09em;text-transform:uppercase}
h1{margin:2px 0 0;font-size:34px;line-height:1.2;letter-spacing:-.015em;overflow-wrap:anywhere}
.message{margin-top:6px;font-size:18px;color:var(--dim);overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:14px 28px;margin:24px 0 0;
padding:18px 20px;background:var(--card);border:1px solid var(--edge);border-radius:10px}
dt{font-size:12px;color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
dl code{font-size:13px}dl div:last-child{grid-column:1/-1}
nav{display:flex;flex-wrap:wrap;gap:6px 20px;margin:18px 2px 0;font-size:14px}
section{margin-top:40px;scroll-margin-top:16px}
h2{margin:0 0 12px;font-size:19px;letter-spacing:-.005em}h2 small{font-size:14px;font-weight:400;color:var(--dim)}
.rows{background:var(--card);border:1px solid var(--edge);border-radius:10px;overflow:hidden}
.row{padding:9px 16px}.row+.row{border-top:1px solid var(--edge)}
.line{display:grid;grid-template-columns:minmax(0,11fr) minmax(0,8fr) minmax(0,17fr) 72px 64px;gap:0 16px;
align-items:baseline;width:100%}
.name{font-weight:600;font-size:14px;overflow-wrap:anywhere}
.type,.said{color:var(--dim);font-size:14px;overflow-wrap:anywhere}.said{color:inherit}
.size,.at{font-size:13px;text-align:right;white-space:nowrap;color:var(--dim)}a.at{color:var(--accent)}
summary{list-style:none;cursor:pointer}summary::-webkit-details-marker{display:none}
summary .name::after{content:"\\25b8";color:var(--dim);font-size:11px;margin-left:7px;display:inline-block}
[open]>summary .name::after{transform:rotate(90deg)}
.row>pre,.row>.scroll{margin:8px 0 4px}
pre{margin:0;padding:10px 12px;background:var(--code);border-radius:6px;font-size:13px;line-height:1.5;
white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4}
.lost .line{display:flex;flex-wrap:wrap;gap:2px 12px}.lost .at{margin-left:auto}.lost>p{margin-top:2px}
.lost>pre{margin-top:6px}
#lost .rows{border-left:3px solid var(--warn)}.tag{font-size:12px;color:var(--warn)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:12.5px;font-variant-numeric:tabular-nums}
th,td{padding:3px 14px 3px 0;text-align:left;white-space:nowrap;font-weight:400;vertical-align:top}
thead th{border-bottom:1px solid var(--edge);font-weight:600;padding-bottom:5px}
thead i{display:block;font-weight:400;font-size:11px}tbody th{color:var(--dim)}
.n{text-align:right}
.row>.dim{margin:2px 0 4px;font-size:12.5px}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:16px}
figure{margin:0;padding:14px;background:var(--card);border:1px solid var(--edge);border-radius:10px;text-align:center}
img{max-width:100%;height:auto;background:#fff;border-radius:4px;vertical-align:top}
figcaption{margin-top:8px;font-size:13px;color:var(--dim);overflow-wrap:anywhere}
.chips{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:6px}
.chips li{padding:3px 11px;background:var(--card);border:1px solid var(--edge);border-radius:20px;font-size:13.5px;
overflow-wrap:anywhere}
.chips.bound{margin-top:6px;font-size:12px}.chips.bound li{padding:0 8px;background:var(--soft);border:0;font-size:12px;
color:var(--accent)}
.cell{display:grid;grid-template-columns:64px minmax(0,1fr);gap:0 12px;margin-top:10px;scroll-margin-top:16px}
.prompt{padding-top:11px;font-size:12px;color:var(--dim);text-align:right;white-space:nowrap}
.cell pre{background:var(--card);border:1px solid var(--edge)}
.cell:target pre{border-color:var(--accent)}
.s{color:var(--s)}.c{color:var(--c);font-style:italic}.k{color:var(--k)}.d{color:var(--d)}
.packages{list-style:none;margin:0;padding:14px 18px;columns:190px;column-gap:28px;font-size:13.5px;
background:var(--card);border:1px solid var(--edge);border-radius:10px}
.packages li{break-inside:avoid;overflow-wrap:anywhere;padding:1px 0}
footer{margin-top:48px;font-size:13px;color:var(--dim)}
@media (max-width:720px){main{padding:24px 14px 40px}h1{font-size:27px}
.line{grid-template-columns:minmax(0,1fr) auto auto;gap:0 12px}.line .said{grid-column:1/-1;grid-row:3}
.line .type{grid-column:1/-1;grid-row:2}.cell{grid-template-columns:minmax(0,1fr)}
.prompt{text-align:left;padding:0 0 3px}}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--dim:#555;--edge:#ccc;--code:#fff;--accent:#000;--soft:#eee}
body{font-size:11pt}main{max-width:none;padding:0}nav{display:none}.row,.cell,figure{break-inside:avoid}
details::details-content{content-visibility:visible;height:auto}}
""".strip().replace("\n", "")
