"""Train the small task classifier, and report how good it is on prompts that it was not trained on.

    python -m training.classifier SHARED_DATA augtui/models/bundled/tasks.npz --report docs/classifier.json

A multinomial logistic regression over hashed words (`augtui.domain.taskwords`), classes weighted by the square root of
their frequency, L2 regularisation, full batches, in PyTorch. The same data give the same file.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augtui.domain.taskwords import BUCKETS, Cues, buckets, value
from augtui.domain.taxonomy import CLASSES
from training.classifier import corpus
from training.classifier.corpus import Labelled

STEPS = 60
DECAY = 1e-6


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, report, write."""
    parser = argparse.ArgumentParser(prog="python -m training.classifier", description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path, help="the shared data sets")
    parser.add_argument("output", type=Path, help="where the classifier goes")
    parser.add_argument("--report", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--evaluate", action="store_true", help="train nothing: report on the classifier that is there")
    options = parser.parse_args(arguments)
    examples = corpus.training(options.data)
    if options.evaluate:
        with np.load(options.output, allow_pickle=False) as data:
            model = dict(data)
    else:
        model = packed(*train(examples))
        save(model, options.output)
    report = evaluated(model, corpus.held_out(options.data), examples)
    if options.report:
        options.report.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps({key: report[key] for key in ("trained_on", "blind", "seen", "by_source")}, indent=1))
    print(f"{options.output}: {options.output.stat().st_size / 1024:.0f} KiB", file=sys.stderr)


def matrix(counts: Sequence[dict[int, float]], idf: np.ndarray, columns: dict[int, int]) -> torch.Tensor:
    """Return the texts as sparse rows of length 1, shape (texts, columns)."""
    rows: list[int] = []
    places: list[int] = []
    values: list[float] = []
    for row, found in enumerate(counts):
        raw = {columns[bucket]: value(count) * float(idf[bucket]) for bucket, count in found.items()}
        norm = math.sqrt(sum(part * part for part in raw.values())) or 1.0
        rows += [row] * len(raw)
        places += raw
        values += [part / norm for part in raw.values()]
    return torch.sparse_coo_tensor(torch.tensor([rows, places]), torch.tensor(values), (len(counts), len(columns)))


def train(examples: Sequence[Labelled], decay: float = DECAY) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights (BUCKETS, classes), bias (classes) and the inverse document frequencies (BUCKETS)."""
    cues = Cues(corpus.cues())
    texts = [buckets(example.text, cues) for example in examples]
    usage = Counter(bucket for text in texts for bucket in text)
    idf = np.array([math.log((1 + len(texts)) / (1 + usage.get(bucket, 0))) for bucket in range(BUCKETS)], np.float32)
    idf /= idf.max()
    known = sorted(usage)
    rows = matrix(texts, idf, {bucket: place for place, bucket in enumerate(known)}).coalesce()
    forward, backward = rows.to_sparse_csr(), rows.t().coalesce().to_sparse_csr()
    number = {name: place for place, name in enumerate(CLASSES)}
    labels = torch.tensor([number[example.label] for example in examples])
    wanted = torch.nn.functional.one_hot(labels, len(CLASSES)).float()
    given = torch.tensor([example.weight for example in examples])
    mass = torch.zeros(len(CLASSES)).index_add_(0, labels, given).clamp(min=1)
    each = given * (given.sum() / len(CLASSES) / mass[labels]).sqrt()
    each = (each / each.sum())[:, None]
    # The gradient is written out: that of a sparse product is slow to find.
    weights, bias = torch.zeros(len(known), len(CLASSES)), torch.zeros(len(CLASSES))
    optimizer = torch.optim.LBFGS(
        [weights, bias], lr=1, max_iter=STEPS, history_size=10, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        log_odds = torch.log_softmax(forward @ weights + bias, dim=1)
        error = each * (log_odds.exp() - wanted)
        weights.grad = backward @ error + 2 * decay * weights
        bias.grad = error.sum(dim=0)
        return float(-(each * wanted * log_odds).sum() + decay * weights.square().sum())

    optimizer.step(loss)
    full = np.zeros((BUCKETS, len(CLASSES)), dtype=np.float32)
    full[known] = weights.numpy()
    return full, bias.numpy(), idf


def packed(weights: np.ndarray, bias: np.ndarray, idf: np.ndarray) -> dict[str, Any]:
    """Return the classifier as it is shipped: weights in 8 bits with a scale for each class."""
    scale = np.abs(weights).max(axis=0) / 127
    return {
        "weights": np.round(weights / scale).astype(np.int8),
        "scale": scale.astype(np.float32),
        "bias": bias.astype(np.float32),
        "idf": np.round(idf * 255).astype(np.uint8),
        "classes": np.array(CLASSES),
        "cues": np.frombuffer(json.dumps(corpus.cues(), ensure_ascii=False).encode(), dtype=np.uint8),
    }


def probabilities(model: dict[str, Any], texts: Sequence[str]) -> np.ndarray:
    """Return the classes' probabilities, shape (texts, classes), as `augtui.models.classifier` computes them."""
    cues = Cues(corpus.cues())
    idf = model["idf"].astype(np.float32) / 255
    weights = model["weights"].astype(np.float32) * model["scale"]
    found = []
    for text in texts:
        counts = buckets(text, cues)
        values = np.array([value(count) * idf[bucket] for bucket, count in counts.items()], dtype=np.float32)
        values /= np.linalg.norm(values) or 1.0
        logits = values @ weights[list(counts)] + model["bias"] if counts else model["bias"]
        odds = np.exp(logits - logits.max())
        found.append(odds / odds.sum())
    return np.array(found)


