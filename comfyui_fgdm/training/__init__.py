"""The training loop and its objective; never imported by nodes at start-up."""
