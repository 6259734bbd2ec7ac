"""Milliseconds that pysodmetrics takes for a prediction and its truth: python metrics-peer.py PREDICTED.png TRUTH.png. One JSON line."""
import importlib.metadata
import json
import sys
import time

import cv2
import py_sod_metrics as sod

cv2.setNumThreads(1)
predicted, truth = (cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in sys.argv[1:3])
five = [sod.Smeasure, sod.WeightedFmeasure, sod.Fmeasure, sod.Emeasure, sod.MAE]


def median(kinds, runs=15, warm=5):
    times = []
    for _ in range(warm + runs):
        start = time.perf_counter()
        for kind in kinds:
            kind().step(predicted, truth)
        times.append((time.perf_counter() - start) * 1e3)
    return round(sorted(times[warm:])[runs // 2], 2)


version = importlib.metadata.version("pysodmetrics")
print(json.dumps({"name": f"pysodmetrics {version}", "five_ms": median(five), "effort_ms": median([sod.HumanCorrectionEffortMeasure])}))
