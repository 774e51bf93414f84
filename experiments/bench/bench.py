"""Every promise of speed beside what it is compared with, as one table: `make bench`, without a GPU.

    OMP_NUM_THREADS=1 python experiments/bench/bench.py [ROW...] [--list] [--tiny] > TABLE

The two works of a row take turns in one run, so that a busy machine disturbs both; the ratios of the rounds are the
result. `--tiny` only shows that a row runs: its numbers mean nothing.
"""

import time
from collections.abc import Callable

import annotation_index
import budget_draw
import candidates
import data_parallel
import evaluation
import reading
import supernet_step
import synchronisations
import torch
from timing import HEADER, Row, by_name, machine, words_of_rows

ROWS: dict[str, Callable[[bool], list[Row]]] = {
    "step": supernet_step.rows,
    "evaluation": evaluation.rows,
    "reading": reading.rows,
    "start": annotation_index.rows,
    "ap": evaluation.ap_rows,
    "masks": evaluation.mask_rows,
    "data_parallel": data_parallel.rows,
    "draw": budget_draw.rows,
    "candidate": candidates.rows,
    "waits": synchronisations.rows,
}


def main(words: list[str] | None = None) -> None:
    """Run the rows that are named, or all, and print each when it is done."""
    asked = words_of_rows(ROWS, str(__doc__)).parse_args(words)
    names = by_name(ROWS, asked.rows)
    if asked.list:
        print("\n".join(names))
        return
    torch.set_num_threads(1)
    began = time.perf_counter()
    print(HEADER, flush=True)
    for name in names:
        for row in ROWS[name](asked.tiny):
            print(row, flush=True)
    print(f"\n{machine()} In all {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
