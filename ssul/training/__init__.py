"""The loop that learns one step, and what it needs: losses, rates, devices."""
