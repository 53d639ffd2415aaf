"""The map of a project: its time and memory by records, and how good its clusters and its places are.

    python -m benchmarks.map ../shared/data --records 1000 10000 52002 --json map.json

Time and memory are those of `augtui clusters map` in a process of its own, its start included; the processor's time is
given beside the clock's. Quality: clusters against labels that they do not know (normalised mutual information,
purity), and how far neighbours on the map are neighbours in the vectors (trustworthiness with 12 neighbours,
Venna & Kaski 2001).
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from augtui.domain.records import Record

SAMPLE = 5_000
"""Records that trustworthiness is computed on at most: it compares all with all."""
EACH = 1_000
"""Records of each source in the mix."""


def alpaca(data: Path) -> list[str]:
    """Return the 52,002 Alpaca instructions with their inputs."""
    rows = json.loads(lzma.decompress((data / "evaluate/alpaca_52k.json.xz").read_bytes()))
    return [row["instruction"] + (f"\n{row['input']}" if row["input"] else "") for row in rows]


def snips(data: Path) -> list[tuple[str, str]]:
    """Return requests with their seven intents."""
    found = []
    for path in sorted((data / "train/snips").glob("*.json")):
        if "validate" not in path.name:
            for intent, rows in json.loads(path.read_text("latin-1")).items():
                found += [("".join(piece["text"] for piece in row["data"]), intent) for row in rows]
    return found


def mix(data: Path) -> list[tuple[str, str]]:
    """Return prompts with the data set of six that each is from, one of them Chinese."""
    requests = snips(data)
    random.Random(0).shuffle(requests)
    sources = {
        "snips": [text for text, _ in requests],
        "gsm8k": [row["question"] for row in _lines(data / "train/gsm8k_train.jsonl")],
        "mathqa": [row["Problem"] for row in json.loads((data / "evaluate/mathqa_dev.json").read_text())],
        "dolly": [row["instruction"] for row in _lines(data / "train/dolly_6400_instructions.jsonl")],
        "alpaca": [row["instruction"] for row in json.loads((data / "collect/alpaca_cleaned_1000.json").read_text())],
        "alpaca zh": [row["instruction"] for row in json.loads((data / "collect/alpaca_zh_demo.json").read_text())],
    }
    return [(text, name) for name, texts in sources.items() for text in texts[:EACH]]


def fill(project: str, texts: list[str]) -> None:
    """Make a project of texts."""
    from augtui.store import dataset
    from augtui.store.projects import open_project

    with open_project(project) as opened:
        dataset.add_records(opened, (Record(text, line=line) for line, text in enumerate(texts)))


def measure(texts: list[str], name: str) -> dict[str, Any]:
    """Return time and memory of making the map, of the same command again, and of the new part."""
    fill(name, texts)
    first, again = _timed(["clusters", "map", "-p", name, "-q"]), _timed(["clusters", "map", "-p", name, "-q"])
    from augtui.store import maps
    from augtui.store.projects import locate

    path = maps.map_path(locate(name))
    return {
        "records": len(texts), **first, "again_s": again["wall_s"], "again_cpu_s": again["cpu_s"],
        "file_mb": round(path.stat().st_size / 1e6, 1), "trustworthiness": trust(name),
    }  # fmt: skip


def quality(labelled: list[tuple[str, str]], name: str) -> dict[str, Any]:
    """Return how the clusters of the first level, and as many as labels, agree with the labels."""
    import numpy as np
    from sklearn.metrics import normalized_mutual_info_score

    from augtui.pipelines.mapping import build, reading
    from augtui.store import maps
    from augtui.store.projects import open_project

    unique = list(dict.fromkeys(labelled))
    fill(name, [text for text, _ in unique])
    labels = np.unique([label for _, label in unique], return_inverse=True)[1]
    found: dict[str, Any] = {"records": len(unique), "labels": int(labels.max()) + 1}
    with open_project(name) as project:
        for what, count in (("usual", None), ("as labels", int(labels.max()) + 1)):
            for method in ("pca",) if what != "usual" else ("pca", "tsne"):
                options = reading.Options(method=method, clusters=count)  # type: ignore[arg-type]
                build.make(project, options, lambda what, done, total: None)
                if method == "tsne":
                    found["trustworthiness"] = trust(name)
                elif what == "usual":
                    found["trustworthiness_pca"] = trust(name)
            clusters = maps.clusters(project)
            top = np.array([_top(clusters, point.cluster) for point in maps.points(project)])
            found[what] = {
                "clusters": len(set(top.tolist())),
                "nmi": round(float(normalized_mutual_info_score(labels, top)), 3),
                "purity": round(
                    sum(int(np.bincount(labels[top == one]).max()) for one in set(top.tolist())) / len(top), 3
                ),
            }
    return found


def trust(name: str) -> float:
    """Return the trustworthiness of a project's map."""
    import numpy as np
    from sklearn.manifold import trustworthiness

    from augtui.store import maps
    from augtui.store.projects import open_project

    with open_project(name) as project:
        vectors = np.frombuffer(b"".join(row[1] for row in maps.vectors(project)), dtype=np.float16).astype(np.float32)
        places = np.array([(point.x, point.y) for point in maps.points(project)], dtype=np.float32)
    vectors = vectors.reshape(len(places), -1)
    some = np.sort(np.random.default_rng(0).permutation(len(places))[:SAMPLE])
    return round(float(trustworthiness(vectors[some], places[some], n_neighbors=12, metric="cosine")), 3)


def _top(clusters: list[Any], number: int) -> int:
    while clusters[number].parent is not None:
        number = clusters[number].parent
    return number


def _timed(words: list[str]) -> dict[str, float]:
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-P", "-m", "augtui", *words])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"augtui {' '.join(words)}: {status}")
    return {
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "memory_mb": round(usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)),
    }


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--records", type=int, nargs="*", default=[1_000, 10_000, 52_002])
    parser.add_argument("--no-quality", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="augtui-bench-") as home:
        os.environ["AUGTUI_HOME"] = home
        result: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0], "sizes": []}
        if not options.no_quality:
            result["snips"] = quality(snips(options.data), "snips")
            result["mix"] = quality(mix(options.data), "mix")
            print(json.dumps(result), file=sys.stderr, flush=True)
        texts = alpaca(options.data)
        for records in options.records:
            result["sizes"].append(measure(texts[:records], f"records{records}"))
            print(json.dumps(result["sizes"][-1]), file=sys.stderr, flush=True)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
