"""What Prometheus calls a metric family: a name, what it means, and samples by their labels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

PREFIX: Final = "swiftia_receiver_"
Labelled = Mapping[tuple[str, ...], float]


def gauge(name: str, means: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, means, value)


def gauges(name: str, means: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, means, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def counter(name: str, means: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, means, value)


def counters(name: str, means: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = CounterMetricFamily(PREFIX + name, means, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def histogram(
    name: str,
    means: str,
    labels: Sequence[str],
    bounds: Sequence[float],
    values: Iterable[tuple[Sequence[str], Sequence[int], float]],
) -> Metric:
    """``values``: labels, how many there are up to each of ``bounds`` and in all, and their sum."""
    family = HistogramMetricFamily(PREFIX + name, means, labels=labels)
    edges = [*(str(float(bound)) for bound in bounds), "+Inf"]
    for of, cumulative, total in values:
        family.add_metric(of, buckets=list(zip(edges, cumulative, strict=True)), sum_value=total)
    return family


def by_one(values: Mapping[str, float]) -> Labelled:
    """Samples that have one label."""
    return {(name,): value for name, value in values.items()}
