"""What a user of the search spaces can get wrong."""


class SpaceError(ValueError):
    """An architecture, a budget or a space setting breaks a rule; the message names the rule and what came."""


class BudgetError(SpaceError):
    """A budget that no architecture of the space keeps; the message names what there is."""
