"""Fine-tuning: plain sequential training."""
