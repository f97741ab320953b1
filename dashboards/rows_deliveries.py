"""The rows about deliveries: what became of them, at which destination, and why."""

from look import (
    BAD,
    GREY,
    HELD_WORDS,
    ORANGE,
    SKY,
    SOON,
    VERMILION,
    WELL,
    YELLOW,
    fixed,
    lines,
    override,
    query,
    stat,
    states,
    steps,
    table,
    words,
)
from queries import PROCESS, destination, oldest, per_second, quantiles, recorded, relay

# planned + redriven = delivered + dead + waiting + parked, for every destination at every moment.
DIFFERENCE = (
    f"sum(abs({relay('planned_total')} + {relay('redriven_total')}"
    f" - sum without (outcome) ({relay('deliveries_total')}) - {relay('waiting')} - {relay('parked')}))"
)

# One number for what holds a destination back, the gravest where there are several: look.HELD_WORDS.
HELD = "max by (destination) ({} or 2 * {} or 3 * {} or 4 * {})".format(
    *(destination("held", reason=reason) for reason in ("retry_after", "paused", "circuit|refusals", "gone"))
)


def of_each(metric, last_over=""):
    """A metric of each relay, whatever its address; or the last that was known of it."""
    series = f"last_over_time({relay(metric, over=last_over)})" if last_over else relay(metric)
    return f"max by (cluster, namespace, job) ({series})"


