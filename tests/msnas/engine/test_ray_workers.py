"""The pool on a Ray of this machine: same scores, nothing lost, nodes come and go. Evaluators cost nothing."""

import logging
import os
import sys
import warnings
from functools import partial

import light_evaluator
import pytest
import torch

from evolution.driver import Job, run_search
from evolution.history import History
from evolution.multi_scale import MultiScaleEvolution
from evolution.table_space import TableSpace
from msnas.errors import ConfigError, DataError, RunError

ray = pytest.importorskip("ray")
ray_workers = pytest.importorskip("msnas.engine.ray_workers")
evaluating_on_ray = ray_workers.evaluating_on_ray

JOBS = [Job((i, i % 3), i % 2) for i in range(12)]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Two CPUs and a GPU that is only claimed."""
    path = os.pathsep.join(sys.path)
    options = {
        "runtime_env": {"env_vars": {"PYTHONPATH": path}},
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
        "object_store_memory": 80 * 2**20,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, num_gpus=1, log_to_driver=False, logging_level=logging.ERROR, **options)
    yield
    ray.shutdown()


def on_ray(build, *shared, **options):
    return evaluating_on_ray(build, *shared, **{"use_gpus": False, **options})


def scores(evaluations):
    return {(e.genome, e.replicate): e.score for e in evaluations if e.ok}


EXPECTED = {tuple(job[:2]): (light_evaluator.score_of(*job[:2]),) for job in JOBS}


@pytest.mark.parametrize("workers", [1, 0])
def test_scores_are_those_of_this_process(workers):
    with on_ray(light_evaluator.build, workers=workers) as evaluate_many:
        found = list(evaluate_many(JOBS))
        assert scores(list(evaluate_many(JOBS[:3]))).items() <= EXPECTED.items()  # the workers are still there
    assert scores(found) == EXPECTED
    assert len({e.metrics["pid"] for e in found}) <= 2


def test_a_search_with_a_worker_killed_in_mid_generation_finds_the_same(tmp_path):
    def winners(name, evaluate_many):
        rows = [(a, b) for a in range(4, 10) for b in range(3)]
        space = TableSpace(rows, cardinalities=(10, 3), sections={"a": slice(0, 1), "b": slice(1, 2)})
        strategy = MultiScaleEvolution(space, seed=0, population_size=12, children=4, iterations=1, n_random=1)
        with History(tmp_path / name, fingerprint={}) as history:
            return [(one.genome, one.mean) for one in run_search(strategy, evaluate_many, history).winners]

    deaths = tmp_path / "deaths"
    deaths.mkdir()
    here = winners("here", lambda jobs: [light_evaluator.evaluate(*job[:2]) for job in jobs])
    with on_ray(partial(light_evaluator.build_deadly, deaths, 1)) as evaluate_many:
        assert winners("there", evaluate_many) == here
    assert len(list(deaths.iterdir())) == 1


def test_what_building_an_evaluator_raises_reaches_the_search():
    with on_ray(light_evaluator.build_refused) as many, pytest.raises(DataError) as error:
        list(many(JOBS))
    assert str(error.value) == "The data is not sound."


def test_workers_that_die_while_they_start_are_not_started_for_ever():
    with on_ray(light_evaluator.build_dying, workers=1) as many, pytest.raises(RunError, match="3 in a row died"):
        list(many(JOBS))


def test_tensors_are_read_where_the_node_keeps_them():
    weights = {"w": torch.arange(1_000_000.0), "n": torch.tensor(3)}
    with on_ray(light_evaluator.build_from, weights, workers=1) as evaluate_many:
        [found] = evaluate_many([Job((5,), 0)])
    assert found.score == (5.0 + 3,)
    assert found.metrics["in_store"] == 1


def test_a_node_that_joins_is_used_and_one_that_leaves_is_not(monkeypatch):
    cpus = [1.0]
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": n}} for n in cpus])
    needs = {"num_cpus": 1, "num_gpus": 0}
    with ray_workers.RayPool(lambda: ray_workers.RayLane(light_evaluator.build, [], needs), needs, at_most=0) as pool:
        first = list(pool.evaluate_many(JOBS[:2]))
        cpus.append(1.0)
        list(pool.evaluate_many(JOBS[:4]))
        joined = len(pool._lanes)
        cpus.pop()
        last = list(pool.evaluate_many(JOBS))
        assert (joined, len(pool._lanes)) == (2, 1)
    assert scores(first).items() <= EXPECTED.items()
    assert scores(last) == EXPECTED


def test_a_cluster_without_room_is_one_clear_error():
    with (
        pytest.raises(RunError, match=r"room for one worker \(99 CPU\), but it has 2 CPU"),
        on_ray(light_evaluator.build, threads=99),
    ):
        pass


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="workers_per_gpu"), on_ray(light_evaluator.build, workers_per_gpu="many"):
        pass


def test_a_node_that_cannot_make_a_worker_says_why():
    def build(missing):
        raise AssertionError

    class Unknown:
        def __reduce__(self):
            return __import__, ("no_such_module",)

    with on_ray(build, Unknown(), workers=1) as many, pytest.raises(RunError, match="No module named 'no_such_module'"):
        list(many(JOBS))


# Workers a GPU


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({1: 10, 2: 19, 4: 20, 8: 40}, 2),
        ({1: 10, 2: 10.5}, 1),
        ({1: 10, 2: 20, 4: None}, 2),
        ({1: 1, 2: 2, 4: 4, 8: 8}, 8),
    ],
)
def test_workers_a_gpu_are_doubled_while_it_pays_and_memory_lasts(rates, expected):
    assert ray_workers.most_useful(rates.__getitem__) == expected


@pytest.mark.parametrize("workers", range(1, 9))
def test_all_workers_of_a_gpu_fit_on_it_in_rays_ten_thousandths(workers):
    assert workers * round(10_000 * ray_workers.share_of_gpu(workers)) <= 10_000


def test_a_share_of_a_gpu_is_measured_with_the_evaluators_own_work(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(ray_workers, "PROBE", 0.1)
    with on_ray(partial(light_evaluator.build_crowded, tmp_path, 1), use_gpus=True) as evaluate_many:
        assert scores(list(evaluate_many(JOBS))) == EXPECTED
    assert "1 workers a GPU, as measured" in caplog.text


def test_an_evaluator_that_cannot_be_timed_has_a_gpu_alone_and_that_is_said(caplog):
    with on_ray(light_evaluator.build, use_gpus=True) as evaluate_many:
        assert scores(list(evaluate_many(JOBS[:2]))).items() <= EXPECTED.items()
    assert "1 workers a GPU, as candidates cannot be timed; give hardware.workers_per_gpu=N" in caplog.text


@pytest.mark.parametrize("gpus", [0, 1])
def test_the_cluster_is_asked_whether_it_has_gpus(gpus, monkeypatch):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": gpus})
    assert ray_workers.has_gpus(None) == bool(gpus)


def test_without_a_gpu_it_says_what_a_worker_takes(caplog):
    with on_ray(light_evaluator.build):
        assert "There is no GPU: a worker takes 1 of the CPU's threads." in caplog.text
