"""What the dashboard shows, row by row, in the order in which somebody reads it at three in the morning."""

from look import BAD, GREY, HELD_WORDS, ORANGE, SKY, SOON, VERMILION, WELL, YELLOW, dashed, fixed, lines, override, query, stat, states, steps, table, words

RELAY = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'


def relay(metric, over="", **labels):
    """A metric of the chosen relays; `over` is the time of a range, and a label's value with a | in it is a pattern."""
    matchers = [name + ("=~" if "|" in value or "$" in value else "=") + f'"{value}"' for name, value in labels.items()]
    window = f"[{over}]" if over else ""
    return f"wiza_relay_{metric}{{{', '.join([*matchers, RELAY])}}}{window}"


def destination(metric, over="", **labels):
    """The same of the chosen destinations."""
    return relay(metric, over, destination="$destination", **labels)


def process(metric, over=""):
    """A figure of the process itself. These have no prefix, so other programs have them too: only those of relays."""
    window = f"[{over}]" if over else ""
    plain = f"process_{metric}{{{RELAY}}}{window}"
    measured = f"rate({plain})" if over else plain
    return f"{measured} and on (namespace, job, instance) {relay('build_info')}"


def per_second(metric, by, of=relay):
    return f"sum by ({by}) (rate({of(metric, over='$__rate_interval')}))"


def quantile(share, metric, of=relay):
    return f"histogram_quantile({share}, sum by (le) (rate({of(metric + '_bucket', over='$__rate_interval')})))"


def quantiles(metric, of=relay, shares=(0.5, 0.99)):
    return [query(quantile(share, metric, of), f"p{share * 100:.0f}") for share in shares]


# planned + redriven = delivered + dead + waiting + parked, for every destination at every moment.
DIFFERENCE = (
    f"sum(abs({relay('planned_total')} + {relay('redriven_total')}"
    f" - sum without (outcome) ({relay('deliveries_total')}) - {relay('waiting')} - {relay('parked')}))"
)

# One number for what holds a destination back, the gravest where there are several: look.HELD_WORDS.
HELD = "max by (destination) ({} or 2 * {} or 3 * {} or 4 * {})".format(
    *(destination("held", reason=reason) for reason in ("retry_after", "paused", "circuit", "gone"))
)


