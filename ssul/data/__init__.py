"""Reading, cropping and sampling indexed images."""
