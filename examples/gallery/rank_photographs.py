"""Rank a folder: the best and the worst photographs.

A metric scores every image of a folder once; files that cannot be read are listed, and do not stop the others.
"""

import perceptmetrics
from perceptmetrics.experiments import rank_images
from perceptmetrics.images.find import find_images
from perceptmetrics.reports import rank_makers, write_report

metric = perceptmetrics.create_metric("lite_iqa")
ranking = rank_images(metric, find_images(["photos/sharp", "photos/blurred", "photos/noisy"]))
for row in ranking.best(3):
    print(f"{row.score:.2f}  {row.image}")
# A page, a table and a plot.
write_report("ranking", "rank", rank_makers(ranking, top=4, title="Photographs"))
