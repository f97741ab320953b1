"""The rows about the relay itself: what comes in, the store, the process."""

from look import BAD, ORANGE, SKY, SOON, dashed, fixed, lines, override, query, steps
from queries import PROCESS, RELAY, per_second, process, quantiles, relay


def receiving():
    """Does everything that Wiza sends come in?"""
    duplicate = f"sum(rate({relay('webhooks_total', outcome='duplicate', over='$__rate_interval')}))"
    return [
        lines(
            "Webhooks",
            "A second, by what became of them. accepted and duplicate were answered 200. A flat zero: nobody reveals "
            "anything, or the way in is broken; play Wiza with `wiza-relay send`.",
            "WizaRelayNoWebhooks",
            query(per_second("webhooks_total", "outcome"), "{{outcome}}"),
            unit="reqps",
            none="no relay answers",
            width=8,
            stacked=True,
        ),
        lines(
            "Time to the 200",
            "From a webhook's headers to its 200; a commit to disk is in it. If it climbs with *Time of a commit*, the disk"
            " is slow.",
            "WizaRelayAnswersSlow",
            *quantiles("ack_seconds", shares=(0.5, 0.9, 0.99)),
            unit="s",
            none="no webhooks",
            width=8,
            log=True,
        ),
        lines(
            "Connections",
            "Open webhook connections, and their share of `--max-connections`. At the limit an idle one is closed "
            "for each that comes. Where none is idle, webhooks wait, and Wiza may time out.",
            "WizaRelayConnectionsNearLimit",
            query(f"sum({relay('connections')})", "open"),
            query(f"max({relay('connections')} / {relay('connections_limit')})", "of the limit"),
            unit="short",
            none="no relay answers",
            width=8,
            overrides=[
                override("open", color=fixed(SKY)),
                override(
                    "of the limit",
                    color=fixed(ORANGE),
                    unit="percentunit",
                    max=1,
                    custom__axisPlacement="right",
                    custom__fillOpacity=0,
                ),
            ],
        ),
        lines(
            "Events by route",
            "A second that each route matched, shadow routes included. A route that falls to zero after a reload: look at "
            "its `when` with `wiza-relay explain`.",
            "WizaRelayRulesRefused",
            query(per_second("route_matches_total", "route"), "{{route}}"),
            unit="ops",
            none="no routes",
            width=8,
        ),
        lines(
            "Twice, or for nobody",
            "Webhooks a second that Wiza repeated (answered 200, stored once), and events that no route took (kept; "
            "`wiza-relay events --status unmatched`). Many duplicates: Wiza does not get its 200 in time.",
            "See what waits and what died",
            query(duplicate, "duplicate"),
            query(f"sum(rate({relay('unmatched_total', over='$__rate_interval')}))", "unmatched"),
            unit="ops",
            none="no relay answers",
            width=8,
        ),
        lines(
            "Backlog, of its limit",
            "Deliveries waiting against `--max-backlog`. At 100 % webhooks are refused with 503: mend or pause nothing, "
            "make the destinations take more, or raise the limit as far as the disk allows.",
            "WizaRelayBacklogNearLimit",
            query(
                f"sum by ({PROCESS}) ({relay('waiting')}) / on ({PROCESS}) {relay('backlog_limit')}",
                "{{instance}}",
            ),
            unit="percentunit",
            none="no destinations",
            width=8,
            thresholds=steps("transparent", (0.5, SOON), (0.8, BAD)),
        ),
    ]


