"""ssul: class-incremental semantic segmentation with unknown labels (SSUL, NeurIPS 2021)."""
