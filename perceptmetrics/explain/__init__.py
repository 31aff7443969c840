"""Why a metric gives the score it gives: attention heads, saliency, crops."""
