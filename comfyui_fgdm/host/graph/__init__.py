"""Runs of factor graphs: variables, hints between them, joint and sequential guiders."""