def evaluated(model: dict[str, Any], tests: Sequence[Labelled], examples: Sequence[Labelled]) -> dict[str, Any]:
    """Return accuracy, confusion and the effect of the threshold on prompts that were held out by their source."""
    likely = probabilities(model, [test.text for test in tests])
    sure = likely.max(axis=1)
    said = [CLASSES[place] for place in likely.argmax(axis=1)]
    right = np.array([label == test.label for label, test in zip(said, tests, strict=True)])
    top3 = np.array(
        [test.label in {CLASSES[p] for p in row.argsort()[-3:]} for row, test in zip(likely, tests, strict=True)]
    )
    sources = sorted({test.source for test in tests})
    origin = np.array([test.source for test in tests])
    blind = np.array([test.source in corpus.BLIND for test in tests], dtype=bool)
    confusion = Counter((test.label, label) for label, test in zip(said, tests, strict=True) if label != test.label)
    truth = np.array([test.label for test in tests])
    by_class = {}
    for name in CLASSES:
        here, called = truth == name, np.array(said) == name
        if here.any() or called.any():
            by_class[name] = {
                "prompts": int(here.sum()),
                "recall": round(float(right[here].mean()), 3) if here.any() else None,
                "precision": round(float(right[called].mean()), 3) if called.any() else None,
            }
    return {
        "trained_on": len(examples),
        "tested_on": len(tests),
        "blind": figures(right[blind], top3[blind], sure[blind]),
        "seen": figures(right[~blind], top3[~blind], sure[~blind]),
        "by_source": {
            name: {"prompts": int((origin == name).sum()), "accuracy": round(float(right[origin == name].mean()), 4)}
            for name in sources
        },
        "by_class": by_class,
        "confused_most": [
            {"is": is_, "called": called, "prompts": count} for (is_, called), count in confusion.most_common(15)
        ],
        "training_by_class": dict(Counter(example.label for example in examples).most_common()),
    }


def figures(right: np.ndarray, among: np.ndarray, sure: np.ndarray) -> dict[str, Any]:
    """Return the accuracy, and what a threshold of confidence does: the share that it labels, and their accuracy."""
    return {
        "prompts": len(right),
        "accuracy": round(float(right.mean()), 4) if len(right) else None,
        "among_first_three": round(float(among.mean()), 4) if len(right) else None,
        "at_threshold": [
            {
                "threshold": floor,
                "labelled": round(float((sure >= floor).mean()), 4),
                "accuracy": round(float(right[sure >= floor].mean()), 4),
            }
            for floor in (0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8)
            if (sure >= floor).any()
        ],
    }


def save(model: dict[str, Any], output: Path) -> None:
    """Write an .npz file whose bytes depend on nothing but the model."""
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, value in model.items():
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w") as file:
                np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)


if __name__ == "__main__":
    main()
