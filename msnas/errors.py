"""What a user of the command line can get wrong: one line each, the rule, what came, what to do."""


class UserError(ValueError):
    """Caught by the command line, printed without a traceback, exit code 2 (1 for a DataError)."""


class ConfigError(UserError):
    """An option that does not exist, or a value that it cannot take."""


class DataError(UserError):
    """A data set that training refuses."""


class RunError(UserError):
    """A run folder that is missing, incomplete or made by another configuration."""


class TrainingError(UserError):
    """Training cannot go on: a loss that is not finite, a batch too small for batch norm, no memory left."""


class ModelError(UserError):
    """A model file that is missing, damaged, or not one of ours."""
