"""PLOP (Douillard et al., CVPR 2021)."""
