"""The page in a bundle for Kubernetes."""

from __future__ import annotations

from modelplane_provisioning.images import table as images

_TEXT = """# A plane for the namespace {namespace}

Written by `modelplane bundle --target kubernetes`: change the registry and run it again, edit no file
here. An overlay of yours elsewhere may name `overlays/small` or `overlays/production` as its resource.

| path | what it is |
| --- | --- |
| `base/` | backend, rules, scrapes, routes of alerts, boards, data sources, registry |
| `overlays/small/` | one backend with SQLite on a volume |
| `overlays/production/` | two backends with PostgreSQL, whose URL is in the Secret `modelplane-database` |
| `secrets/` | generated secrets and a kustomization that makes Secrets of them; git ignores it |
| `image/` | what the image of the backend is built from |
| `kube-prometheus-stack/values.yaml` | what the plane needs of the Helm chart |
| `kube-prometheus-stack/production.yaml` | what is added for production |

The image of the backend is `{image}`.

```console
$ docker build --target backend --build-arg PYTHON_IMAGE={python} --build-arg GRAFANA_IMAGE={grafana} \\
    --build-arg REQUIREMENT='{requirement}' --tag {image} image
$ docker push {image}
$ kubectl create namespace {namespace}
$ kubectl apply --server-side -k secrets
$ helm upgrade --install stack prometheus-community/kube-prometheus-stack \\
    --namespace {namespace} --values kube-prometheus-stack/values.yaml
$ kubectl apply --server-side -k overlays/small
```

`--server-side` because rules are larger than the annotation that `kubectl apply` writes otherwise may be.
docs/kubernetes.md of modelplane says more.
"""


def readme(namespace: str, image: str) -> str:
    """The text of README.md."""
    return _TEXT.format(
        namespace=namespace,
        image=image,
        requirement=images.package_requirement("backend", "postgresql"),
        python=images.PYTHON.reference({}),
        grafana=images.GRAFANA.reference({}),
    )
