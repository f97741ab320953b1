"""How the dashboard's panels look: builders that fill in what every panel has, and the colours.

A panel is a plain dictionary in Grafana's classic model. tests/dashboards/ holds the result against Grafana's own types,
so a misspelt key fails there.
"""

from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"

SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Okabe and Ito's palette: told apart with any kind of colour vision, on a dark and on a light page. Nothing is said by
# colour alone: what is good or bad also stands there in words or as a number.
BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILION, PURPLE, GREY = "#E69F00", "#D55E00", "#CC79A7", "#999999"
WELL, SOON, BAD = GREEN, ORANGE, VERMILION

# One thing has one colour, wherever it is drawn.
COLOURS = {
    # attempts_total{result}, deliveries_total{outcome}
    "planned": GREY,
    "delivered": SKY,
    "retried": ORANGE,
    "dead": VERMILION,
    # webhooks_total{outcome}
    "accepted": SKY,
    "duplicate": GREEN,
    "unauthorized": PURPLE,
    "limited": "#882255",
    "invalid": YELLOW,
    "too_large": ORANGE,
    "timeout": BLUE,
    "unavailable": VERMILION,
    "unmatched": GREY,
    # attempt_failures_total{reason}, but for `timeout`
    "connection": VERMILION,
    "tls": PURPLE,
    "credentials": "#882255",
    "client_error": YELLOW,
    "server_error": ORANGE,
    "throttled": SKY,
    "redirect": GREEN,
    "unsuccessful": "#661100",
    "unrenderable": GREY,
    # quantiles
    "p50": SKY,
    "p90": BLUE,
    "p99": ORANGE,
    # what a line is measured against
    "limit": VERMILION,
    # store_errors_total{operation}
    "write": VERMILION,
    "read": ORANGE,
    # spans_total{outcome}
    "exported": SKY,
    "failed": VERMILION,
    "dropped": ORANGE,
}

# What holds a destination back, by the number that HELD in rows_deliveries.py gives it.
HELD_WORDS = {
    0: ("flowing", GREEN),
    1: ("asked for a rest", YELLOW),
    2: ("paused by hand", PURPLE),
    3: ("breaker open", ORANGE),
    4: ("gone (410)", VERMILION),
}


def words(mapping):
    """Words in place of values: {0: ("nothing lost", WELL)}; None stands for no value."""
    numbers = {str(value): result(index, *word) for index, (value, word) in enumerate(mapping.items()) if value is not None}
    listed = [{"type": "value", "options": numbers}] if numbers else []
    if None in mapping:
        listed.append({"type": "special", "options": {"match": "null+nan", "result": result(len(numbers), *mapping[None])}})
    return listed


def result(index, text, colour):
    """What a value is replaced by."""
    return {"text": text, "color": colour, "index": index}


def steps(*from_values):
    """Thresholds: the colour below all of them, then (value, colour) from there on."""
    first, *rest = from_values
    return {
        "mode": "absolute",
        "steps": [{"color": first, "value": None}] + [{"color": colour, "value": value} for value, colour in rest],
    }


def query(expr, legend="__auto", now=False, form="time_series"):
    """One query of a panel: over the time shown, or only as it is now."""
    return {
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expr,
        "legendFormat": legend,
        "instant": now,
        "range": not now,
        "format": form,
    }


def override(name, **properties):
    """Other properties for the series or column of this name; `__` in a keyword stands for a dot."""
    listed = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def fixed(colour):
    """A colour that does not depend on which other series there are."""
    return {"mode": "fixed", "fixedColor": colour}


def dashed(name, **properties):
    """A line for what others are measured against."""
    style = {"fill": "dash", "dash": [10, 10]}
    return override(
        name, custom__lineStyle=style, custom__fillOpacity=0, custom__stacking={"mode": "none", "group": "A"}, **properties
    )


def link(title, url, tooltip="", new_tab=True):
    """A link of a panel or of the dashboard."""
    return {
        "title": title,
        "url": url,
        "tooltip": tooltip,
        "targetBlank": new_tab,
        "type": "link",
        "icon": "doc",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
    }


def page_of(heading):
    """The page in docs/ that has this heading."""
    found = [page.name for page in sorted(DOCS.glob("*.md")) if any(line.strip("# ") == heading for line in page.read_text().splitlines() if line.startswith("#"))]
    if len(found) != 1:
        raise SystemExit(f"{heading} is a heading of {found or 'no page'} in docs/")
    return found[0]


