"""A Prometheus that answers the readers of samples, from scrapes that a test holds."""

from __future__ import annotations

from typing import Any, NamedTuple

from datasource_support.ledger_queries import LedgerPrometheus
from modelplane_datasource.prometheus import decoding
from modelplane_datasource.prometheus.decoding import SAMPLES, RawSeries, decode, raw_series
from modelplane_datasource.timeline.grid import Grid
from modelplane_schema import metrics


class Scrape(NamedTuple):
    at: int
    value: float


class Store:
    """A Prometheus that holds ``series``, each of them labels and scrapes."""

    def __init__(self, series: list[tuple[dict[str, str], list[Scrape]]]) -> None:
        held: list[dict[str, Any]] = [
            {"metric": labels, "values": [[scrape.at / 1000, repr(scrape.value)] for scrape in scrapes]}
            for labels, scrapes in series
        ]
        self._answer = LedgerPrometheus(
            lambda name: [entry for entry in held if entry["metric"]["__name__"] == name]
        )

    def unrestricted_samples(self, selected: str, start: int, end: int) -> tuple[RawSeries, ...]:
        return self._read("/query", query=f"{selected}[{end - start}ms]", time=end)

    def unrestricted_samples_on(self, promql: str, grid: Grid) -> tuple[RawSeries, ...]:
        return self._read("/query_range", query=promql, start=grid.start, end=grid.end, step=grid.step)

    def unrestricted_series(self, selectors: list[str], start: int, end: int) -> tuple[dict[str, str], ...]:
        form = {"match[]": selectors[0], "start": str(start / 1000), "end": str(end / 1000)}
        status, _, body = self._answer("/series", form)
        return tuple(decode(status, body, decoding.SERIES).data)

    def _read(self, path: str, query: str, **times: int) -> tuple[RawSeries, ...]:
        status, _, body = self._answer(path, {"query": query, **{k: str(v / 1000) for k, v in times.items()}})
        return raw_series(decode(status, body, SAMPLES).data)


def labels_of(name: str, tenant: str, instance: str = "a:8000", **more: str) -> dict[str, str]:
    return {
        "__name__": name, "model_name": "resnet50", "model_version": "v1", "tenant_id": tenant,
        "framework": "pytorch", "job": "models", "instance": instance, **more,
    }  # fmt: skip


def seconds(tenant: str, instance: str = "a:8000", device: str = "GPU-1") -> dict[str, str]:
    kind = "h200" if device == "GPU-1" else "cpu-process"
    return labels_of(metrics.DEVICE_SECONDS.name, tenant, instance, device=device, device_type=kind)


def counted(times: range, each: float = 0.5) -> list[Scrape]:
    """A counter that grows evenly."""
    return [Scrape(at, 100 + each * number) for number, at in enumerate(times)]


def without(scrapes: list[Scrape], start: int, end: int) -> list[Scrape]:
    return [scrape for scrape in scrapes if not start <= scrape.at < end]