def answers():
    """Is anything lost, late or stuck?"""
    return [
        stat(
            "Receiving",
            "Whether a webhook that comes now would be stored. If not, Wiza tries each three more times: from now on events are lost before they reach the relay. `/readyz?verbose` on the admin port says why. No answer: the process is gone, or Prometheus does not reach it.",
            "RelayNotReady",
            f"min({relay('ready')})",
            thresholds=steps(BAD, (1, WELL)),
            mapping={0: ("NOT READY", BAD), 1: ("ready", WELL)},
            none=("no relay answers", BAD),
        ),
        stat(
            "Books",
            "planned + redriven - delivered - dead - waiting - parked, over all destinations. Anything but 0 is a delivery lost or counted twice: keep the evidence as the runbook says. The figures come from the store in one look; `wiza-relay audit` walks every single delivery.",
            "BooksDoNotBalance",
            DIFFERENCE,
            thresholds=steps(WELL, (0.5, BAD)),
            mapping={0: ("nothing lost", WELL)},
        ),
        stat(
            "Dead letters, new",
            "Deliveries given up in the time shown. They are kept, with the reason: mend the cause, then redrive them.",
            "DeadLettersGrowing",
            f"round(sum(increase({relay('deliveries_total', outcome='dead', over='$__range')})))",
            thresholds=steps(WELL, (0.5, BAD)),
            mapping={0: ("none", WELL)},
            decimals=0,
        ),
        stat(
            "Oldest waiting",
            "The age of the oldest delivery that has not ended, over all destinations. An hour is the alarm's threshold; the table below says whose it is.",
            "QueueTooOld",
            f"max({relay('queue_oldest_seconds')})",
            unit="s",
            thresholds=steps(WELL, (900, SOON), (3600, BAD)),
            mapping={0: ("nothing waits", WELL)},
        ),
        stat(
            "Deliveries waiting",
            "Planned or to be repeated, of all destinations. It grows while one is held back, which by itself loses nothing; what counts is its age, and the backlog against its limit under *Receiving*.",
            "QueueTooOld",
            f"sum({relay('waiting')})",
            thresholds=steps(WELL, (1, SKY)),
            mapping={0: ("none", WELL)},
        ),
        stat(
            "Destinations held back",
            "How many get nothing now: the breaker is open, it answered 410, somebody paused it, or it asked for a rest (Retry-After). Their deliveries wait and use up no attempts.",
            "CircuitOpen",
            f"sum(max by (namespace, job, instance, destination) ({relay('held')}))",
            thresholds=steps(WELL, (1, SOON)),
            mapping={0: ("none", WELL)},
            none=("no destinations", GREY),
        ),
        stat(
            "Webhooks refused",
            "Answered 503, 408, 413 or 400 in the time shown. Wiza tries again up to three times; what it then gives up is lost. The panel *Webhooks* says which of them it was.",
            "WebhooksRefused",
            f"round(sum(increase({relay('webhooks_total', outcome='unavailable|timeout|too_large|invalid', over='$__range')})))",
            thresholds=steps(WELL, (0.5, BAD)),
            mapping={0: ("none", WELL)},
            height=3,
            decimals=0,
        ),
        stat(
            "Wrong keys",
            "Answered 401 or 429 in the time shown. Strangers, or Wiza with a key that is not in the file: then `accepted` has stopped, and events are lost.",
            "WrongKeys",
            f"round(sum(increase({relay('webhooks_total', outcome='unauthorized|limited', over='$__range')})))",
            thresholds=steps(WELL, (0.5, SOON)),
            mapping={0: ("none", WELL)},
            height=3,
            decimals=0,
        ),
        stat(
            "Parked",
            "Deliveries whose destination is not in the rules any more. They wait for its name to come back, and are never deleted.",
            "DeliveriesParked",
            f"sum({relay('parked')})",
            thresholds=steps(WELL, (1, SOON)),
            mapping={0: ("none", WELL)},
            none=("no destinations", GREY),
            height=3,
        ),
        stat(
            "Delivered within a minute",
            "Of what was delivered in the time shown, how much took at most a minute from its receipt, over all attempts. What still waits is not in it.",
            "QueueTooOld",
            f"sum(increase({relay('delivery_seconds_bucket', le='60', over='$__range')})) / sum(increase({relay('delivery_seconds_count', over='$__range')}))",
            unit="percentunit",
            thresholds=steps(BAD, (0.95, SOON), (0.999, WELL)),
            none=("nothing delivered", GREY),
            height=3,
            decimals=2,
        ),
        stat(
            "Rules",
            "Whether the last routes.yaml was taken. If it was refused, the old rules go on and nothing is lost, but a restart now would not start.",
            "RulesRefused",
            f"min({relay('config_last_reload_successful')})",
            thresholds=steps(BAD, (1, WELL)),
            mapping={0: ("file REFUSED", BAD), 1: ("in effect", WELL)},
            height=3,
        ),
        stat(
            "Store errors",
            "Reads and writes that the store could not do in the time shown. A full disk heals by itself once there is room; after a failed fsync the relay waits for a restart.",
            "StoreCannotWrite",
            f"round(sum(increase({relay('store_errors_total', over='$__range')})))",
            thresholds=steps(WELL, (0.5, BAD)),
            mapping={0: ("none", WELL)},
            height=3,
            decimals=0,
        ),
    ]


