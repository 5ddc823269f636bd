"""The chart: CPU of each server per request. One SVG, for the light and the dark theme of the reader."""

from html import escape
from typing import Any, Final

from benchmarks.machine import in_words
from benchmarks.report import Report
from benchmarks.scenes import TITLES
from benchmarks.servers import TASKWARD

WIDTH: Final = 860  # units of the SVG, as all lengths here
LEFT: Final = 226  # where bars begin
RIGHT: Final = 110  # room for a figure after the longest bar
BAR: Final = 18
GAP: Final = 6
TOP: Final = 64
TITLE: Final = "CPU of the server per request, microseconds: less is better"
STYLE: Final = """
  svg { --paper: #fff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --ours: #0b7285; --theirs: #adb5bd }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #151b23; --ink: #f0f6fc; --soft: #9198a1; --line: #3d444d }
    svg { --ours: #3bc9db; --theirs: #59636e }
  }
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink) }
  .title { font-size: 16px; font-weight: 600 }
  .scene { font-weight: 600 }
  .soft { fill: var(--soft); font-size: 12px }
  .small { fill: var(--soft); font-size: 10.5px }
  .paper { fill: var(--paper); stroke: var(--line) }
  .ours { fill: var(--ours) }
  .theirs { fill: var(--theirs) }
  .spread { stroke: var(--ink); stroke-width: 1; opacity: .55 }
"""


def draw(report: Report, machine: dict[str, Any]) -> str:
    """Return the chart as SVG.

    A bar is the median. The thin line over its end goes from the smallest to the largest figure of a round.
    """
    most = max(measured.figures.cpu for measured in report.measured)
    scale = (WIDTH - LEFT - RIGHT) / most
    parts: list[str] = []
    y = TOP
    for scene in report.scenes:
        y += 22
        parts.append(f'<text class="scene" x="20" y="{y}">{TITLES[scene]}</text>\n')
        y += 8
        for variant in report.variants_of(scene):
            parts.append(_bar(report, scene, variant, y, scale))
            y += BAR + GAP
    height = y + 40
    rounds = len({m.round for m in report.measured})
    description = escape(_description_of(report))
    note = (
        f"Medians of {rounds} rounds; each measures every server once. Thin lines span all rounds."
        " Only Taskward uses row-level security."
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">
<title>{TITLE}</title>
<desc>{description}</desc>
<style>{STYLE}</style>
<rect class="paper" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>
<text class="title" x="20" y="34">{TITLE}</text>
<text class="soft" x="20" y="54">{note}</text>
{"".join(parts)}<text class="small" x="20" y="{height - 16}">{escape(in_words(machine))}</text>
</svg>
"""


def _bar(report: Report, scene: str, variant: str, y: float, scale: float) -> str:
    rounds = report.by_round(variant, scene).values()
    value = report.median(variant, scene)
    middle = y + BAR / 2
    least, most = LEFT + min(rounds) * scale, LEFT + max(rounds) * scale
    kind = "ours" if variant == TASKWARD.title else "theirs"
    return f"""<text class="soft" x="{LEFT - 10}" y="{middle + 4}" text-anchor="end">{escape(variant)}</text>
<rect class="{kind}" x="{LEFT}" y="{y}" width="{value * scale:.1f}" height="{BAR}" rx="2"/>
<line class="spread" x1="{least:.1f}" x2="{most:.1f}" y1="{middle}" y2="{middle}"/>
<text x="{most + 8:.1f}" y="{middle + 4.5}">{value:,.0f}</text>
"""


def _description_of(report: Report) -> str:
    return "; ".join(
        f"{TITLES[scene]}: "
        + ", ".join(
            f"{variant} {report.median(variant, scene):,.0f}" for variant in report.variants_of(scene)
        )
        for scene in report.scenes
    )
