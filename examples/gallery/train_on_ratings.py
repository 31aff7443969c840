"""Train a metric on your own ratings.

Here the ratings say how strongly a photograph was degraded. Yours come from people, in a `labels.csv` beside the
images. All images of one photograph stay on one side of a split.
"""

import csv
from pathlib import Path

import perceptmetrics
from perceptmetrics.datasets import load_dataset
from perceptmetrics.finetune import finetune, load_recipe
from perceptmetrics.reports.finetune import write_finetune_report

ratings = {"sharp": 5, "jpeg_30": 4, "slightly_blurred": 3, "noisy": 2, "blurred": 1}
with Path("photos/labels.csv").open("w", encoding="utf-8", newline="") as file:
    table = csv.writer(file)
    table.writerow(["image", "mos", "photograph"])
    for kind, mos in ratings.items():
        for path in sorted(Path("photos", kind).iterdir()):
            table.writerow([f"{kind}/{path.name}", mos, path.stem])

data = load_dataset("csv", "photos", columns=["mos"], group_column="photograph", lower=1, upper=5)
recipe = load_recipe("lite_quality", ["epochs=20", "splits.count=4"])
result = finetune(recipe, [data], "runs/mine")
write_finetune_report(result, plots=["png"])
metric = perceptmetrics.create_metric("runs/mine")
for kind in ("sharp", "noisy"):
    print(f"{kind}: {metric.score(f'photos/{kind}/coffee.png').item():.2f}")