def answers():
    """Is anything lost, late or stuck?"""
    return [
        stat(
            "Receiving",
            "Whether a webhook that comes now would be stored. If not, Wiza tries each three more times: from now on events"
            " are lost before they reach the relay. `/readyz?verbose` on the admin port says why. No answer: the process is"
            " gone, or Prometheus does not reach it.",
            "WizaRelayNotReady",
            # One that was there within a day and is gone counts, though others answer.
            f"min({of_each('ready')} or -1 + 0 * {of_each('ready', last_over='1d')})",
            thresholds=steps(BAD, (1, WELL)),
            mapping={-1: ("NO ANSWER", BAD), 0: ("NOT READY", BAD), 1: ("ready", WELL)},
            none=("no relay answers", BAD),
        ),
        stat(
            "Books",
            "planned + redriven - delivered - dead - waiting - parked, over all destinations, and 1 for each relay that found its books "
            "wrong when it last walked its store (once a day). Anything but 0 is a delivery lost or counted twice: keep the evidence "
            "as the runbook says. `wiza-relay audit` walks it now.",
            "WizaRelayBooksDoNotBalance",
            f"{DIFFERENCE} + (sum(1 - {relay('audit_last_balanced')}) or vector(0))",
            thresholds=steps(WELL, (0.5, BAD)),
            mapping={0: ("balance", WELL)},
        ),
        stat(
            "Dead letters, new",
            "Deliveries given up in the time shown. They are kept, with the reason: mend the cause, then redrive them.",
            "WizaRelayDeadLetters",
            f"round(sum(increase({relay('deliveries_total', outcome='dead', over='$__range')})))",
            thresholds=steps(WELL, (0.5, BAD)),
            mapping={0: ("none", WELL)},
            decimals=0,
        ),
        stat(
            "Oldest waiting",
            "The age, since its receipt, of the oldest delivery that waits, over all destinations; what is parked does not count. An "
            "hour is the alarm's threshold; the table below says whose it is.",
            "WizaRelayQueueTooOld",
            f"max({oldest()})",
            unit="s",
            thresholds=steps(WELL, (900, SOON), (3600, BAD)),
            mapping={0: ("nothing waits", WELL)},
        ),
        stat(
            "Deliveries waiting",
            "Planned or to be repeated, of all destinations. It grows while one is held back, which by itself loses "
            "nothing; what counts is its age, and the backlog against its limit under *Receiving*.",
            "WizaRelayQueueTooOld",
            f"sum({relay('waiting')})",
            thresholds=steps(WELL, (1, SKY)),
            mapping={0: ("none", WELL)},
        ),
        stat(
            "Destinations held back",
            "How many get nothing now: the breaker is open, it answered 410, somebody paused it, or it asked for a rest "
            "(Retry-After). Their deliveries wait and use up no attempts.",
            "WizaRelayCircuitOpen",
            f"sum(max by ({PROCESS}, destination) ({relay('held')}))",
            thresholds=steps(WELL, (1, SOON)),
            mapping={0: ("none", WELL)},
            none=("no destinations", GREY),
        ),
        stat(
            "Webhooks refused",
            "Answered 503, 408, 413 or 400 in the time shown. Wiza tries again up to three times; what it then gives up is "
            "lost. The panel *Webhooks* says which of them it was.",
            "WizaRelayWebhooksRefused",
            f"round(sum(increase({relay('webhooks_total', outcome='unavailable|timeout|too_large|invalid', over='$__range')})))",
            thresholds=steps(WELL, (0.5, BAD)),
            mapping={0: ("none", WELL)},
            height=3,
            decimals=0,
        ),
        stat(
            "Wrong keys",
            "Answered 401 or 429 in the time shown. Strangers, or Wiza with a key that is not in the file: then `accepted` "
            "has stopped, and events are lost.",
            "WizaRelayWrongKeys",
            f"round(sum(increase({relay('webhooks_total', outcome='unauthorized|limited', over='$__range')})))",
            thresholds=steps(WELL, (0.5, SOON)),
            mapping={0: ("none", WELL)},
            height=3,
            decimals=0,
        ),
        stat(
            "Parked",
            "Deliveries whose destination is not in the rules any more. They wait for its name to come back, and are never "
            "deleted.",
            "WizaRelayDeliveriesParked",
            f"sum({relay('parked')})",
            thresholds=steps(WELL, (1, SOON)),
            mapping={0: ("none", WELL)},
            none=("no destinations", GREY),
            height=3,
        ),
        stat(
            "Delivered in 5 minutes",
            "Of what was delivered in the time shown, how much took at most five minutes from its receipt, over all "
            "attempts: the objective is 99 %. What still waits or has died is not in it.",
            "The objective",
            f"sum(increase({relay('delivery_seconds_bucket', le='300([.]0)?', over='$__range')})) / sum(increase({relay('delivery_seconds_count', over='$__range')}))",
            unit="percentunit",
            thresholds=steps(BAD, (0.99, SOON), (0.999, WELL)),
            none=("nothing delivered", GREY),
            height=3,
            decimals=2,
        ),
        stat(
            "Rules",
            "Whether the last routes.yaml was taken. If it was refused, the old rules go on and nothing is lost, but a "
            "restart now would not start.",
            "WizaRelayRulesRefused",
            f"min({relay('config_last_reload_successful')})",
            thresholds=steps(BAD, (1, WELL)),
            mapping={0: ("file REFUSED", BAD), 1: ("in effect", WELL)},
            height=3,
        ),
        stat(
            "Store errors",
            "Reads and writes that the store could not do in the time shown. A full disk heals by itself once there is "
            "room; after a failed fsync the relay waits for a restart.",
            "WizaRelayStoreErrors",
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
    kept = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "cluster", "namespace", "job", "instance", "runbooks"))
    alone = f"/d/wiza-relay?${{__url_time_range}}&{kept}&var-destination=${{__value.text}}"
    only = [{"title": "This destination alone", "url": alone, "targetBlank": False}]
    columns = {
        "Now": (HELD, {"mappings": words(HELD_WORDS), "custom__cellOptions": {"type": "color-background", "mode": "basic"}}),
        "Waiting": (f"sum by (destination) ({destination('waiting')})", cell(unit="short", thresholds=steps("text", (1, SKY)))),
        "Oldest": (
            f"max by (destination) ({oldest(destination)})",
            cell(unit="s", thresholds=steps("text", (900, SOON), (3600, BAD))),
        ),
        "Delivered": (
            f"round(sum by (destination) (increase({destination('deliveries_total', outcome='delivered', over=ranged)})))",
            cell(unit="short"),
        ),
        "Attempts failed": (
            f"{failed} / {attempts}",
            cell(unit="percentunit", decimals=1, noValue="-", thresholds=steps("text", (0.01, SOON), (0.2, BAD))),
        ),
        "To delivery, p99": (late, cell(unit="s", noValue="-")),
        "Dead, new": (
            f"round(sum by (destination) (increase({destination('deliveries_total', outcome='dead', over=ranged)})))",
            cell(unit="short", thresholds=steps("text", (0.5, BAD))),
        ),
        "Dead, kept": (
            f"sum by (destination) ({destination('dead_letters')})",
            cell(unit="short", thresholds=steps("text", (1, SOON))),
        ),
    }
    made = table(
        "Destinations",
        "One line a destination. A click on its name shows it alone. *Now* is what holds it back; the columns to the right "
        "of *Oldest* are of the time shown.",
        "WizaRelayCircuitOpen",
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
            "Each destination over time. The breaker opens after ten failures in a row or refused credentials, and lets one"
            " probe go every 30 seconds; 410 and a pause end only by `wiza-relay resume`.",
            "WizaRelayCircuitOpen",
            HELD,
            "{{destination}}",
            HELD_WORDS,
            none="no destinations",
            width=10,
            height=8,
        ),
        lines(
            "Waiting, by destination",
            "Deliveries that have not ended. One line that climbs is one destination's trouble; all that climb together "
            "point at the relay or its network.",
            "WizaRelayQueueTooOld",
            query(f"sum by (destination) ({destination('waiting')})", "{{destination}}"),
            unit="short",
            none="no destinations",
            width=8,
        ),
        lines(
            "Delivered, by destination",
            "Deliveries a second that arrived. One line that falls while the others stay is one destination's trouble.",
            "WizaRelayCircuitOpen",
            query(
                f"sum by (destination) (rate({destination('deliveries_total', outcome='delivered', over='$__rate_interval')}))",
                "{{destination}}",
            ),
            unit="ops",
            none="no destinations",
            width=8,
        ),
        lines(
            "Late, of what was due",
            "In the hour before: the share that took more than five minutes, died, or still waits. It is what the alarm goes by: "
            "with an objective of 99 %, 14.4 % is a page.",
            "WizaRelayDeliveriesLate",
            query(f"{recorded('late:increase1h')} / ({recorded('due:increase1h')} > 0)", "{{destination}}"),
            unit="percentunit",
            none="nothing was due, or Prometheus has not alerts/rules.yaml",
            width=8,
        ),
    ]


