"""The page in a bundle for servers that are there already."""

from __future__ import annotations

_TEXT = """# A plane for servers that are there already

Written by `modelplane bundle --target existing`: change the registry and run it again, edit no file here.
The servers see this folder as `{folder}`.

| path | who takes it in, and how |
| --- | --- |
| `prometheus/scrape.yml` | Prometheus: `scrape_config_files: [{folder}/prometheus/scrape.yml]` |
| `victoriametrics/scrape.yml` | VictoriaMetrics: `scrape_config_files`, as for Prometheus |
| `prometheus/rules/` | Prometheus: `rule_files: [{folder}/prometheus/rules/*.yml]` |
| `alertmanager/modelplane.yml` | Alertmanager, which includes no files: `modelplane alertmanager merge` |
| `grafana/provisioning/` | Grafana: copy `datasources`, `dashboards` and `plugins` beside yours |
| `grafana/dashboards/` | Grafana, which reads the boards from {folder}/grafana/dashboards |
| `grafana/plugins/` | Grafana: its folder of plugins, see docs/plugin.md |
| `backend.env` | settings of the backend, which asks {prometheus} |
| `secrets/` | a folder for each part, which only this part should be able to read |

```console
$ modelplane alertmanager merge --from alertmanager/modelplane.yml --into /etc/alertmanager/alertmanager.yml
$ set -a; . ./backend.env; set +a; mkdir -p data/backend; python -m modelplane_datasource
```

docs/existing.md of modelplane has the steps for Prometheus, Mimir, Thanos and VictoriaMetrics.
"""


def readme(folder: str, prometheus: str) -> str:
    """The text of README.md; ``folder`` is where the servers see the bundle."""
    return _TEXT.format(folder=folder, prometheus=prometheus)
