"""How a query is written: the metrics of the chosen relays and destinations, and what is usually asked of them."""

from look import query

RELAY = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job", instance=~"$instance"'
# By which one process is told from all others; a label that a set-up does not have does no harm.
PROCESS = "cluster, namespace, job, instance"


def relay(metric, over="", **labels):
    """A metric of the chosen relays; `over` is the time of a range, and a label's value with one of |$( in it is a pattern."""
    matchers = [name + ("=~" if set("|$(") & set(value) else "=") + f'"{value}"' for name, value in labels.items()]
    window = f"[{over}]" if over else ""
    return f"wiza_relay_{metric}{{{', '.join([*matchers, RELAY])}}}{window}"


def destination(metric, over="", **labels):
    """The same of the chosen destinations."""
    return relay(metric, over, destination="$destination", **labels)


def recorded(name):
    """What alerts/rules.yaml records of the chosen destinations: of a relay, whatever its address."""
    return f'destination:wiza_relay_{name}{{destination=~"$destination", cluster=~"$cluster", namespace=~"$namespace", job=~"$job"}}'


def oldest(of=relay):
    """The age of the oldest delivery that waits, 0 where none does: what is parked waits for nobody."""
    return f"{of('queue_oldest_seconds')} * on ({PROCESS}, destination) ({of('waiting')} > bool 0)"


def process(metric, over=""):
    """A figure of the process itself. These have no prefix, so other programs have them too: only those of relays."""
    window = f"[{over}]" if over else ""
    plain = f"process_{metric}{{{RELAY}}}{window}"
    measured = f"rate({plain})" if over else plain
    return f"{measured} and on ({PROCESS}) {relay('build_info')}"


def per_second(metric, by, of=relay):
    return f"sum by ({by}) (rate({of(metric, over='$__rate_interval')}))"


def quantile(share, metric, of=relay):
    return f"histogram_quantile({share}, sum by (le) (rate({of(metric + '_bucket', over='$__rate_interval')})))"


def quantiles(metric, of=relay, shares=(0.5, 0.99)):
    return [query(quantile(share, metric, of), f"p{share * 100:.0f}") for share in shares]
