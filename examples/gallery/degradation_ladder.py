"""Degrade photographs step by step, and see whether the score follows.

A metric that is to be trusted with an attribute should fall, or rise, with it. The mean rank correlation of steps and
scores says how well it does.
"""

import perceptmetrics
from perceptmetrics.experiments import climb_ladders
from perceptmetrics.reports import ladder_makers, write_report

metric = perceptmetrics.create_metric("lite_iqa")
found = climb_ladders(metric, "photos/sharp", ["sharpness", "noise"], steps=5)
for ladder in found.ladders:
    print(f"{ladder.attribute}: mean SRCC {ladder.mean_srcc:.2f}")
write_report("ladders", "ladder", ladder_makers(found))
