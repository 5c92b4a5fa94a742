# SPDX-License-Identifier: Apache-2.0
"""A bar chart as SVG, a panel for each figure: no library needed."""
from html import escape

WIDTH, LABELS, BAR, GAP, TITLE = 760, 290, 18, 6, 34
OURS, THEIRS = "#2266aa", "#999999"


def panel(title, values, top):
    """Bars for {name: value}; returns the lines and where the next panel begins."""
    largest = max(values.values()) or 1
    out = [f'<text x="8" y="{top + 20}" font-weight="bold">{escape(title)}</text>']
    y = top + TITLE
    for name, value in values.items():
        width = (WIDTH - LABELS - 90) * value / largest
        color = OURS if name.startswith("cygnet") else THEIRS
        text = f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
        out += [f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
                f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{color}"/>',
                f'<text x="{LABELS + width + 6:.1f}" y="{y + 13}">{text}</text>']
        y += BAR + GAP
    return out, y + GAP


def bars(columns, rows):
    """columns: {key: title}; rows: {name: {key: value}}. What is larger than everything else by far (no VPN) is left out of a panel."""
    lines, top = [], 0
    for key, title in columns.items():
        values = {name: row[key] for name, row in rows.items() if name != "no VPN"}
        if not values:
            continue
        more, top = panel(title, values, top)
        lines += more
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="13">'
            f'<!-- SPDX-License-Identifier: Apache-2.0 --><rect width="100%" height="100%" fill="white"/>' + "\n".join(lines) + "</svg>\n")
