"""Compare the outputs of several methods, image by image.

The same photographs in several folders are compared in pairs, with bootstrap intervals and tests that are corrected
for the number of pairs of methods.
"""

import perceptmetrics
from perceptmetrics.experiments import compare_methods
from perceptmetrics.reports import methods_makers, methods_sentence, write_report

metric = perceptmetrics.create_metric("lite_iqa")
folders = ["photos/sharp", "photos/slightly_blurred", "photos/jpeg_30", "photos/noisy"]
comparison = compare_methods(metric, folders)
print(methods_sentence(comparison))
for method in comparison.methods:
    print(f"{method.folder}: mean {method.mean:.2f}, mean rank {method.mean_rank:.1f}")
write_report("methods", "compare", methods_makers(comparison))
