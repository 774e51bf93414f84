import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import light_evaluator
import pytest

from evolution.driver import Job
from msnas.engine.workers import ProcessLane, WorkerPool, evaluating
from msnas.errors import DataError, RunError

JOBS = [Job((i, i % 3), i % 2) for i in range(12)]


def scores(evaluations):
    return {(e.genome, e.replicate): e.score for e in evaluations if e.ok}


def wait_until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_scores_are_the_same_with_any_number_of_workers(workers):
    with evaluating(light_evaluator.build, workers=workers) as evaluate_many:
        found = list(evaluate_many(JOBS))
    assert scores(found) == {tuple(job[:2]): (light_evaluator.score_of(*job[:2]),) for job in JOBS}
    assert len({e.metrics["pid"] for e in found} - {os.getpid()}) <= workers


def test_a_candidate_that_raises_is_a_failed_result_and_the_others_go_on():
    with evaluating(light_evaluator.build, workers=1) as evaluate_many:
        found = list(evaluate_many([Job((13, 0), 1), Job((1, 0), 0)]))
    assert [(e.ok, e.replicate, e.reason) for e in found] == [
        (False, 1, "ValueError: thirteen"),
        (True, 0, ""),
    ]


def test_every_worker_has_its_number_by_which_it_takes_a_gpu():
    with evaluating(light_evaluator.build_numbered, workers=2) as evaluate_many:
        assert {e.score for e in evaluate_many(JOBS[:2])} == {(0.0,), (1.0,)}


@pytest.mark.parametrize("times", [1, 2])
def test_a_candidate_whose_worker_is_killed_is_run_again_and_no_other_is_lost(tmp_path, times):
    build = partial(light_evaluator.build_deadly, tmp_path, times)
    with evaluating(build, workers=2) as evaluate_many:
        found = list(evaluate_many(JOBS))
    assert scores(found) == {tuple(job[:2]): (light_evaluator.score_of(*job[:2]),) for job in JOBS}
    assert len({path.read_text() for path in tmp_path.iterdir()}) == times


def test_a_candidate_that_kills_three_workers_is_failed_and_the_search_goes_on(tmp_path):
    with evaluating(partial(light_evaluator.build_deadly, tmp_path, 99), workers=2) as evaluate_many:
        found = list(evaluate_many(JOBS))
    (failed,) = [e for e in found if not e.ok]
    assert failed.genome[0] == 7
    assert failed.reason == "Its worker process died 3 times; most likely no memory was left."
    assert len(found) == len(JOBS)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_building_an_evaluator_raises_reaches_the_search():
    with (
        evaluating(light_evaluator.build_refused, workers=2) as many,
        pytest.raises(DataError, match="not sound"),
    ):
        list(many(JOBS))


def test_workers_that_die_while_they_start_are_not_started_for_ever():
    with (
        evaluating(light_evaluator.build_dying, workers=1) as many,
        pytest.raises(RunError, match="3 in a row died"),
    ):
        list(many(JOBS))


def test_jobs_are_taken_only_when_a_worker_is_free_for_them():
    taken = []

    def jobs():
        for job in JOBS:
            taken.append(job)
            yield job

    with evaluating(light_evaluator.build, workers=1) as evaluate_many:
        finished = [(evaluation.genome, len(taken)) for evaluation in evaluate_many(jobs())]
    assert finished == [(job.genome, number) for number, job in enumerate(JOBS, start=1)]


def test_a_search_that_stops_early_leaves_workers_that_can_go_on():
    with evaluating(light_evaluator.build, workers=2) as evaluate_many:
        next(iter(evaluate_many(JOBS)))
        assert len(list(evaluate_many(JOBS))) == len(JOBS)


def test_closing_ends_workers_in_the_middle_of_a_candidate(tmp_path):
    lane = ProcessLane(partial(light_evaluator.build_slow, tmp_path))
    pool = WorkerPool([lane])
    lane.submit(JOBS[0])
    assert wait_until(lambda: list(tmp_path.iterdir()))
    pid = int(next(tmp_path.iterdir()).name)
    began = time.monotonic()
    pool.close()
    assert time.monotonic() - began < 5
    assert not alive(pid)


def test_workers_end_when_the_search_is_killed(tmp_path):
    code = (
        "import sys; sys.path.insert(0, {here!r})\n"
        "from functools import partial; from pathlib import Path; import light_evaluator\n"
        "from evolution.driver import Job; from msnas.engine.workers import evaluating\n"
        "if __name__ == '__main__':\n"
        "    with evaluating(partial(light_evaluator.build_slow, Path({out!r})), workers=2) as many:\n"
        "        list(many([Job((1,), 0), Job((2,), 0)]))\n"
    )
    script = tmp_path / "search.py"
    out = tmp_path / "out"
    out.mkdir()
    script.write_text(code.format(here=str(Path(__file__).parent), out=str(out)))
    search = subprocess.Popen([sys.executable, str(script)])
    try:
        assert wait_until(lambda: len(list(out.iterdir())) == 2)
    finally:
        search.send_signal(signal.SIGKILL)
        search.wait()
    pids = [int(path.name) for path in out.iterdir()]
    assert wait_until(lambda: not any(map(alive, pids)))
