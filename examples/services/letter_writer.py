"""letter-writer: stands for a language model, and is none: it draws words at random and waits as one would.

What it measures is synthetic, tokens and the accelerator among it; how it measures is what a service does.
"""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Iterator

import numpy as np
from replay import Answer, Array, Endpoint, Workload, fetch_features, run
from stories import LETTERS, STORIES

from modelplane_exporter import PER_CALL, ModelMetricsExporter

TENANTS = ("retail-eu", "south-clinic")
VERSION = "v0.4.0"
# With the probability of each.
WORDS = {"the": 0.4, "and": 0.2, "you": 0.15, "for": 0.1, "thank": 0.08, "order": 0.05, "soon": 0.02}
PROMPTS = 200


def generate(prompt_tokens: int, cached_tokens: int) -> Iterator[str]:
    """Words one after the other; the first takes longer, the more so the more of the prompt is new."""
    means = dict(LETTERS.tokens)
    time.sleep(LETTERS.first_token_seconds * (prompt_tokens - cached_tokens) / means["input"])
    for _ in range(random.randint(2, 2 * means["output"])):
        yield random.choices([*WORDS], [*WORDS.values()])[0]
        time.sleep(LETTERS.token_seconds)


def service() -> Endpoint:
    """The inference function, measured."""
    exporter = ModelMetricsExporter(
        "letter-writer",
        VERSION,
        PER_CALL,
        "python",
        owner="retail",
        stage="production",
        framework_version=platform.python_version(),
        tenants=TENANTS,
        device="simulated-accelerator-0",
        device_type="simulated-accelerator",
    )

    def predict(prompt: Array, lookup_seconds: float = 0.0) -> Answer:
        with exporter.track() as call:
            total, cached = (int(count) for count in fetch_features(prompt, lookup_seconds))  # refuses NaN
            words, times = [], []
            for word in generate(total, cached):
                words.append(word)
                times.append(call.clock())
            call.streamed(times[0], times[-1], len(times))
            call.tokens(input=total - cached, cached_input=cached, output=len(words))
            confidence = sum(WORDS[word] for word in words) / len(words)
            call.confidence(confidence)
        return {"text": " ".join(words), "confidence": confidence}

    return Endpoint(VERSION, predict)


def build() -> Workload:
    """Draw prompts: how many tokens each has, and how many of them were seen before."""
    means = dict(LETTERS.tokens)
    rng = np.random.default_rng(0)
    new, cached = rng.poisson(means["input"], PROMPTS), rng.poisson(means["cached_input"], PROMPTS)
    return Workload(
        STORIES["letter-writer"], (service(),), np.column_stack((new + cached, cached)).astype(float)
    )


if __name__ == "__main__":
    run(build, __doc__)
