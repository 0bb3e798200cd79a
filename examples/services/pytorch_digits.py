"""digit-reader: reads handwritten digits with two versions of a small convolutional network in PyTorch."""

from __future__ import annotations

import numpy as np
from catalogue import explain_missing
from replay import Array, Predict, Workload, fetch_features, log_training, noisy, run

from modelplane_exporter import PER_CALL, ModelMetricsExporter

try:
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import Tensor, nn
    from torch.distributions import Categorical
    from torch.utils.data import DataLoader, TensorDataset
except ModuleNotFoundError as error:
    explain_missing(error, __file__)

TENANTS = ("vision-lab", "retail-eu")
WHITE = 16.0
VERSIONS = (("v1.2.0", "production", 8), ("v1.3.0", "canary", 32))  # version, stage, channels


def scaled(images: Array) -> Tensor:
    """Images of shape (n, 8, 8) as the network takes them."""
    return torch.from_numpy(images).float()[:, None] / WHITE


def train(images: Tensor, labels: Tensor, channels: int) -> nn.Module:
    """A network for images of 1 x 8 x 8 pixels from 0 to 1; more ``channels`` make it wider."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, channels, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * 4 * 4, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    batches = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)
    for _ in range(10):
        for batch, truth in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch), truth)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model.eval()


def service(model: nn.Module, version: str, stage: str) -> Predict:
    """The inference function of one version, measured."""
    exporter = ModelMetricsExporter(
        model_name="digit-reader",
        model_version=version,
        tenant_id=PER_CALL,
        framework="pytorch",
        owner="vision",
        stage=stage,
        framework_version=torch.__version__,
        tenants=TENANTS,
    )

    @exporter
    @torch.inference_mode()
    def predict(image: Array, lookup_seconds: float = 0.0) -> dict[str, object]:
        pixels = scaled(fetch_features(image, lookup_seconds)[None])
        logits = model(pixels)  # refuses a wrong shape
        confidence, label = Categorical(logits=logits).probs.max(dim=1)  # refuses NaN
        return {"label": label.item(), "confidence": confidence.item()}

    return predict


def drift(image: Array, rng: np.random.Generator) -> Array:
    """A camera with a noisy sensor."""
    return noisy(image, rng, scale=4.0, brightest=WHITE)


def build() -> Workload:
    """Train both versions, and serve the images that were held out."""
    torch.set_num_threads(1)  # the examples share the machine
    digits = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        digits.images, digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    labels, truth = torch.from_numpy(train_labels), torch.from_numpy(test_labels)
    models = {version: train(scaled(train_images), labels, channels) for version, _, channels in VERSIONS}
    for version, model in models.items():
        guesses = model(scaled(test_images)).argmax(dim=1)
        log_training(f"digit-reader {version}", (guesses == truth).float().mean().item())
    predictors = tuple(service(models[version], version, stage) for version, stage, _ in VERSIONS)
    return Workload(predictors, TENANTS, test_images, drift)


if __name__ == "__main__":
    run(build, __doc__)
