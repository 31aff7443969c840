"""See which parts of a photograph the score depends on.

The left half of the photograph is blurred. Saliency is the gradient of the score times the pixels, averaged over
noisy copies: red raises the score, blue lowers it.
"""

from PIL import Image, ImageFilter

import perceptmetrics
from perceptmetrics.explain import explain_images
from perceptmetrics.reports import write_explanations

photograph = Image.open("photos/sharp/chelsea.png")
left = (0, 0, photograph.width // 2, photograph.height)
photograph.paste(photograph.crop(left).filter(ImageFilter.GaussianBlur(3)), left)
photograph.save("half_blurred.png")
metric = perceptmetrics.create_metric("lite_iqa")
explanations = explain_images(metric, ["half_blurred.png"], methods=["saliency"], samples=4)
print(f"score {metric.score('half_blurred.png').item():.2f}")
write_explanations("saliency.png", explanations)