def destinations():
    """Which destination is it?"""
    ranged = "$__range"
    attempts = f"sum by (destination) (increase({destination('attempts_total', over=ranged)}))"
    failed = f"sum by (destination) (increase({destination('attempts_total', result='retried|dead', over=ranged)}))"
    late = f"histogram_quantile(0.99, sum by (destination, le) (increase({destination('delivery_seconds_bucket', over=ranged)})))"

    def cell(**properties):
        return {"custom__cellOptions": {"type": "color-text"}, **properties}

    # The name leads to this destination alone.
    alone = "/d/wiza-relay?${__url_time_range}&${datasource:queryparam}&${namespace:queryparam}&${job:queryparam}&${instance:queryparam}&${runbooks:queryparam}&var-destination=${__value.text}"
    only = [{"title": "This destination alone", "url": alone, "targetBlank": False}]
    columns = {
        "Now": (HELD, {"mappings": words(HELD_WORDS), "custom__cellOptions": {"type": "color-background", "mode": "basic"}}),
        "Waiting": (f"sum by (destination) ({destination('waiting')})", cell(unit="short", thresholds=steps("text", (1, SKY)))),
        "Oldest": (f"max by (destination) ({destination('queue_oldest_seconds')})", cell(unit="s", thresholds=steps("text", (900, SOON), (3600, BAD)))),
        "Delivered": (f"round(sum by (destination) (increase({destination('deliveries_total', outcome='delivered', over=ranged)})))", cell(unit="short")),
        "Attempts failed": (f"{failed} / {attempts}", cell(unit="percentunit", decimals=1, noValue="-", thresholds=steps("text", (0.01, SOON), (0.2, BAD)))),
        "Receipt to delivery, p99": (late, cell(unit="s", noValue="-")),
        "Dead, new": (f"round(sum by (destination) (increase({destination('deliveries_total', outcome='dead', over=ranged)})))", cell(unit="short", thresholds=steps("text", (0.5, BAD)))),
        "Dead, kept": (f"sum by (destination) ({destination('dead_letters')})", cell(unit="short", thresholds=steps("text", (1, SOON)))),
    }
    made = table(
        "Destinations",
        "One line a destination. A click on its name shows it alone. *Now* is what holds it back; the columns to the right of *Oldest* are of the time shown.",
        "CircuitOpen",
        columns,
        key="destination",
        none="no destinations",
        width=14,
        height=8,
    )
    made["fieldConfig"]["overrides"].append(override("Destination", links=only))
    return [
        made,
        states(
            "Held back, when and why",
            "Each destination over time. The breaker opens after ten failures in a row or refused credentials, and lets one probe go every 30 seconds; 410 and a pause end only by `wiza-relay resume`.",
            "CircuitOpen",
            HELD,
            "{{destination}}",
            HELD_WORDS,
            none="no destinations",
            width=10,
            height=8,
        ),
        lines(
            "Waiting, by destination",
            "Deliveries that have not ended. One line that climbs is one destination's trouble; all that climb together point at the relay or its network.",
            "QueueTooOld",
            query(f"sum by (destination) ({destination('waiting')})", "{{destination}}"),
            unit="short",
            none="no destinations",
            width=12,
        ),
        lines(
            "Delivered, by destination",
            "Deliveries a second that arrived. One line that falls while the others stay is one destination's trouble.",
            "CircuitOpen",
            query(f"sum by (destination) (rate({destination('deliveries_total', outcome='delivered', over='$__rate_interval')}))", "{{destination}}"),
            unit="ops",
            none="no destinations",
            width=12,
        ),
    ]


