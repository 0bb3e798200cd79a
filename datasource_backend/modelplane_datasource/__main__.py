"""``python -m modelplane_datasource``: serve with settings from the environment."""

from __future__ import annotations

import logging
import os
import sys

from modelplane_datasource.server import ServerError, serve
from modelplane_datasource.settings import ConfigurationError, Settings


def main() -> int:
    """Exit status: 0 after a clean stop, 1 when the server cannot start, 2 for bad settings."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(Settings.from_environment(os.environ))
    except ConfigurationError as error:
        sys.stderr.write(f"modelplane_datasource: {error}\n")
        return 2
    except ServerError as error:
        sys.stderr.write(f"modelplane_datasource: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
