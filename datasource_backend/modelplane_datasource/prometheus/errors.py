"""What can go wrong between the backend and Prometheus."""

from __future__ import annotations

from modelplane_datasource.errors import ApiError

UNREACHABLE, TIMEOUT = "upstream_unreachable", "upstream_timeout"
INVALID, REJECTED = "upstream_invalid", "query_rejected"
_STATUS = {UNREACHABLE: 503, TIMEOUT: 504, INVALID: 502, REJECTED: 422}


class UpstreamError(ApiError):
    """Prometheus did not give a usable answer; ``error`` is the kind."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(_STATUS[kind], kind, message)
