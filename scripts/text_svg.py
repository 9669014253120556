#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws text as a terminal, for pictures in docs: text_svg.py TITLE < TEXT > IMAGE.svg

Lines are coloured by how they begin: what passed, failed, was skipped, and how to fix it. The colours do not depend on the
theme of the page, since a terminal brings its own background.
"""
import html
import re
import sys

CHAR, LINE, PAD, BAR = 8.4, 20, 16, 34
COLOURS = [
    (r"^\s*\[PASS\]|^\s*✓|^Status: ALL", "#7ee787"), (r"^\s*\[FAIL\]|^\s*✗|^Status: (VALIDATION|IMAGE)", "#ff7b72"),
    (r"^\s*\[(SKIP|WARN)\]", "#d29922"), (r"^\s+fix:", "#79c0ff"), (r"^\$ |^▸", "#f0f6fc"),
]


def colour(line):
    return next((c for pattern, c in COLOURS if re.search(pattern, line)), "#c9d1d9")


def main(title):
    lines = [line.rstrip("\n").expandtabs() for line in sys.stdin]
    width = PAD * 2 + CHAR * max(map(len, lines))
    height = BAR + PAD + LINE * len(lines)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img" '
          f'aria-label="{html.escape(title)}">')
    print(f'<rect width="100%" height="100%" rx="8" fill="#0d1117" stroke="#30363d"/>')
    print(f'<text x="{width / 2:.0f}" y="22" text-anchor="middle" font-family="sans-serif" font-size="13" fill="#8b949e">{html.escape(title)}</text>')
    print('<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14" xml:space="preserve">')
    for i, line in enumerate(lines):
        if line:
            print(f'<text x="{PAD}" y="{BAR + LINE * i + 14}" fill="{colour(line)}" textLength="{CHAR * len(line):.1f}" '
                  f'lengthAdjust="spacingAndGlyphs">{html.escape(line)}</text>')
    print("</g>\n</svg>")


if __name__ == "__main__":
    main(sys.argv[1])