def one_destination():
    """How is this one? Repeated for every chosen destination."""
    return [
        lines(
            "Deliveries",
            "What rules planned, and what attempts led to, a second. *retried* will be tried again; *dead* was given up. Planned above delivered for long: it takes less than comes.",
            "CircuitOpen",
            query(f"sum(rate({destination('planned_total', over='$__rate_interval')}))", "planned"),
            query(per_second("attempts_total", "result", destination), "{{result}}"),
            unit="ops",
            none="not a destination",
        ),
        lines(
            "Failed attempts, by reason",
            "Attempts a second that did not deliver. credentials: mend the token. client_error: it refuses the request's shape. server_error, timeout, connection: it is down or slow. unrenderable: a template lacks something of the event. `wiza-relay deliveries --status retrying` has the replies.",
            "DeadLettersGrowing",
            query(f"{per_second('attempt_failures_total', 'reason', destination)} > 0", "{{reason}}"),
            unit="ops",
            none="no attempt failed",
            stacked=True,
            bars=True,
        ),
        lines(
            "Time of an attempt",
            "From sending to the reply. Near `timeout`: it is too slow, and is given up on though it may have done the work.",
            "CircuitOpen",
            *quantiles("attempt_seconds", destination, (0.5, 0.9, 0.99)),
            unit="s",
            none="no attempts",
            log=True,
        ),
        lines(
            "Receipt to delivery",
            "From Wiza's webhook to this destination's 2xx, over all attempts. Far above the time of an attempt: deliveries wait, for the breaker, the rate limit or a retry.",
            "QueueTooOld",
            *quantiles("delivery_seconds", destination, (0.5, 0.9, 0.99)),
            unit="s",
            none="nothing delivered",
            log=True,
        ),
        lines(
            "Waiting, and in flight",
            "Deliveries that have not ended, and the attempts under way (at most `concurrency`). Many waiting, none in flight: it is held back.",
            "QueueTooOld",
            query(f"sum({destination('waiting')})", "waiting"),
            query(f"sum({destination('in_flight')})", "in flight"),
            unit="short",
            none="not a destination",
            overrides=[
                override("waiting", color=fixed(SKY)),
                override("in flight", color=fixed(ORANGE), custom__axisPlacement="right", custom__fillOpacity=0),
            ],
        ),
        lines(
            "Age of the oldest",
            "How long the oldest delivery that has not ended has waited. The dashed lines: a quarter of an hour, and the alarm's hour.",
            "QueueTooOld",
            query(f"max({destination('queue_oldest_seconds')})", "oldest"),
            unit="s",
            none="not a destination",
            overrides=[override("oldest", color=fixed(SKY))],
            thresholds=steps("transparent", (900, SOON), (3600, BAD)),
        ),
        states(
            "Held back, by reason",
            "Which reasons hold it back: several can at once. circuit ends by itself with the first probe that succeeds, retry_after at its time; gone and paused end by `wiza-relay resume`.",
            "CircuitOpen",
            f"max by (reason) ({destination('held')})",
            "{{reason}}",
            {0: ("no", "transparent"), 1: ("held", ORANGE)},
            none="not a destination",
            width=6,
        ),
        lines(
            "Dead letters",
            "New ones a minute, and how many are kept. They are deleted after `retention.dead`; `wiza-relay redrive` sends them again.",
            "DeadLettersGrowing",
            query(f"60 * sum(rate({destination('deliveries_total', outcome='dead', over='$__rate_interval')}))", "new a minute"),
            query(f"sum({destination('dead_letters')})", "kept"),
            unit="short",
            none="not a destination",
            overrides=[
                override("new a minute", color=fixed(VERMILION), custom__drawStyle="bars", custom__fillOpacity=80),
                override("kept", color=fixed(YELLOW), custom__axisPlacement="right", custom__fillOpacity=0),
            ],
        ),
    ]


def receiving():
    """Does everything that Wiza sends come in?"""
    duplicate = f"sum(rate({relay('webhooks_total', outcome='duplicate', over='$__rate_interval')}))"
    return [
        lines(
            "Webhooks",
            "A second, by what became of them. accepted and duplicate were answered 200. A flat zero: nobody reveals anything, or the way in is broken; play Wiza with `wiza-relay send`.",
            "NoWebhooks",
            query(per_second("webhooks_total", "outcome"), "{{outcome}}"),
            unit="reqps",
            none="no relay answers",
            width=8,
            stacked=True,
        ),
        lines(
            "Time to the 200",
            "From a webhook's headers to its 200; a commit to disk is in it. If it climbs with *Time of a commit*, the disk is slow.",
            "RelayNotReady",
            *quantiles("ack_seconds", shares=(0.5, 0.9, 0.99)),
            unit="s",
            none="no webhooks",
            width=8,
            log=True,
        ),
        lines(
            "Connections",
            "Open webhook connections, and their share of `--max-connections`. At the limit further ones wait in the kernel's queue, and Wiza may time out.",
            "WebhooksRefused",
            query(f"sum({relay('connections')})", "open"),
            query(f"max({relay('connections')} / {relay('connections_limit')})", "of the limit"),
            unit="short",
            none="no relay answers",
            width=8,
            overrides=[
                override("open", color=fixed(SKY)),
                override("of the limit", color=fixed(ORANGE), unit="percentunit", max=1, custom__axisPlacement="right", custom__fillOpacity=0),
            ],
        ),
        lines(
            "Events by route",
            "A second that each route matched, shadow routes included. A route that falls to zero after a reload: look at its `when` with `wiza-relay explain`.",
            "RulesRefused",
            query(per_second("route_matches_total", "route"), "{{route}}"),
            unit="ops",
            none="no routes",
            width=8,
        ),
        lines(
            "Twice, or for nobody",
            "Webhooks a second that Wiza repeated (answered 200, stored once), and events that no route took (kept; `wiza-relay events --status unmatched`). Many duplicates: Wiza does not get its 200 in time.",
            "See what waits and what died",
            query(duplicate, "duplicate"),
            query(f"sum(rate({relay('unmatched_total', over='$__rate_interval')}))", "unmatched"),
            unit="ops",
            none="no relay answers",
            width=8,
        ),
        lines(
            "Backlog, of its limit",
            "Deliveries waiting against `--max-backlog`. At 100 % webhooks are refused with 503: mend or pause nothing, make the destinations take more, or raise the limit as far as the disk allows.",
            "QueueTooOld",
            query(f"sum by (namespace, job, instance) ({relay('waiting')}) / on (namespace, job, instance) {relay('backlog_limit')}", "{{instance}}"),
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
            "One transaction, fsync included. Webhooks wait for it. A healthy disk takes milliseconds; tens of them for long: a slow or busy volume.",
            "StoreCannotWrite",
            *quantiles("store_commit_seconds", shares=(0.5, 0.9, 0.99)),
            unit="s",
            none="nothing written",
            log=True,
        ),
        lines(
            "Size",
            "Bytes of the store's files, and `retention.size` (no line: no limit). Above the limit stands only what may not be deleted: a backlog, dead and parked deliveries. The file does not shrink.",
            "StoreNearLimit",
            query(f"sum by (instance) ({relay('store_bytes')})", "{{instance}}"),
            query(f"max({relay('store_limit_bytes')}) > 0", "limit"),
            unit="bytes",
            none="no relay answers",
            overrides=[dashed("limit")],
        ),
        lines(
            "Free on its file system",
            "What the disk has left, and it is all that stands between the relay and 503. The alarm comes when it would be full within a day at the pace of the last hours.",
            "StoreNearLimit",
            query(f"min by (instance) ({relay('store_available_bytes')})", "{{instance}}"),
            unit="bytes",
            none="no relay answers",
        ),
        lines(
            "Errors",
            "Reads and writes that failed, a second. write: webhooks get 503 until it heals. read: a listing, a retry or a scrape had to go without.",
            "StoreCannotWrite",
            query(per_second("store_errors_total", "operation"), "{{operation}}"),
            unit="ops",
            none="no relay answers",
            bars=True,
        ),
    ]


