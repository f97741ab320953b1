"""Draws the dashboard's main rows from what a Prometheus knows, by the dashboard's own queries, words, colours and places.

    python dashboards/render.py http://127.0.0.1:9090 SECONDS_AGO DESTINATION picture.png

It is no Grafana, and the picture no screenshot: it shows what the panels show, not how Grafana draws them to the pixel.
"""

import json
import math
import re
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

SCRAPE_INTERVAL = 5
# The rows that are drawn.
ROWS = ("Is anything", "Which destination", "Destination:")
# Points of a unit of the dashboard's grid, and the colours of a dark page.
UNIT_WIDTH, UNIT_HEIGHT, GAP = 66, 38, 6
PAGE, PANEL, EDGE, TEXT, DIM = "#111217", "#181b1f", "#2c3035", "#ccccdc", "#8e8e99"
# For lines without a colour of their own.
OTHERS = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#D55E00")


class Source:
    """A Prometheus, and a time that is looked at."""

    def __init__(self, url, begin, end, chosen):
        # Whole seconds, so that Prometheus' moments are the ones below.
        self.url, self.begin, self.end, self.chosen = url, int(begin), int(end), chosen
        self.step = SCRAPE_INTERVAL
        self.fixed = {"$__rate_interval": f"{4 * SCRAPE_INTERVAL}s", "$__range": f"{self.end - self.begin}s"}

    def ask(self, target, destinations):
        """[(labels, [(time, value)])] of one query; a query of now has one point."""
        expression = target["expr"]
        for name, value in {**self.fixed, **self.chosen, "$destination": "|".join(destinations)}.items():
            expression = expression.replace(name, value)
        if target["instant"]:
            found = self.get("query", query=expression, time=self.end)
            return [(one["metric"], [number(one["value"])]) for one in found]
        found = self.get("query_range", query=expression, start=self.begin, end=self.end, step=self.step)
        return [(one["metric"], [number(point) for point in one["values"]]) for one in found]

    def moments(self):
        """The times at which a range is asked for."""
        return [self.begin + self.step * index for index in range((self.end - self.begin) // self.step + 1)]

    def get(self, path, **parameters):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}") as answer:
            return json.load(answer)["data"]["result"]


def number(point):
    return float(point[0]), float(point[1])


def shown(value, unit, decimals=None):
    """A number in its unit, as short as on a dashboard."""
    if math.isnan(value):
        return "-"
    if unit == "percentunit":
        return f"{100 * value:.{1 if decimals is None else decimals}f}%".replace(".0%", "%").replace(".00%", "%")
    if unit == "s":
        if 60 < value < 120:
            return f"{value:.3g} s"
        for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return "0 s"
    per = {"ops": "/s", "reqps": "/s"}.get(unit, "")
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{name}{per}"
    return f"{value:.3g}{per}"


def word(value, defaults):
    """What stands for a value, and its colour: from the mappings, else the number and its threshold's."""
    for mapping in defaults.get("mappings", ()):
        if mapping["type"] == "value" and value is not None and f"{value:g}" in mapping["options"]:
            found = mapping["options"][f"{value:g}"]
            return found["text"], found["color"]
        if mapping["type"] == "special" and (value is None or math.isnan(value)):
            return mapping["options"]["result"]["text"], mapping["options"]["result"]["color"]
    steps = defaults["thresholds"]["steps"]
    colour = [step["color"] for step in steps if step["value"] is None or (value or 0) >= step["value"]][-1]
    return shown(value, defaults.get("unit", "short"), defaults.get("decimals")), TEXT if colour == "text" else colour


def readable(colour):
    """White or nearly black, whichever can be read on a colour."""
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return PAGE if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 else "white"


def properties(panel, name):
    """What the overrides say of a series or a column."""
    overrides = (override["properties"] for override in panel["fieldConfig"]["overrides"] if override["matcher"]["options"] == name)
    return {one["id"]: one["value"] for listed in overrides for one in listed}


class Page:
    """The picture: places panels as the dashboard's grid does."""

    def __init__(self, units_high, footer):
        width, self.height = 24 * UNIT_WIDTH, units_high * UNIT_HEIGHT + 26
        self.width = width
        self.figure = plt.figure(figsize=(width / 100, self.height / 100), dpi=100, facecolor=PAGE)
        self.text(10, self.height - 10, footer, color=DIM, size=9, va="bottom")

    def text(self, x, y, text, **style):
        self.figure.text(x / self.width, 1 - y / self.height, text, **{"color": TEXT, "size": 9, "va": "center", **style})

    def box(self, panel, top, title=TEXT):
        """The frame of a panel, with its title; gives left, top, width and height in points, and the frame."""
        place = panel["gridPos"]
        left, upper = place["x"] * UNIT_WIDTH + GAP / 2, (place["y"] - top) * UNIT_HEIGHT + GAP / 2
        width, height = place["w"] * UNIT_WIDTH - GAP, place["h"] * UNIT_HEIGHT - GAP
        frame = FancyBboxPatch(
            (left / self.width, 1 - (upper + height) / self.height), width / self.width, height / self.height,
            boxstyle="square,pad=0", facecolor=PANEL, edgecolor=EDGE, linewidth=0.8, transform=self.figure.transFigure,
            zorder=-1,
        )  # fmt: skip
        self.figure.patches.append(frame)
        self.text(left + 10, upper + 14, panel["title"], weight="bold", size=9.5, color=title)
        return left, upper, width, height, frame

    def axes(self, left, upper, width, height):
        made = self.figure.add_axes(
            (left / self.width, 1 - (upper + height) / self.height, width / self.width, height / self.height), facecolor="none"
        )
        made.tick_params(colors=DIM, labelsize=7.5, length=0)
        for side in made.spines.values():
            side.set_visible(False)
        made.grid(True, color=EDGE, linewidth=0.6)
        return made


def clock(axes, source):
    """Minutes since the beginning, below."""
    axes.set_xlim(source.begin, source.end)
    minutes = range(0, int((source.end - source.begin) / 60) + 1, 2)
    axes.set_xticks([source.begin + 60 * minute for minute in minutes], [f"{minute} min" if minute else "0" for minute in minutes])


def draw_stat(page, panel, top, source, destinations):
    found = source.ask(panel["targets"][0], destinations)
    text, colour = word(found[0][1][-1][1] if found else None, panel["fieldConfig"]["defaults"])
    left, upper, width, height, frame = page.box(panel, top, title=readable(colour))
    frame.set_facecolor(colour)
    page.text(
        left + width / 2,
        upper + height / 2 + 9,
        text,
        size=17 if height > 110 else 14,
        ha="center",
        weight="bold",
        color=readable(colour),
    )


def draw_table(page, panel, top, source, destinations):
    left, upper, width, _, _ = page.box(panel, top)
    names = next(change["options"]["renameByName"] for change in panel["transformations"] if change["id"] == "organize")
    columns = [names[f"Value #{target['refId']}"] for target in panel["targets"]]
    values = [
        {labels["destination"]: points[-1][1] for labels, points in source.ask(target, destinations)} for target in panel["targets"]
    ]
    first, second = 112, 104
    rest = (width - first - second - 16) / (len(columns) - 1)
    right_ends = [left + first + second + rest * (index + 1) for index in range(len(columns) - 1)]
    page.text(left + 10, upper + 44, "Destination", color=DIM, weight="bold", size=8)
    page.text(left + first + 8, upper + 44, columns[0], color=DIM, weight="bold", size=8)
    for end, column in zip(right_ends, columns[1:]):
        # In two lines where it is long.
        page.text(end, upper + 44, re.sub(r"(.{8,}?) (.+)", r"\1\n\2", column), color=DIM, weight="bold", size=8, ha="right")
    for line, destination in enumerate(destinations):
        y = upper + 76 + 34 * line
        page.text(left + 10, y, destination, color="#6e9fff")
        for index, (column, value) in enumerate(zip(columns, values)):
            own = {**panel["fieldConfig"]["defaults"], **properties(panel, column)}
            text, colour = word(value.get(destination, math.nan), own)
            if index == 0:
                box = {"facecolor": colour, "edgecolor": "none", "pad": 4}
                page.text(left + first + 10, y, text, color=readable(colour), bbox=box, size=8.5)
            else:
                page.text(right_ends[index - 1], y, text, color=colour, ha="right")


def draw_states(page, panel, top, source, destinations):
    left, upper, width, height, _ = page.box(panel, top)
    found = sorted(source.ask(panel["targets"][0], destinations), key=lambda one: sorted(one[0].items()))
    axes = page.axes(left + 96, upper + 34, width - 110, height - 62)
    axes.grid(False)
    for line, (labels, points) in enumerate(found):
        begin = 0
        for place in range(1, len(points) + 1):
            if place == len(points) or points[place][1] != points[begin][1]:
                text, colour = word(points[begin][1], panel["fieldConfig"]["defaults"])
                end = points[place][0] if place < len(points) else source.end
                if colour != "transparent":
                    axes.barh(line, end - points[begin][0], left=points[begin][0], height=0.66, color=colour, alpha=0.85)
                if (end - points[begin][0]) / (source.end - source.begin) * (width - 110) > 6.5 * len(text):
                    axes.text(
                        points[begin][0] + 3,
                        line,
                        text,
                        va="center",
                        size=8,
                        color=DIM if colour == "transparent" else readable(colour),
                    )
                begin = place
    axes.set_yticks(range(len(found)), [next(iter(labels.values())) for labels, _ in found], color=TEXT)
    axes.set_ylim(len(found) - 0.4, -0.6)
    clock(axes, source)


def draw_lines(page, panel, top, source, destinations, marks):
    left, upper, width, height, _ = page.box(panel, top)
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    axes = page.axes(left + 58, upper + 32, width - (104 if on_the_right(panel) else 72), height - 78)
    right = axes.twinx() if on_the_right(panel) else None
    series = []
    for target in panel["targets"]:
        for labels, points in source.ask(target, destinations):
            name = re.sub(r"\{\{(\w+)\}\}", lambda match, labels=labels: labels.get(match[1], ""), target["legendFormat"])
            series.append((name, points))
    bottom, legend, others = {}, [], iter(OTHERS * 4)
    for name, points in series:
        own = properties(panel, name)
        colour = own["color"]["fixedColor"] if "color" in own else next(others)
        on = right if own.get("custom.axisPlacement") == "right" else axes
        # Where there was nothing to measure the line is broken: a point that is missing, or no number.
        if own.get("custom.drawStyle", custom["drawStyle"]) == "line":
            known = dict(points)
            points = [(moment, known.get(moment, math.nan)) for moment in source.moments()]
        times, values = [moment for moment, _ in points], [value for _, value in points]
        legend.append((name, colour))
        if own.get("custom.drawStyle", custom["drawStyle"]) == "bars":
            below = [bottom.get(moment, 0) for moment in times]
            on.bar(times, values, bottom=below, width=source.step * 0.8, color=colour, alpha=0.85)
            if custom["stacking"]["mode"] == "normal":
                bottom.update({moment: start + value for moment, start, value in zip(times, below, values)})
        else:
            on.plot(times, values, color=colour, linewidth=1.4)
            if own.get("custom.fillOpacity", custom["fillOpacity"]) and custom["scaleDistribution"]["type"] == "linear":
                on.fill_between(times, values, color=colour, alpha=0.08, linewidth=0)
    if not series:
        page.text(left + width / 2, upper + height / 2, defaults["noValue"], ha="center", color=DIM, size=11)
    for on, unit in ((axes, defaults["unit"]), (right, defaults["unit"])):
        if on is None:
            continue
        on.yaxis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: shown(value, unit)))
        if custom["scaleDistribution"]["type"] == "log":
            on.set_yscale("log")
            on.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=8))
            on.yaxis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: shown(value, unit)))
            on.yaxis.set_minor_formatter(NullFormatter())
        else:
            highest = max((value for line in on.lines for value in line.get_ydata() if not math.isnan(value)), default=0)
            on.set_ylim(0, max(on.get_ylim()[1], 1e-3) if highest > 0 or any(bar.get_height() > 0 for bar in on.patches) else 1)
            on.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 3, 6, 10] if unit == "s" else None))
    if right is not None:
        right.grid(False)
        right.tick_params(colors=DIM, labelsize=7.5, length=0)
        for side in right.spines.values():
            side.set_visible(False)
    for moment, colour in marks:
        axes.axvline(moment, color=colour, linewidth=1, linestyle=(0, (4, 3)), alpha=0.8)
    clock(axes, source)
    x = left + 14
    for name, colour in legend:
        page.text(x, upper + height - 15, "━", color=colour, size=9, weight="bold")
        page.text(x + 18, upper + height - 15, name, size=8)
        x += 18 + 6.3 * len(name) + 14


