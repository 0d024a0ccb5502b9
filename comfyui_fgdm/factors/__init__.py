"""Condition factors as files and networks: adapters, their metadata, conversion of released checkpoints."""
