"""Algorithms of sampling, free of any host: factor graphs and their order, start noise."""
