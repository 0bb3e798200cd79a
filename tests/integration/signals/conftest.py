"""A plane for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from generations import Servers
from modelplane_provisioning.processes import Process, free_port
from signal_plane import Plane, Prometheus, configuration, training


@pytest.fixture(scope="module")
def plane(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("exactness")
    baselines = training()
    for model, baseline in baselines.items():
        baseline.save(folder / f"{model}.json")
    ports = {job: (free_port(), free_port()) for job in ("exact", "restart", "drift")}
    rules = folder / "rules"
    rules.mkdir()
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(configuration(rules, ports)), encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Process(
        "prometheus",
        [servers.prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}"],
        folder / "prometheus.log", ready_url=f"{url}/-/ready",
    ):  # fmt: skip
        yield Plane(Prometheus(url), ports, folder, baselines)
