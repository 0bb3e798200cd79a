"""A model service for tests: two versions, two tenants, real exporter; one tenant's calls often fail."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from modelplane_exporter import PER_CALL, ModelMetricsExporter, tenant

TENANTS = ("user-A", "user B & co")


def version(name: str, seconds: float) -> Callable[[int], dict[str, float]]:
    exporter = ModelMetricsExporter("resnet50", name, PER_CALL, "pytorch", owner="vision", tenants=TENANTS)

    @exporter
    def predict(number: int) -> dict[str, float]:
        time.sleep(seconds)
        if number % 3 == 0:
            raise ValueError("every third input is bad")
        return {"confidence": 0.55 + (number % 5) / 10}

    return predict


def main() -> None:
    versions = [version("v1.2.0", 0.002), version("v1.3.0", 0.02)]
    for number in itertools.count():
        for predict, tenant_id in itertools.product(versions, TENANTS):
            with tenant(tenant_id):
                try:
                    predict(number if tenant_id == TENANTS[0] else 1)
                except ValueError:
                    continue
        time.sleep(0.05)


if __name__ == "__main__":
    main()