def store():
    """Does the disk hold?"""
    return [
        lines(
            "Time of a commit",
            "One transaction, fsync included. Webhooks wait for it. A healthy disk takes milliseconds; tens of them for "
            "long: a slow or busy volume.",
            "WizaRelayAnswersSlow",
            *quantiles("store_commit_seconds", shares=(0.5, 0.9, 0.99)),
            unit="s",
            none="nothing written",
            log=True,
        ),
        lines(
            "Size",
            "Bytes of the store's files, and `retention.size` (no line: no limit). Above the limit stands only what may not"
            " be deleted: a backlog, dead and parked deliveries. The file does not shrink.",
            "WizaRelayStoreOverLimit",
            query(f"sum by (instance) ({relay('store_bytes')})", "{{instance}}"),
            query(f"max({relay('store_limit_bytes')}) > 0", "limit"),
            unit="bytes",
            none="no relay answers",
            overrides=[dashed("limit")],
        ),
        lines(
            "Free on its file system",
            "What the disk has left, and it is all that stands between the relay and 503. The alarms come when it would be full within "
            "four hours at the last hour's pace, or within three days at that of six hours, or has less than 256 MiB.",
            "WizaRelayDiskFilling",
            query(f"min by (instance) ({relay('store_available_bytes')})", "{{instance}}"),
            unit="bytes",
            none="no relay answers",
        ),
        lines(
            "Errors",
            "Reads and writes that failed, a second. write: webhooks get 503 until it heals. read: a listing, a retry or a "
            "scrape had to go without.",
            "WizaRelayStoreErrors",
            query(per_second("store_errors_total", "operation"), "{{operation}}"),
            unit="ops",
            none="no relay answers",
            bars=True,
        ),
    ]


def process_and_runtime():
    """Is the process itself well?"""
    busy = f"{per_second('tokio_busy_seconds_total', PROCESS)} / on ({PROCESS}) {relay('tokio_workers')}"
    version = f"({process('start_time_seconds')}) * on ({PROCESS}) group_left (version) {relay('build_info')}"
    return [
        lines(
            "Processor",
            "Cores in use. An event with three deliveries costs about 0.3 ms.",
            "Sizing",
            query(process("cpu_seconds_total", over="$__rate_interval"), "{{instance}}"),
            unit="short",
            none="no relay answers",
            width=8,
        ),
        lines(
            "Memory",
            "Resident. It does not follow the backlog: about 30 MiB, and what *Sizing* lists. One that climbs for days is a"
            " bug to report.",
            "Sizing",
            query(process("resident_memory_bytes"), "{{instance}}"),
            unit="bytes",
            none="no relay answers",
            width=8,
        ),
        lines(
            "File descriptors, of their limit",
            "Open files and connections against `ulimit -n`. At 100 % connections fail, in and out.",
            "WizaRelayFileDescriptorsNearLimit",
            query(
                f"process_open_fds{{{RELAY}}} / process_max_fds{{{RELAY}}} and on ({PROCESS}) {relay('build_info')}",
                "{{instance}}",
            ),
            unit="percentunit",
            none="no relay answers",
            width=8,
            thresholds=steps("transparent", (0.8, BAD)),
        ),
        lines(
            "Runtime, busy",
            "How much of their time the runtime's threads work. Near 100 % everything waits for the processor: give it more cores.",
            "WizaRelayRuntimeSaturated",
            query(busy, "{{instance}}"),
            unit="percentunit",
            none="no relay answers",
            width=8,
            thresholds=steps("transparent", (0.9, BAD)),
        ),
        lines(
            "Runtime, tasks",
            "Tasks alive (connections, lanes, attempts), and those that wait in the runtime's queue for a thread. A queue "
            "that stays: as *Runtime, busy*.",
            "WizaRelayRuntimeSaturated",
            query(f"sum({relay('tokio_alive_tasks')})", "alive"),
            query(f"sum({relay('tokio_global_queue_depth')})", "queued"),
            unit="short",
            none="no relay answers",
            width=8,
            overrides=[override("alive", color=fixed(SKY)), override("queued", color=fixed(ORANGE))],
        ),
        lines(
            "Uptime and version",
            "Since the start of the process. Every fall to zero is a restart, planned or not: what was acknowledged is on "
            "the disk, and goes on.",
            "WizaRelayRestartsOften",
            query(f"time() - ({version})", "{{instance}}, version {{version}}"),
            unit="s",
            none="no relay answers",
            width=8,
        ),
        lines(
            "Spans of traces",
            "What became of them, a second; none where traces are off. failed: the collector did not take them. dropped: more came "
            "than it takes. Both are lost for good, and nothing else is: deliveries do not wait for a collector.",
            "Traces",
            query(per_second("spans_total", "outcome"), "{{outcome}}"),
            unit="ops",
            none="no relay answers",
            width=24,
        ),
    ]
