"""What developers and CI run: set-up, the test host, the demo and the bench. Not part of the registry archive."""
