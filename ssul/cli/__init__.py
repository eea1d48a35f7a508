"""The command `ssul`."""
