"""Score a folder, an archive or a list, and keep the names.

`score` gives the scores of anything that holds images; `score_table` gives rows with names, which a data frame takes
as they are.
"""

import tarfile
from pathlib import Path

import perceptmetrics

metric = perceptmetrics.create_metric("lite_iqa")
with tarfile.open("photos.tar", "w") as archive:
    for path in sorted(Path("photos/sharp").iterdir()):
        archive.add(path, path.name)
for row in metric.score_table("photos.tar"):
    print(f"{row['lite_iqa']:.2f}  {row['image']}")
