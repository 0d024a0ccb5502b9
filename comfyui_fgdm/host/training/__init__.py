"""Training inside the host: a MODEL as the frozen base, runs with progress, previews and interruption."""
