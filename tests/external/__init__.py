"""What another package brings to perceptmetrics: metrics, and methods of a new shape, one file each."""
