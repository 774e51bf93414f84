from dataclasses import replace
from functools import partial

import pytest
import tiny_pipeline
import torch
from engine_fakes import state_bits

from evolution.driver import Job
from msnas.engine import detector_scoring
from msnas.engine.detector_scoring import CandidateEvaluator
from msnas.engine.devices import Hardware
from msnas.engine.evaluation import FirstImages, evaluate
from msnas.engine.recipe import Recipe
from msnas.engine.workers import evaluating
from msnas.errors import ConfigError, DataError, TrainingError


@pytest.fixture(scope="module")
def evaluator(tiny):
    return tiny_pipeline.evaluator(tiny.folder, tiny.weights)


@pytest.fixture(scope="module")
def scored(tiny, evaluator):
    """Each genome once, in order."""
    return [evaluator(genome) for genome in tiny.genomes]


def test_scores_are_ok_positive_and_differ(scored):
    assert [evaluation.reason for evaluation in scored] == ["", "", ""]
    assert len({evaluation.score for evaluation in scored}) == 3
    assert max(evaluation.score[0] for evaluation in scored) > 0


def test_scoring_a_b_a_gives_the_score_of_a_twice_bit_for_bit(tiny, evaluator, scored):
    a, b = tiny.genomes[:2]
    again = [evaluator(genome) for genome in (a, b, a)]
    assert [e.metrics for e in again] == [scored[0].metrics, scored[1].metrics, scored[0].metrics]


def test_a_score_depends_on_no_random_state_and_no_thread_count_outside(tiny, evaluator, scored):
    threads = torch.get_num_threads()
    torch.manual_seed(12345)
    torch.set_num_threads(2)
    try:
        assert evaluator(tiny.genomes[2]).metrics == scored[2].metrics
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_the_supernet_is_never_changed(tiny, evaluator):
    before = state_bits(evaluator.supernet)
    evaluator(tiny.genomes[0])
    assert state_bits(evaluator.supernet) == before


def test_another_replicate_is_another_draw_and_is_repeatable(tiny, evaluator, scored):
    first, again = (evaluator(tiny.genomes[0], 1) for _ in range(2))
    assert first.metrics == again.metrics != scored[0].metrics
    assert first.replicate == 1


def test_a_replicate_alone_keeps_its_ap_on_draws_of_the_images(tiny, evaluator, scored):
    assert scored[0].draws == ()
    assert len(evaluator(tiny.genomes[0], 1).draws) == detector_scoring.IMAGE_DRAWS


def test_every_candidate_sees_the_same_batches_and_the_same_draws(tiny, evaluator):
    seen = []

    class Recorder:
        def __init__(self, batches):
            self.batches = batches

        def batch(self, step):
            images, targets = self.batches.batch(step)
            seen.append((step, [t["image_id"] for t in targets], torch.initial_seed(), images[0].sum().item()))
            return images, targets

    make = evaluator.make_batches
    recording = tiny_pipeline.evaluator(tiny.folder, tiny.weights)
    recording.make_batches = lambda size, seed: Recorder(make(size, seed))
    for genome in tiny.genomes[:2]:
        recording(genome)
    assert [step for step, *_ in seen] == [0, 1, 2] * 2
    assert seen[:3] == seen[3:]


def test_without_iterations_the_supernet_is_scored_as_it_is(tiny, evaluator):
    raw = tiny_pipeline.evaluator(tiny.folder, tiny.weights, iterations=0)
    architecture = tiny_pipeline.space().decode(tiny.genomes[0])
    direct = evaluate(evaluator.supernet, evaluator.score_data, path=architecture)
    assert raw(tiny.genomes[0]).metrics == direct.numbers


@pytest.mark.parametrize(("kind", "parts"), [("bn", {"statistics"}), ("bn+finetune", {"finetune", "statistics"})])
def test_a_recipe_does_its_parts_and_scores_otherwise_than_the_raw_weights(tiny, scored, kind, parts):
    other = tiny_pipeline.evaluator(tiny.folder, tiny.weights, kind=kind)
    evaluation = other(tiny.genomes[0])
    assert evaluation.ok
    assert {part for part in ("finetune", "statistics") if other.times[part] > 0} == parts
    assert evaluation.metrics != scored[0].metrics


def test_a_score_without_classes_is_kept_beside_coco_s_numbers(tiny, scored):
    other = tiny_pipeline.evaluator(tiny.folder, tiny.weights, metric="ap_agnostic")
    evaluation = other(tiny.genomes[0])
    assert evaluation.score == (evaluation.metrics.pop("ap_agnostic"),)
    assert evaluation.metrics == scored[0].metrics
    assert evaluation.score != scored[0].score


def test_an_evaluation_holds_cost_recipe_seed_and_seconds(tiny, scored):
    first = scored[0]
    cost = tiny_pipeline.space().cost(tiny.genomes[0])
    assert first.cost == {"macs": cost.macs, "params": cost.params}
    recipe = {
        "recipe": "finetune",
        "iterations": 3,
        "batch": 4,
        "lr": 0.04 * 4 / 32,
        "threads": 1,
        "score_images": 8,
    }
    assert recipe.items() <= first.recipe.items()
    assert (first.seed, first.replicate, first.status) == (5, 0, "ok")
    assert first.seconds > 0
    assert set(first.metrics) >= {"ap", "ap50", "ap_small", "ar100"}


