"""Where the parts of a plane listen unless somebody says otherwise."""

from __future__ import annotations

CUSTOMARY_PORTS = {"prometheus": 9090, "alertmanager": 9093, "backend": 8090, "grafana": 3000}
