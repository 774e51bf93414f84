"""Hydra configuration: one folder a group. In a wheel this folder is the package `msnas.conf`."""
