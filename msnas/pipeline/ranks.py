"""One voice among the processes of a data-parallel training."""

import logging

from msnas.engine.distributed import Group


def quiet_unless_writing(group: Group) -> None:
    """Only the process that writes says what goes on; warnings come from all."""
    if not group.writes:
        logging.getLogger("msnas").setLevel(logging.WARNING)
