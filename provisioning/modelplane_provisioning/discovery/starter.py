"""The text of a first registry, with comments that say what else there may be; pure."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from modelplane_schema.registry import parse_registry

_TENANTS = ("team-a",)
_MODELS = ("my-model",)
_FIRST_PORT = 8000

_HEAD = """\
# Who uses which models. Check it with `modelplane registry check`.
# `modelplane registry schema > modelplane.schema.json`, and editors know its keys by this as the first line:
#   yaml-language-server: $schema=modelplane.schema.json
apiVersion: modelplane/v1

# Where people open Grafana; alerts link to it.
urls:
  grafana: http://localhost:3000

# Who runs the plane, and hears of what nobody else hears of. Secrets stand in files below receivers/:
#   receivers: [{type: slack, api_url_file: receivers/slack-url, severities: [critical, warning]}]
platform: {receivers: []}

# Who mends models; `owner` of a model names one of them.
owners:
  - {id: platform-team, name: "Platform team"}

# Whose calls are counted. Also: name, receivers, budget: {amount: 500, currency: EUR, period: month}
tenants:
"""
_MODELS_HEAD = """
models:
"""
_COMMENTS = {
    "framework": "pytorch, tensorflow, jax, onnxruntime, scikit_learn, python, ...",
    "targets": "HOST:PORT of each process that serves it; a container's localhost is not this machine. TLS,\n"
    "    # passwords, labels and discovery: docs/targets.md",
    "versions": "stage: production (the default), canary, shadow or development. Production pages people.",
    "slos": "What is promised. A latency threshold is one of the histogram's bounds.",
}
_MODEL = """\
  - name: {name}
    framework: pytorch
    owner: platform-team
    tenants: [{tenants}]
    targets: ["localhost:{port}"]
    versions:
      - {{version: v1.0.0, stage: production}}
    slos:
      - {{name: availability, objective: 0.99, window: 30d, indicator: {{type: errors}}}}
      - {{name: latency, objective: 0.95, window: 30d, indicator: {{type: latency, threshold_seconds: 0.25}}}}
"""


def starter(tenants: Sequence[str] = (), models: Sequence[str] = ()) -> str:
    """A registry for these tenants, who all use these models; examples where there are none.

    RegistryError where a name cannot be one.
    """
    ids = [_quoted(tenant) for tenant in tenants or _TENANTS]
    described = _MODEL
    for key, comment in _COMMENTS.items():
        described = described.replace(f"    {key}:", f"    # {comment}\n    {key}:", 1)
    declared = "".join(f"  - {{id: {tenant}}}\n" for tenant in ids)
    entries = (
        (_MODEL if position else described).format(
            name=_quoted(model), tenants=", ".join(ids), port=_FIRST_PORT + position
        )
        for position, model in enumerate(models or _MODELS)
    )
    text = "".join((_HEAD, declared, _MODELS_HEAD, *entries))
    parse_registry(text, "the new registry")
    return text


def _quoted(text: str) -> str:
    """The text as YAML has it inside brackets."""
    return yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=1000).strip()[1:-1]