def process_and_runtime():
    """Is the process itself well?"""
    busy = f"{per_second('tokio_busy_seconds_total', 'namespace, job, instance')} / on (namespace, job, instance) {relay('tokio_workers')}"
    version = f"({process('start_time_seconds')}) * on (namespace, job, instance) group_left (version) {relay('build_info')}"
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
            "Resident. It does not follow the backlog: about 30 MiB, and what *Sizing* lists. One that climbs for days is a bug to report.",
            "Sizing",
            query(process("resident_memory_bytes"), "{{instance}}"),
            unit="bytes",
            none="no relay answers",
            width=8,
        ),
        lines(
            "File descriptors, of their limit",
            "Open files and connections against `ulimit -n`. At 100 % connections fail, in and out.",
            "Sizing",
            query(f"process_open_fds{{{RELAY}}} / process_max_fds{{{RELAY}}} and on (namespace, job, instance) {relay('build_info')}", "{{instance}}"),
            unit="percentunit",
            none="no relay answers",
            width=8,
            thresholds=steps("transparent", (0.8, BAD)),
        ),
        lines(
            "Runtime, busy",
            "How much of their time the runtime's threads work. Near 100 % everything waits for the processor: give it more cores.",
            "Sizing",
            query(busy, "{{instance}}"),
            unit="percentunit",
            none="no relay answers",
            width=8,
            thresholds=steps("transparent", (0.8, BAD)),
        ),
        lines(
            "Runtime, tasks",
            "Tasks alive (connections, lanes, attempts), and those that wait in the runtime's queue for a thread. A queue that stays: as *Runtime, busy*.",
            "Sizing",
            query(f"sum({relay('tokio_alive_tasks')})", "alive"),
            query(f"sum({relay('tokio_global_queue_depth')})", "queued"),
            unit="short",
            none="no relay answers",
            width=8,
            overrides=[override("alive", color=fixed(SKY)), override("queued", color=fixed(ORANGE))],
        ),
        lines(
            "Uptime and version",
            "Since the start of the process. Every fall to zero is a restart, planned or not: what was acknowledged is on the disk, and goes on.",
            "RelayNotReady",
            query(f"time() - ({version})", "{{instance}}, version {{version}}"),
            unit="s",
            none="no relay answers",
            width=8,
        ),
    ]
