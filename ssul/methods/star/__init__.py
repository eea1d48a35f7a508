"""STAR (Chen et al., NeurIPS 2023)."""
