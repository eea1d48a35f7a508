"""What the datasets are, and getting, checking and drawing them."""
