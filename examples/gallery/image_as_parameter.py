"""Let a metric pull at the pixels: every metric is a loss.

Gradient steps on the image itself raise the score of a noisy photograph. In a training, the same loss is a small term
beside L1: alone, it finds images that the metric likes and nobody else.
"""

import torch
from PIL import Image

import perceptmetrics

image = perceptmetrics.load_image("photos/noisy/chelsea.png")[None]
loss = perceptmetrics.create_metric("lite_iqa", as_loss=True)
pixels = image.clone().requires_grad_()
optimizer = torch.optim.Adam([pixels], lr=0.004)
for step in range(13):
    value = loss(pixels.clamp(0, 1))
    if step % 4 == 0:
        print(f"step {step:2}: score {loss.score.item():.2f}")
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
both = torch.cat([image, pixels.detach().clamp(0, 1)], dim=-1)[0]
Image.fromarray((both * 255).round().byte().permute(1, 2, 0).numpy()).save("before_and_after.png")