def one_destination():
    """How is this one? Repeated for every chosen destination."""
    return [
        lines(
            "Deliveries",
            "What rules planned, and what attempts led to, a second. *retried* will be tried again; *dead* was given up. "
            "Planned above delivered for long: it takes less than comes.",
            "WizaRelayCircuitOpen",
            query(f"sum(rate({destination('planned_total', over='$__rate_interval')}))", "planned"),
            query(per_second("attempts_total", "result", destination), "{{result}}"),
            unit="ops",
            none="not a destination",
        ),
        lines(
            "Failed attempts, by reason",
            "Attempts a second that did not deliver. credentials: mend the token. client_error: it refuses the request's "
            "shape. server_error, timeout, connection: it is down or slow. unrenderable: a template lacks something of the "
            "event. `wiza-relay deliveries --status retrying` has the replies.",
            "WizaRelayDeadLetters",
            query(f"{per_second('attempt_failures_total', 'reason', destination)} > 0", "{{reason}}"),
            unit="ops",
            none="no attempt failed",
            stacked=True,
            bars=True,
        ),
        lines(
            "Time of an attempt",
            "From sending to the reply. Near `timeout`: it is too slow, and is given up on though it may have done the work.",
            "WizaRelayCircuitOpen",
            *quantiles("attempt_seconds", destination, (0.5, 0.9, 0.99)),
            unit="s",
            none="no attempts",
            log=True,
        ),
        lines(
            "Receipt to delivery",
            "From Wiza's webhook to this destination's 2xx, over all attempts. Far above the time of an attempt: deliveries"
            " wait, for the breaker, the rate limit or a retry.",
            "WizaRelayDeliveriesLate",
            *quantiles("delivery_seconds", destination, (0.5, 0.9, 0.99)),
            unit="s",
            none="nothing delivered",
            log=True,
        ),
        lines(
            "Waiting, and in flight",
            "Deliveries that have not ended, and the attempts under way (at most `concurrency`). Many waiting, none in "
            "flight: it is held back.",
            "WizaRelayQueueTooOld",
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
            "How long the oldest delivery that waits has done so, since its receipt. The dashed lines: a quarter of an hour, and the "
            "alarm's hour.",
            "WizaRelayQueueTooOld",
            query(f"max({oldest(destination)})", "oldest"),
            unit="s",
            none="not a destination",
            overrides=[override("oldest", color=fixed(SKY))],
            thresholds=steps("transparent", (900, SOON), (3600, BAD)),
        ),
        states(
            "Held back, by reason",
            "Which reasons hold it back: several can at once. circuit and refusals end by themselves with the first probe that succeeds, "
            "retry_after at its time; gone and paused end by `wiza-relay resume`.",
            "WizaRelayCircuitOpen",
            f"max by (reason) ({destination('held')})",
            "{{reason}}",
            {0: ("no", "transparent"), 1: ("held", ORANGE)},
            none="not a destination",
            width=6,
        ),
        lines(
            "Dead letters",
            "New ones a minute, and how many are kept. They are deleted after `retention.dead`; `wiza-relay redrive` sends "
            "them again.",
            "WizaRelayDeadLetters",
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
