"""Count with prometheus-client, and write the text of /metrics. Imported only where PORT is set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from observability.metrics import COUNTERS, GAUGES, HISTOGRAMS, PREFIX, Reading, Stage


class PrometheusMetrics:
    """observability.metrics.Metrics in a registry of its own."""

    is_on = True

    def __init__(self) -> None:
        disable_created_metrics()  # a second series beside each counter, which nobody needs
        self._registry = CollectorRegistry()
        self._gauges = _Gauges()
        self._registry.register(self._gauges)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._counters = {
            name: Counter(PREFIX + name, kind.help, kind.labels, registry=self._registry)
            for name, kind in COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(PREFIX + name, kind.help, kind.labels, buckets=buckets, registry=self._registry)
            for name, (kind, buckets) in HISTOGRAMS.items()
        }

    def image_moved(self, state: str, ending: str) -> None:
        self._counters["images_total"].labels(state, ending).inc()

    def waited(self, stage: Stage, seconds: float) -> None:
        self._histograms["wait_seconds"].labels(stage.value).observe(max(0.0, seconds))

    def credits_moved(self, kind: str, credits: int) -> None:
        self._counters["credits_total"].labels(kind).inc(credits)

    def api_called(self, call: str, status: str, seconds: float) -> None:
        self._counters["api_calls_total"].labels(call, status).inc()
        self._histograms["api_call_seconds"].labels(call).observe(seconds)

    def discord_called(self, method: str, status: str, seconds: float) -> None:
        self._counters["discord_calls_total"].labels(method, status).inc()
        self._histograms["discord_call_seconds"].observe(seconds)

    def rate_limited(self, service: str, seconds: float) -> None:
        self._counters["rate_limit_wait_seconds_total"].labels(service).inc(seconds)

    def leases_taken_over(self, count: int) -> None:
        self._counters["leases_taken_over_total"].inc(count)

    def loop_stalled(self, seconds: float) -> None:
        self._histograms["loop_stall_seconds"].observe(max(0.0, seconds))

    def expose(self, readings: Iterable[Reading]) -> bytes:
        self._gauges.readings = tuple(readings)
        return generate_latest(self._registry)


class _Gauges(Collector):
    """Shows the readings of this scrape."""

    def __init__(self) -> None:
        self.readings: tuple[Reading, ...] = ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name in dict.fromkeys(reading.name for reading in self.readings):
            family = GaugeMetricFamily(PREFIX + name, GAUGES[name].help, labels=GAUGES[name].labels)
            for reading in self.readings:
                if reading.name == name:
                    family.add_metric(reading.labels, reading.value)
            yield family