@pytest.mark.parametrize("error", [DataError("The image is gone."), torch.OutOfMemoryError("CUDA out of memory")])
def test_whatever_goes_wrong_is_a_failed_evaluation_with_its_reason(tiny, evaluator, monkeypatch, error):
    def broken(size, seed):
        raise error

    monkeypatch.setattr(evaluator, "make_batches", broken)
    monkeypatch.setattr(evaluator, "_made", {})
    failed = evaluator(tiny.genomes[0])
    assert (failed.status, failed.score) == ("failed", ())
    assert failed.reason == f"{type(error).__name__}: {error}"


def test_a_candidate_that_runs_out_of_memory_once_is_scored_alone(tiny, evaluator, scored, monkeypatch):
    make, calls = evaluator.make_batches, []

    def crowded(size, seed):
        calls.append(size)
        if len(calls) == 1:
            raise TrainingError("No memory.") from torch.OutOfMemoryError("CUDA out of memory")
        return make(size, seed)

    monkeypatch.setattr(evaluator, "make_batches", crowded)
    monkeypatch.setattr(evaluator, "_made", {})
    assert evaluator(tiny.genomes[0]).metrics == scored[0].metrics


def test_a_supernet_that_does_not_fit_on_a_gpu_is_a_failed_evaluation_too(evaluator, tiny, monkeypatch):
    def full(hardware, model):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Hardware, "place", full)
    parts = (evaluator.supernet, evaluator.make_batches, evaluator.score_data)
    fresh = CandidateEvaluator(*parts, space=evaluator.space, recipe=evaluator.recipe, seed=5)
    assert fresh(tiny.genomes[0]).reason == "OutOfMemoryError: CUDA out of memory"


def test_a_small_candidate_is_timed_whole(tiny, evaluator, monkeypatch):
    seen = []
    monkeypatch.setattr(detector_scoring, "detect", lambda model, images, **options: seen.append(len(images)))
    assert evaluator.steps_per_second(0.0) > 0
    assert seen == [8]


def test_replicates_are_scored_on_images_that_the_search_did_not_see(tiny, evaluator):
    other = FirstImages(evaluator.score_data, 2)
    options = {"space": evaluator.space, "recipe": evaluator.recipe, "seed": 5, "hardware": evaluator.hardware}
    parts = (evaluator.supernet, evaluator.make_batches)
    second = CandidateEvaluator(*parts, evaluator.score_data, again_data=other, **options)
    on_other = CandidateEvaluator(*parts, other, **options)
    genome = tiny.genomes[0]
    assert second(genome).metrics == evaluator(genome).metrics
    assert second(genome, 1).metrics == on_other(genome, 1).metrics != evaluator(genome, 1).metrics


def test_fp16_is_refused_for_candidates_that_are_trained(tiny, evaluator):
    options = {"space": evaluator.space, "seed": 0, "hardware": Hardware(precision="fp16")}
    with pytest.raises(ConfigError, match="precision=fp16; use fp32 or bf16"):
        CandidateEvaluator(evaluator.supernet, evaluator.make_batches, evaluator.score_data, recipe=Recipe(), **options)


def test_a_candidate_is_finetuned_by_the_optimizer_of_its_recipe(tiny, scored):
    other = tiny_pipeline.evaluator(tiny.folder, tiny.weights, optimizer="adamw", lr=0.01)
    evaluation = other(tiny.genomes[0])
    assert evaluation.recipe["optimizer"] == "adamw"
    assert evaluation.metrics != scored[0].metrics


def test_a_candidate_that_diverges_is_failed_and_the_next_is_scored_as_ever(tiny, evaluator, scored, monkeypatch):
    monkeypatch.setattr(evaluator, "recipe", replace(evaluator.recipe, lr=1e9))
    assert evaluator(tiny.genomes[1]).reason.startswith("TrainingError: ")
    monkeypatch.undo()
    assert evaluator(tiny.genomes[1]).metrics == scored[1].metrics


def test_ctrl_c_is_no_failed_candidate(tiny, evaluator, monkeypatch):
    def interrupted(size, seed):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluator, "make_batches", interrupted)
    monkeypatch.setattr(evaluator, "_made", {})
    with pytest.raises(KeyboardInterrupt):
        evaluator(tiny.genomes[0])


def test_workers_give_the_scores_of_this_process_bit_for_bit(tiny, scored):
    build = partial(tiny_pipeline.evaluator, tiny.folder, tiny.weights)
    with evaluating(build, workers=2) as evaluate_many:
        found = {e.genome: e.metrics for e in evaluate_many([Job(genome, 0) for genome in tiny.genomes])}
    assert found == {evaluation.genome: evaluation.metrics for evaluation in scored}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kind": "none"}, "one of finetune, bn, bn\\+finetune, but got 'none'"),
        ({"metric": "map"}, "one of ap, ap_agnostic, but got 'map'"),
        ({"iterations": -1}, "iterations >= 0"),
        ({"kind": "bn", "bn_images": 8}, "16 <= bn_batch <= bn_images"),
        ({"lr": -1.0}, "lr"),
    ],
)
def test_a_recipe_that_breaks_a_rule_is_refused(wrong, told):
    with pytest.raises(ConfigError, match=told):
        Recipe(**wrong)


def test_each_rung_has_its_recipe_and_a_score_as_that_recipe_alone_gives(tiny, scored):
    halved = tiny_pipeline.evaluator(tiny.folder, tiny.weights)
    halved.rungs = (replace(halved.recipe, iterations=0), halved.recipe)
    low, high = (halved(tiny.genomes[0], rung=rung) for rung in (0, 1))
    assert (low.rung, low.recipe["iterations"], high.rung) == (0, 0, 1)
    assert high.metrics == scored[0].metrics != low.metrics
