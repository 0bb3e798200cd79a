"""JSON of answers that anybody may have sent."""

from __future__ import annotations

from typing import Any

import requests


def decoded_json(response: requests.Response) -> Any:
    """What an answer holds; ValueError for what is no JSON, or JSON that Python cannot hold."""
    try:
        return response.json()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
