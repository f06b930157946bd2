"""A chart as SVG, drawn from numbers, that can be read on light and on dark pages."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, HEIGHT = 760, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 92, 34, 40
FALLEN = 12.0  # degrees at which CartPole ends an episode

# A panel of its own, so that it can be read on whatever page stands around it.
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.panel { fill: #ffffff; stroke: #d1d9e0 }
.quiet { fill: #59636e }
.axis { stroke: #d1d9e0 }
.walk { stroke: #59636e; stroke-width: 2; fill: none }
.dot { fill: #59636e }
.above { stroke: #0b62c4; stroke-width: 2; fill: none }
.below { stroke: #b3470b; stroke-width: 2; fill: none; stroke-dasharray: 5 3 }
text.above { fill: #0b62c4; stroke: none } text.below { fill: #b3470b; stroke: none }
circle.above { fill: #0b62c4 } circle.below { fill: #ffffff; stroke-dasharray: none }
.reset { stroke: #59636e; stroke-dasharray: 2 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .panel { fill: #161b22; stroke: #30363d }
  .quiet { fill: #9aa4af }
  .axis { stroke: #30363d }
  .walk, .reset { stroke: #9aa4af }
  .dot { fill: #9aa4af }
  .above { stroke: #58a6ff } .below { stroke: #f0883e }
  text.above { fill: #58a6ff } text.below { fill: #f0883e }
  circle.above { fill: #58a6ff } circle.below { fill: #161b22 }
}
"""


@dataclass
class Picture:
    """A chart: x from 0 to `steps`, y within `low` and `high`, both in their own units.

    Attributes:
        title: stands above it.
        says: what it shows, for those who cannot see it.
    """

    title: str
    says: str
    steps: float
    low: float
    high: float
    parts: list[str] = field(default_factory=list)

    def x(self, step: float) -> float:
        """Return pixels."""
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.steps

    def y(self, value: float) -> float:
        """Return pixels."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)

    def line(self, kind: str, steps: Iterable[float], values: Iterable[float]) -> None:
        """Draw a curve."""
        places = zip(steps, values, strict=True)
        points = " ".join(f"{self.x(s):.1f},{self.y(v):.1f}" for s, v in places)
        self.parts.append(f'<polyline class="{kind}" points="{points}"/>')

    def dot(self, kind: str, step: float, value: float, size: float = 4) -> None:
        """Draw a point."""
        place = f'cx="{self.x(step):.1f}" cy="{self.y(value):.1f}" r="{size}"'
        self.parts.append(f'<circle class="{kind}" {place}/>')

    def text(
        self, step: float, value: float, text: str, kind: str = "", anchor: str = "start",
        dx: float = 0, dy: float = 4,
    ) -> None:  # fmt: skip
        """Write beside a point."""
        place = f'x="{self.x(step) + dx:.1f}" y="{self.y(value) + dy:.1f}"'
        self.parts.append(
            f'<text class="{kind}" {place} text-anchor="{anchor}">{escape(text)}</text>'
        )

    def pole(self) -> None:
        """Draw what CartPole's angle is read on."""
        for angle in (-FALLEN, 0, FALLEN):
            self.line("axis", (0, self.steps), (angle, angle))
            self.text(0, angle, f"{angle:+.0f}°" if angle else "0°", "quiet", "end", -8)
        self.text(0, self.low, "step 0", "quiet", dy=24)
        self.text(self.steps, self.low, f"step {self.steps:.0f}", "quiet", "end", dy=24)

    def save(self, name: str) -> None:
        """Write the file."""
        text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(self.says)}">'
            f"<style>{STYLE}</style>\n"
            f'<rect class="panel" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>'
            f'\n<text x="{LEFT}" y="22">{escape(self.title)}</text>\n'
        )
        (HERE / f"group-{name}.svg").write_text(text + "\n".join(self.parts) + "\n</svg>\n")
