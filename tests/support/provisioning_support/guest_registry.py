"""A registry with receivers of every kind and names that need care, for bundles of other targets."""

from __future__ import annotations

from pathlib import Path

SECRETS = {
    "smtp-password": "mail-secret",
    "dead": "https://dead.example.org/secret",
    "slack-url": "https://slack.example.org/secret",
    "vision/key": "pagerduty-secret",
    "vision token": "webhook-secret",
    "teams": "https://teams.example.org/secret",
    "mattermost": "https://mattermost.example.org/secret",
}
REGISTRY = r"""
apiVersion: modelplane/v1
platform:
  smtp: {smarthost: "mail.example.org:587", from: plane@example.org, username: plane,
         password_file: receivers/smtp-password}
  dead_mans_switch: {url_file: receivers/dead}
  receivers: [{type: slack, channel: "#ml", api_url_file: receivers/slack-url}]
owners:
  - id: vision
    receivers:
      - {type: pagerduty, routing_key_file: receivers/vision/key, severities: [critical]}
      - {type: email, to: vision@example.org, severities: [warning, info]}
    mute: [{weekdays: [saturday, sunday]}, {times: [{from: "22:00", to: "24:00"}]}]
tenants:
  - id: user-A
    name: 'Vision "team" / ü'
    receivers: [{type: webhook, url: "https://hooks.example.org/a", credentials_file: receivers/vision token}]
  - id: 'we"ird\ tenant'
    receivers:
      - {type: teams, webhook_url_file: receivers/teams}
      - {type: mattermost, webhook_url_file: receivers/mattermost}
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, 'we"ird\ tenant']
    targets: ["10.0.0.5:8000", "resnet:8000"]
    versions: [{version: v1, stage: production}]
    slos: [{name: availability, objective: 0.99, window: 30d, indicator: {type: errors}}]
  - {name: Größe 7/b, framework: jax, owner: vision, tenants: [user-A], versions: [{version: v1}]}
  - name: guarded
    framework: onnxruntime
    owner: vision
    tenants: [user-A]
    targets: {hosts: ["guarded:8443"], scheme: https, metrics_path: /m, labels: {zone: a},
              basic_auth: {username: 'scraper "7"', password_file: targets/guarded password}}
    versions: [{version: v1}]
  - name: discovered
    framework: sklearn
    owner: vision
    tenants: [user-A]
    targets:
      discovery:
        kubernetes: {role: pod, namespaces: [serving], label_selector: app=discovered, port: metrics}
      authorization: {credentials_file: targets/discovered-token}
    versions: [{version: v1}]
  - name: named
    framework: sklearn
    owner: vision
    tenants: [user-A]
    targets: {discovery: {dns: {names: [named.serving.svc], type: A, port: 8000}}}
    versions: [{version: v1}]
"""
TARGET_FILES = {"guarded password": "password-of-scraper", "discovered-token": "token-of-discovered"}


def write_registry(folder: Path, text: str = REGISTRY) -> Path:
    """The registry and its secrets in ``folder``; the path of the registry."""
    for name, secret in SECRETS.items():
        path = folder / "receivers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secret + "\n", encoding="utf-8")
    for name, secret in TARGET_FILES.items():
        (folder / "targets").mkdir(exist_ok=True)
        (folder / "targets" / name).write_text(secret, encoding="utf-8")
    registry = folder / "modelplane.yaml"
    registry.write_text(text, encoding="utf-8")
    return registry
