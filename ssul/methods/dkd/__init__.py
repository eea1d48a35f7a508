"""DKD (Baek et al., NeurIPS 2022)."""
