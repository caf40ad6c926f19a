"""A table as one HTML page that needs nothing else: sortable, readable in the dark and on paper."""

from __future__ import annotations

from html import escape

from hmr_light.reports.cells import Table

STYLE = """
:root { color-scheme: light dark; --line: #8884; --mark: #2a9d6f; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
td.number, th.number { text-align: right; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--mark); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tbody tr:hover { background: #8881; }
td strong { color: var(--mark); }
tr.winner { background: color-mix(in srgb, var(--mark) 14%, transparent); }
p, details { color: #888; font-size: .87rem; }
details table { font-size: .8rem; }
"""

SCRIPT = """
const table = document.querySelector('#comparison'), body = table.tBodies[0];
const first = [...body.rows];
table.tHead.addEventListener('click', event => {
  const head = event.target.closest('th');
  if (!head) return;
  const next = {none: 'ascending', ascending: 'descending', descending: 'none'}[head.ariaSort || 'none'];
  for (const other of table.tHead.rows[0].cells) other.ariaSort = 'none';
  head.ariaSort = next;
  const key = row => {
    const value = row.cells[head.cellIndex].dataset.value;
    return head.className === 'number' ? (value === '' ? NaN : Number(value)) : value;
  };
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    const order = typeof x === 'string' ? x.localeCompare(y, undefined, {numeric: true}) : x - y;
    return next === 'descending' ? -order : order;
  };
  body.append(...(next === 'none' ? first : [...first].sort(compare)));
});
"""


def html_page(table: Table) -> str:
    """The whole page: the table, its notes, and where each row's figures come from."""
    origin, names = table.origin
    head = "".join(
        f'<th scope="col"{_number(table, index)} aria-sort="none"><button type="button">{escape(text)}</button></th>'
        for index, text in enumerate(table.headers)
    )
    body = "\n".join(_row(table, index) for index in range(len(table.rows)))
    heading = f"<p>{escape(table.heading)}</p>" if table.heading else ""
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in table.notes)
    trace_head = "".join(f"<th>{escape(name)}</th>" for name in names)
    trace_body = "\n".join(
        "<tr>" + "".join(f"<td>{_plain(record[name])}</td>" for name in names) + "</tr>" for record in table.records
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return f"""<!doctype html>
<html lang="{table.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(table.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(table.title)}</h1>
{heading}
<div class="wide"><table id="comparison">
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
{notes}
<details><summary>{escape(origin)}</summary><div class="wide"><table>
<thead><tr>{trace_head}</tr></thead>
<tbody>
{trace_body}
</tbody>
</table></div></details>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _row(table: Table, index: int) -> str:
    cells = []
    for column, cell in enumerate(table.rows[index]):
        text = f"<strong>{escape(cell.text)}</strong>" if cell.is_best else escape(cell.text)
        cells.append(f'<td{_number(table, column)} data-value="{_plain(cell.value)}">{text}</td>')
    opening = '<tr class="winner">' if index == table.winner else "<tr>"
    return opening + "".join(cells) + "</tr>"


def _number(table: Table, column: int) -> str:
    return ' class="number"' if table.is_number[column] else ""


def _plain(value: object) -> str:
    return "" if value is None else escape(str(value))
