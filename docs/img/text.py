"""The picture of group=text in this folder: answers to one prompt, token by token.

    python docs/img/text.py

The answers are made up; their rewards are those of text/arithmetic, 1 for the right number, and
their advantages those of `preset=agilerl`, less the mean and over the deviation of the group.
"""

from html import escape
from pathlib import Path

import numpy as np
from picture import HEIGHT, STYLE, WIDTH  # type: ignore[import-not-found]

PROMPT, RIGHT = "27 + 15 =", "42"
ANSWERS = (("4", "2", "end"), ("4", "1", "end"), ("4", "2", "end"), ("3", "2", "7", "end"))
LEFT, TOP, ROW, TOKEN = 190, 58, 52, 58


def picture() -> str:
    """Return the SVG."""
    reward = np.array([float("".join(answer[:-1]) == RIGHT) for answer in ANSWERS])
    advantage = (reward - reward.mean()) / reward.std()
    middle = TOP + ROW * (len(ANSWERS) - 1) / 2
    parts = [
        f'<rect class="panel" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        '<text x="20" y="28">group=text: four answers to one prompt; a token is a step</text>',
        f'<text x="40" y="{middle + 5:.0f}">{escape(PROMPT)}</text>',
        f'<circle class="dot" cx="140" cy="{middle:.0f}" r="4"/>',
    ]
    for row, (answer, paid, worth) in enumerate(zip(ANSWERS, reward, advantage, strict=True)):
        y = TOP + ROW * row
        side = "above" if worth > 0 else "below"
        parts.append(f'<path class="{side}" d="M140 {middle:.0f} L{LEFT} {y}"/>')
        for place, token in enumerate(answer):
            x, wide = LEFT + TOKEN * place, TOKEN - 8
            box = f'x="{x}" y="{y - 15}" width="{wide}" height="30" rx="5"'
            parts += [
                f'<rect class="{side}" {box}/>',
                f'<text x="{x + wide // 2}" y="{y + 5}" text-anchor="middle">{token}</text>',
            ]
        said = f"reward {paid:.0f}, each token's advantage {worth:+.1f}"
        parts.append(f'<text class="{side}" x="{LEFT + 4 * TOKEN + 16}" y="{y + 5}">{said}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
    head += 'aria-label="Four answers to one prompt, token by token, with rewards and advantages">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("group-text.svg").write_text(picture())
