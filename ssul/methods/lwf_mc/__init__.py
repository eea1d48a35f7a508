"""LwF-MC (Rebuffi et al., CVPR 2017)."""
