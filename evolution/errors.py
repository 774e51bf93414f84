"""What a user of the search strategies can get wrong."""


class StrategyError(ValueError):
    """A strategy's setting or a search's history breaks a rule; the message names the rule and what came."""
