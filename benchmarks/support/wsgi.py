"""The backend for a WSGI server with several workers, with settings from the environment."""

from __future__ import annotations

import os

from modelplane_datasource.app import create_app
from modelplane_datasource.settings import Settings

app = create_app(Settings.from_environment(os.environ))
