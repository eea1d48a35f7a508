"""MiB (Cermelli et al., CVPR 2020)."""