def on_the_right(panel):
    return any(
        one["id"] == "custom.axisPlacement" for override in panel["fieldConfig"]["overrides"] for one in override["properties"]
    )


def draw(url, begin, end, destination, out):
    """Draws the rows of ROWS, of all destinations and of the one given."""
    dashboard = json.loads(Path(__file__).with_name("wiza-relay.json").read_text())
    chosen = {
        f"${variable['name']}": variable["allValue"] for variable in dashboard["templating"]["list"] if "allValue" in variable
    }
    source = Source(url, begin, end, chosen)
    everything = sorted({one["metric"]["destination"] for one in source.get("query", query="wiza_relay_planned_total", time=end)})
    marks = []
    for annotation in dashboard["annotations"]["list"]:
        if annotation.get("useValueForTime"):
            moments = {
                value / 1000 for _, points in source.ask({**annotation, "instant": False}, everything) for _, value in points
            }
            marks += [(moment, annotation["iconColor"]) for moment in moments if begin < moment < end]

    rows, row = [], None
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            row = (panel, []) if panel["title"].startswith(ROWS) else None
            rows += [row] if row else []
        elif row:
            row[1].append(panel)
    first, last = rows[0][0], rows[-1][1][-1]
    top = first["gridPos"]["y"]
    page = Page(
        last["gridPos"]["y"] + last["gridPos"]["h"] - top,
        "Drawn by dashboards/render.py from the dashboard's own queries and a real Prometheus; not a screenshot of Grafana. "
        "Dashed: rules taken (blue), a start (purple).",
    )
    for heading, panels in rows:
        title = heading["title"].replace("$destination", destination)
        page.text(10, (heading["gridPos"]["y"] - top + 0.5) * UNIT_HEIGHT, "▾  " + title, weight="bold", size=11)
        destinations = [destination] if heading.get("repeat") else everything
        for panel in panels:
            kind = panel["type"]
            if kind == "timeseries":
                draw_lines(page, panel, top, source, destinations, marks)
            else:
                {"stat": draw_stat, "table": draw_table, "state-timeline": draw_states}[kind](
                    page, panel, top, source, destinations
                )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    page.figure.savefig(out, facecolor=PAGE, pil_kwargs={"optimize": True})
    plt.close(page.figure)
    print(f"{out}: {out.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    now = time.time()
    draw(sys.argv[1], now - float(sys.argv[2]), now, sys.argv[3], sys.argv[4])