def panel(kind, title, says, runbook, queries, width, height, defaults, options, overrides=()):
    """A panel. `says` is what it means and what to do; `runbook` a heading in docs/."""
    anchor = runbook.lower().replace(" ", "-")
    page = page_of(runbook)
    for letter, target in zip("ABCDEFGHIJ", queries):
        target["refId"] = letter
    return {
        "type": kind,
        "title": title,
        "description": says,
        "datasource": SOURCE,
        "gridPos": {"h": height, "w": width, "x": 0, "y": 0},
        "links": [link(f"Runbook: {runbook}", f"${{runbooks:raw}}/{page}#{anchor}", f"docs/{page}")],
        "targets": list(queries),
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
    }


def stat(
    title, says, runbook, expr, *, unit="short", thresholds, mapping=None, none=("no relay answers", GREY), height=4, decimals=None
):
    """One number with its word, as it is now: an answer of the top row. What it was an hour ago must not stand there."""
    defaults = {
        "unit": unit,
        "noValue": none[0],
        "color": {"mode": "thresholds"},
        "thresholds": thresholds,
        "mappings": words({**(mapping or {}), None: none}),
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value",
        "orientation": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, says, runbook, [query(expr, now=True)], 4, height, defaults, options)


def lines(
    title,
    says,
    runbook,
    *queries,
    unit,
    none="no data",
    width=6,
    height=7,
    stacked=False,
    bars=False,
    log=False,
    top=None,
    overrides=(),
    thresholds=None,
):
    """Lines, areas (`stacked`) or bars over time, each in its fixed colour where COLOURS has one."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "lineInterpolation": "linear",
        "pointSize": 4,
        "showPoints": "auto",
        "fillOpacity": 80 if bars else 40 if stacked else 8,
        "gradientMode": "none",
        "spanNulls": False,
        "insertNulls": False,
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisBorderShow": False,
        "axisCenteredZero": False,
        "barAlignment": 0,
        "barWidthFactor": 0.8,
        "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
    }
    defaults = {
        "unit": unit,
        "noValue": none,
        "color": {"mode": "palette-classic-by-name"},
        "custom": custom,
        "mappings": [],
        "thresholds": thresholds or steps(GREY),
    }
    if not log:
        defaults["min"] = 0
    if top is not None:
        defaults["max"] = top
    named = {name for target in queries for name in names_of(target)}
    colours = [override(name, color=fixed(colour)) for name, colour in COLOURS.items() if name in named]
    options = {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc", "hideZeros": False},
    }
    return panel("timeseries", title, says, runbook, queries, width, height, defaults, options, [*colours, *overrides])


# Values of labels that name lines.
LABEL_VALUES = {
    "{{result}}": ("delivered", "retried", "dead"),
    "{{outcome}}": ("accepted", "duplicate", "unauthorized", "limited", "invalid", "too_large", "timeout", "unavailable"),
    "{{reason}}": (
        "timeout",
        "connection",
        "tls",
        "credentials",
        "client_error",
        "server_error",
        "throttled",
        "redirect",
        "unsuccessful",
        "unrenderable",
    ),
    "{{operation}}": ("write", "read"),
}


def names_of(target):
    """The names that a query's lines can have."""
    return LABEL_VALUES.get(target["legendFormat"], (target["legendFormat"],))


def states(title, says, runbook, expr, legend, mapping, *, none, width, height=7):
    """What held when, one bar a line, in words."""
    defaults = {
        "noValue": none,
        "color": {"mode": "thresholds"},
        "thresholds": steps(GREY),
        "mappings": words(mapping),
        "custom": {
            "lineWidth": 0,
            "fillOpacity": 80,
            "axisPlacement": "auto",
            "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        },
    }
    options = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.8,
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "single", "sort": "none", "hideZeros": False},
    }
    return panel("state-timeline", title, says, runbook, [query(expr, legend)], width, height, defaults, options)


def table(title, says, runbook, columns, *, key, none, width, height):
    """One line a value of the label `key`; `columns` is {heading: (expression, properties)}."""
    queries = [query(expr, now=True, form="table") for expr, _ in columns.values()]
    headings = {f"Value #{letter}": heading for letter, heading in zip("ABCDEFGHIJ", columns)}
    defaults = {
        "noValue": none,
        "color": {"mode": "thresholds"},
        "thresholds": steps("text"),
        "mappings": [],
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False},
    }
    overrides = [override(heading, **properties) for heading, (_, properties) in columns.items()]
    options = {"showHeader": True, "cellHeight": "sm", "sortBy": []}
    made = panel("table", title, says, runbook, queries, width, height, defaults, options, overrides)
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {key: key.capitalize(), **headings}},
        },
    ]
    return made
