"""See why a score is low: seven attributes of an image, side by side.

`lite_attributes` works offline; `clipiqa` takes attributes of your own as prompts. 1 is the good end of each.
"""

import perceptmetrics
from perceptmetrics.experiments import attribute_profiles
from perceptmetrics.reports import attribute_makers, write_report

metric = perceptmetrics.create_metric("lite_attributes")
images = [f"photos/{kind}/motorcycle_left.png" for kind in ("sharp", "blurred", "noisy", "jpeg_30")]
profiles = attribute_profiles([metric], images)
for profile in profiles.images:
    print(profile.image, *(f"{score:.2f}" for score in profile.scores))
write_report("attributes", "radar", attribute_makers(profiles))
