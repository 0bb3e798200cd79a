"""The plane on Kubernetes: objects of the cluster and of the Prometheus operator, as kustomize takes them."""
