"""The keys that a Grafana publishes and signs identities with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import jwt

TIMEOUT_SECONDS = 5
_LIFETIME_SECONDS = 3600  # as long as Grafana allows them to be cached
_PAUSE_SECONDS = 10


class KeysUnavailableError(Exception):
    """The keys cannot be had now."""


class SigningKeys:
    """Keys by their id, kept for an hour.

    They are fetched again for an id that is not among them, at most once in ten seconds and by one thread: an
    address that is down, slow or no Grafana's holds nobody up for longer, nor do made-up ids ask it for more.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is in seconds."""
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=TIMEOUT_SECONDS)
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._valid_until = self._next_fetch = -float("inf")

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key of this id, None when Grafana publishes none. KeysUnavailableError."""
        key = self._cached(key_id)
        if key is not None:
            return key
        if not self._lock.acquire(timeout=TIMEOUT_SECONDS):
            raise KeysUnavailableError
        try:
            key, now = self._cached(key_id), self._clock()
            if key is None and now >= self._next_fetch:
                self._next_fetch = now + _PAUSE_SECONDS
                self._fetch()
                key = self._cached(key_id)
        finally:
            self._lock.release()
        if key is None and self._clock() >= self._valid_until:
            raise KeysUnavailableError
        return key

    def _cached(self, key_id: str) -> jwt.PyJWK | None:
        return self._keys.get(key_id) if self._clock() < self._valid_until else None

    def _fetch(self) -> None:
        """What was fetched before stays valid when this fails."""
        try:
            keys = self._client.get_signing_keys()
        except (jwt.PyJWTError, ValueError, OSError) as error:  # ValueError: not JSON, or not in UTF-8
            raise KeysUnavailableError from error
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self._valid_until = self._clock() + _LIFETIME_SECONDS
