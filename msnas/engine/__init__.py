"""Training, checkpoints, scoring, workers. `schedule` and `workers` can be imported without torch."""
