"""SSUL (Cha et al., NeurIPS 2021)."""
