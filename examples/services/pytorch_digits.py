"""digit-reader: reads handwritten digits with two versions of a small convolutional network in PyTorch."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from catalogue import explain_missing
from replay import INK, Answer, Array, Endpoint, Workload, fetch_features, ink, log_training, run
from stories import STORIES

from modelplane_exporter import PER_CALL, Baseline

try:
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import Tensor, nn
    from torch.utils.data import DataLoader, TensorDataset

    from modelplane_exporter.frameworks.pytorch import collect_layers, watch_layers, wrap
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("vision-lab", "retail-eu")
WHITE = 16.0
# Version, stage, channels, rounds of training: the canary has not learnt enough.
VERSIONS = (("v1.2.0", "production", 8, 10), ("v1.3.0", "canary", 2, 2))
LAYERS = ("relu",)


def scaled(images: Array) -> Tensor:
    """Images of shape (n, 8, 8) as the network takes them."""
    return torch.from_numpy(images).float()[:, None] / WHITE


def train(images: Tensor, labels: Tensor, channels: int, rounds: int) -> nn.Module:
    """A network for images of 1 x 8 x 8 pixels from 0 to 1; more ``channels`` make it wider."""
    torch.manual_seed(0)
    model = nn.Sequential(
        OrderedDict(
            convolution=nn.Conv2d(1, channels, kernel_size=3, padding=1),
            relu=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            classify=nn.Linear(channels * 4 * 4, 10),
        )
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    batches = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)
    for _ in range(rounds):
        for batch, truth in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch), truth)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model.eval()


def service(network: nn.Module, version: str, stage: str, baseline: Baseline) -> Endpoint:
    """The inference function of one version, measured."""
    model = wrap(
        network,
        output="logits",
        model_name="digit-reader",
        model_version=version,
        tenant_id=PER_CALL,
        owner="vision",
        stage=stage,
        tenants=TENANTS,
        baseline=baseline,
        feedback=True,
    )
    watch_layers(model, LAYERS, every=1)  # the network is small and calls are few

    @torch.inference_mode()
    def predict(image: Array, lookup_seconds: float = 0.0) -> Answer:
        with model.exporter.track() as call:  # so that the lookup is a part of the latency
            # The network refuses a wrong shape but computes with NaN, so NumPy refuses that.
            pixels = np.asarray_chkfinite(fetch_features(image, lookup_seconds))
            logits = model(scaled(pixels[None]))
            call.features(ink(pixels))  # not seen by wrap, because the network takes images
        confidence, label = logits.softmax(dim=1).max(dim=1)
        return {"label": label.item(), "confidence": confidence.item()}

    def review(answer: Answer, truth: object) -> None:
        """Someone has read the digit."""
        model.exporter.feedback(correct=answer["label"] == truth)

    return Endpoint(version, predict, review)


@torch.inference_mode()
def fit_baseline(model: nn.Module, version: str, images: Array) -> Baseline:
    """What one version sees, does and says in training."""
    inputs = scaled(images)
    return Baseline.fit(
        "digit-reader",
        ink(images),
        names=INK,
        model_version=version,
        prediction=model(inputs).argmax(dim=1),
        activations=collect_layers(model, LAYERS, torch.split(inputs, 1)),
    )


def build() -> Workload:
    """Train both versions, fit a baseline to the training set for each, and serve."""
    torch.set_num_threads(1)  # the examples share the machine
    digits = load_digits()
    train_rows, held_out = train_test_split(
        np.arange(len(digits.target)), test_size=0.25, stratify=digits.target, random_state=0
    )
    images, labels = digits.images[train_rows], torch.from_numpy(digits.target[train_rows])
    test_inputs, test_labels = scaled(digits.images[held_out]), torch.from_numpy(digits.target[held_out])
    endpoints = []
    for version, stage, channels, rounds in VERSIONS:
        model = train(scaled(images), labels, channels, rounds)
        accuracy = (model(test_inputs).argmax(dim=1) == test_labels).float().mean().item()
        log_training(f"digit-reader {version}", accuracy)
        baseline = fit_baseline(model, version, images)
        endpoints.append(service(model, version, stage, baseline))
    truths = dict(zip(held_out.tolist(), digits.target[held_out].tolist(), strict=True))
    return Workload(STORIES["digit-reader"], tuple(endpoints), digits.images, truths)


if __name__ == "__main__":
    run(build, __doc__)
