"""A network with the meaning of its channels: prediction, pseudo-labels, pixel counts."""
