"""Writes wiza-relay.json, Grafana's dashboard of the relay, here and into the chart.

    python3 dashboards/generate.py            # writes it anew
    python3 dashboards/generate.py --print    # prints it instead

Python's standard library is enough. The files rows_*.py say what is shown, in the order in which somebody reads it at three in
the morning; queries.py how it is asked; look.py how it looks. This one puts them together: variables, annotations, places.
"""

import json
import sys
from pathlib import Path

import queries
import rows_deliveries
import rows_relay
from look import GREY, ORANGE, PURPLE, SKY, SOURCE, VERMILION, link

# Of Grafana 10.4; newer ones migrate it when they load it.
SCHEMA_VERSION = 39
WIDTH = 24


def variables():
    """What can be chosen above the dashboard. `.*` also matches a label that is not there, as `namespace` outside Kubernetes."""

    def chosen(name, label, metric, says, multi=False, all_value=".*"):
        expression = f"label_values({metric}, {name})"
        made = {
            "name": name,
            "label": label,
            "description": says,
            "type": "query",
            "datasource": SOURCE,
            "hide": 0,
            "query": {"query": expression, "refId": f"variable-{name}"},
            "definition": expression,
            "regex": "",
            "refresh": 2,
            "sort": 1,
            "includeAll": True,
            "multi": multi,
            "current": {"text": ["All"] if multi else "All", "value": ["$__all"] if multi else "$__all"},
            "options": [],
        }
        if all_value:
            made["allValue"] = all_value
        return made

    source = {
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes the relay.",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "current": {"text": "default", "value": "default"},
        "options": [],
    }
    runbooks = {
        "name": "runbooks",
        "label": "Runbooks",
        "type": "textbox",
        "hide": 0,
        "query": "",
        "current": {"text": "", "value": ""},
        "options": [],
        "description": "Where docs/ is published, `https://git.example.com/wiza-relay/blob/main/docs`: what the panels' links lead to.",
    }
    within = 'cluster=~"$cluster", namespace=~"$namespace"'
    return [
        source,
        chosen("cluster", "Cluster", "wiza_relay_build_info", "Where one Prometheus knows several; else there is none, and All is right."),
        chosen(
            "namespace",
            "Namespace",
            'wiza_relay_build_info{cluster=~"$cluster"}',
            "Of Kubernetes; outside it there is none, and All is right.",
        ),
        chosen(
            "job",
            "Release",
            f"wiza_relay_build_info{{{within}}}",
            "Prometheus' job: with the Helm chart, one a release.",
        ),
        chosen("instance", "Instance", f'wiza_relay_build_info{{{within}, job=~"$job"}}', "One process."),
        chosen(
            "destination",
            "Destination",
            f"wiza_relay_planned_total{{{queries.RELAY}}}",
            "Which ones have a row below.",
            multi=True,
            all_value=None,
        ),
        runbooks,
    ]


def annotations():
    """Marks in every panel: what somebody changed, and when the relay was not well. Grafana marks where a value is above 0."""

    def mark(name, colour, expr, title, text, at_value=False):
        made = {
            "name": name,
            "datasource": SOURCE,
            "enable": True,
            "hide": False,
            "iconColor": colour,
            "expr": expr,
            "titleFormat": title,
            "textFormat": text,
            "tagKeys": "instance",
            "step": "",
        }
        # The value is the time at which it happened, in milliseconds.
        return made | ({"useValueForTime": True} if at_value else {})

    started = f"({queries.process('start_time_seconds')}) * on ({queries.PROCESS}) group_left (version) {queries.relay('build_info')}"
    reloaded = queries.relay("config_last_reload_success_timestamp_seconds")
    built_in = {
        "name": "Annotations & Alerts",
        "type": "dashboard",
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": GREY,
    }
    return [
        built_in,
        mark("Starts and deploys", PURPLE, f"1000 * ({started})", "Started", "version {{version}} on {{instance}}", at_value=True),
        mark("Rules taken", SKY, f"1000 * {reloaded}", "Rules taken", "routes.yaml is in effect on {{instance}}", at_value=True),
        mark(
            "Rules refused",
            ORANGE,
            f"1 - min_over_time({queries.relay('config_last_reload_successful', over='1m')}) > 0",
            "Rules refused",
            "The old rules go on, on {{instance}}",
        ),
        mark(
            "Not ready",
            VERMILION,
            f"1 - min_over_time({queries.relay('ready', over='1m')}) > 0",
            "Not ready",
            "{{instance}} stores no webhooks",
        ),
    ]


def row(title, repeat=None):
    """The heading of the panels that follow."""
    made = {"type": "row", "title": title, "collapsed": False, "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": 0}, "panels": []}
    return made | ({"repeat": repeat} if repeat else {})


def placed(rows):
    """All panels in one list, from left to right and from top to bottom, numbered."""
    x = y = height = 0
    listed = [panel for heading, below in rows for panel in (heading, *below)]
    for number, panel in enumerate(listed, start=1):
        place = panel["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        place.update(x=x, y=y)
        x, height = x + place["w"], max(height, place["h"])
        panel["id"] = number
    return listed


def dashboard():
    """The whole of it."""
    rows = [
        (row("Is anything lost, late or stuck? (all destinations)"), rows_deliveries.answers()),
        (row("Which destination is it?"), rows_deliveries.destinations()),
        (row("Destination: $destination", repeat="destination"), rows_deliveries.one_destination()),
        (row("Receiving"), rows_relay.receiving()),
        (row("Store"), rows_relay.store()),
        (row("Process and runtime"), rows_relay.process_and_runtime()),
    ]
    return {
        "uid": "wiza-relay",
        "title": "Wiza relay",
        "description": "Is anything lost, late or stuck? Every panel says what it means and what to do, and leads to its runbook.",
        "tags": ["wiza-relay"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "links": [link("Runbooks", "${runbooks:raw}/alerts.md", "docs/alerts.md")],
        "annotations": {"list": annotations()},
        "templating": {"list": variables()},
        "panels": placed(rows),
    }


if __name__ == "__main__":
    text = json.dumps(dashboard(), indent=2) + "\n"
    if "--print" in sys.argv[1:]:
        sys.stdout.write(text)
    else:
        here = Path(__file__).parent
        for folder in (here, here.parent / "helm/wiza-relay/files/dashboards"):
            (folder / "wiza-relay.json").write_text(text)
