"""The exemplar memory of SSUL-M."""
