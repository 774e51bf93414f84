import json
import math
import os
import signal

import pytest
import tiny_pipeline
import torch
from engine_fakes import TinyBatches, TinySupernet, random_path, schedule, state_bits

from msnas.data.batches import Batches
from msnas.engine import checkpoint
from msnas.engine.devices import Hardware
from msnas.engine.interrupt import Interrupted, StopSignal
from msnas.engine.loop import Training, train
from msnas.engine.training_files import TrainingFiles
from msnas.errors import RunError, TrainingError

FIELDS = ("steps", "lr", "clip", "weight_decay", "optimizer", "decay_norms", "slow")


def run(model=None, *, folder=None, batches=None, report=None, **changes):
    model = model or TinySupernet()
    options = {"seed": 1, "stage": "test", "path_of_step": random_path}
    options |= {key: changes.pop(key) for key in list(changes) if key not in FIELDS}
    training = Training(schedule=schedule(**changes), **options)
    files = TrainingFiles(folder=folder, every=5)
    return model, train(model, batches or TinyBatches(), training, files=files, report=report)


def killed_at(step):
    """A report that dies as a killed process does: at once, saving nothing."""

    def report(line):
        if line["step"] + 1 == step:
            raise SystemExit

    return report


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def optimizer_state(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["optimizer"]["state"]


def momentum(folder):
    return {number: entry["momentum_buffer"].numpy().tobytes() for number, entry in optimizer_state(folder).items()}


@pytest.mark.parametrize("step", [1, 4, 5, 7, 10, 11])
def test_a_killed_and_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, step):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, _ = run(folder=tmp_path / "whole")
    with pytest.raises(SystemExit):
        run(folder=tmp_path / "killed", report=killed_at(step))
    resumed, trained = run(TinySupernet(seed=9 if step >= 5 else 0), folder=tmp_path / "killed")
    assert trained.first == step // 5 * 5
    assert state_bits(resumed) == state_bits(whole)
    assert momentum(tmp_path / "killed") == momentum(tmp_path / "whole")


def test_metrics_of_a_resumed_run_hold_every_step_once_and_the_same_numbers(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    run(folder=tmp_path / "whole")
    with pytest.raises(SystemExit):
        run(folder=tmp_path / "killed", report=killed_at(8))
    with open(tmp_path / "killed" / "metrics.jsonl", "a") as file:
        file.write('{"step": 8, "lo')  # torn by the kill
    run(folder=tmp_path / "killed")
    clock = {"seconds": 0, "waited": 0}
    whole, resumed = ([{**line, **clock} for line in lines(tmp_path / name)] for name in ("whole", "killed"))
    assert resumed == whole
    assert [line["step"] for line in resumed] == list(range(12))


def test_a_line_of_metrics_has_the_loss_its_parts_the_rate_and_the_path(tmp_path):
    run(folder=tmp_path)
    first = lines(tmp_path)[0]
    assert set(first) == {"step", "loss", "lr", "norm", "loss_a", "loss_b", "seconds", "waited", "architecture"}
    assert first["loss"] == pytest.approx(first["loss_a"] + first["loss_b"])
    assert first["architecture"] == str(random_path(0))


def test_a_finished_run_does_nothing_when_started_again(tmp_path):
    model, _ = run(folder=tmp_path)
    again, trained = run(folder=tmp_path)
    assert (trained.first, trained.losses) == (12, ())
    assert state_bits(again) == state_bits(model)


def test_weights_momentum_and_statistics_of_unsampled_branches_stay_as_they_are(tmp_path):
    before = state_bits(TinySupernet())
    model, _ = run(folder=tmp_path, steps=50)
    after = state_bits(model)
    unsampled = [name for name in before if name.startswith("blocks.2.1.")]
    assert unsampled
    assert all(after[name] == before[name] for name in unsampled)
    assert after["blocks.2.0.0.weight"] != before["blocks.2.0.0.weight"]
    names = [name for name, _ in model.named_parameters()]
    moving = [any(bits) for bits in momentum(tmp_path).values()]
    assert not any(moving[names.index(name)] for name in unsampled if name in names)
    assert moving[names.index("blocks.2.0.0.weight")]


def test_adamw_leaves_unsampled_branches_as_they_are_and_keeps_no_moments_of_them(tmp_path):
    before = state_bits(TinySupernet())
    model, _ = run(folder=tmp_path, steps=50, lr=0.01, optimizer="adamw", weight_decay=0.1)
    after = state_bits(model)
    unsampled = [name for name in before if name.startswith("blocks.2.1.")]
    assert all(after[name] == before[name] for name in unsampled)
    assert after["blocks.2.0.0.weight"] != before["blocks.2.0.0.weight"]
    names = [name for name, _ in model.named_parameters()]
    with_moments = {names[number] for number in optimizer_state(tmp_path)}
    assert with_moments == set(names) - set(unsampled)


@pytest.mark.parametrize("step", [4, 7])
def test_a_killed_and_resumed_run_of_adamw_equals_the_uninterrupted_one_bit_for_bit(tmp_path, step):
    (tmp_path / "killed").mkdir()
    whole, _ = run(optimizer="adamw", lr=0.01)
    with pytest.raises(SystemExit):
        run(folder=tmp_path / "killed", report=killed_at(step), optimizer="adamw", lr=0.01)
    resumed, _ = run(folder=tmp_path / "killed", optimizer="adamw", lr=0.01)
    assert state_bits(resumed) == state_bits(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_finish_saves_and_the_run_goes_on_as_if_nothing_was(tmp_path, number):
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    whole, _ = run(folder=tmp_path / "whole")
    handler = signal.getsignal(number)
    with pytest.raises(Interrupted, match=r"test stopped after 4 of 12 steps") as stopped:
        run(
            folder=tmp_path / "stopped",
            report=lambda line: os.kill(os.getpid(), number) if line["step"] == 2 else None,
        )
    assert stopped.value.step == checkpoint_step(tmp_path / "stopped") == 4
    assert signal.getsignal(number) is handler
    resumed, _ = run(folder=tmp_path / "stopped")
    assert state_bits(resumed) == state_bits(whole)


def test_a_second_signal_right_after_the_first_changes_nothing_and_a_later_ctrl_c_ends_at_once(monkeypatch):
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        monkeypatch.setattr(StopSignal, "PATIENCE", 0.0)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def checkpoint_step(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["step"]


def test_a_loss_that_is_not_finite_names_step_and_images_and_leaves_the_weights_alone(tmp_path):
    good, _ = run(steps=6)
    model = TinySupernet()
    with pytest.raises(TrainingError, match=r"got loss_a=nan, loss_b=nan at step 6, images \[24, 25, 26, 27\]"):
        run(model, folder=tmp_path, batches=TinyBatches(poison=6))
    weights = {name: bits for name, bits in state_bits(model).items() if "running" not in name and "num" not in name}
    assert weights == {name: state_bits(good)[name] for name in weights}


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change():
    class Steep(TinySupernet):
        def forward(self, images, targets=None, path=None):
            out = super().forward(images, targets, path)
            return {"loss": (self.head.bias * 0).abs().sqrt().sum() + out["loss_a"]}  # gradient 0 * inf

    model = Steep()
    before = state_bits(model)["head.weight"]
    with pytest.raises(TrainingError, match=r"norm is nan at step 0, images \[0, 1, 2, 3\]"):
        run(model)
    assert state_bits(model)["head.weight"] == before


def test_clipping_bounds_the_norm_of_the_whole_update():
    def moved(clip):
        before, (model, _) = TinySupernet(), run(steps=1, lr=1.0, clip=clip, weight_decay=0.0)
        pairs = zip(model.parameters(), before.parameters(), strict=True)
        return sum(float((new.detach() - old.detach()).square().sum()) for new, old in pairs) ** 0.5

    assert moved(clip=0.01) == pytest.approx(0.01, rel=1e-3)
    assert moved(clip=0.0) == moved(clip=1e9) > 0.02


def test_a_checkpoint_of_another_seed_is_refused_with_the_difference(tmp_path):
    run(folder=tmp_path)
    with pytest.raises(RunError, match=r"made with seed=1, but got seed=2"):
        run(folder=tmp_path, seed=2)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run(folder=tmp_path)
    with pytest.raises(RunError, match="holds another model"):
        run(TinySupernet(depth=2), folder=tmp_path, path_of_step=lambda step: (0, 0))


def test_restarted_statistics_begin_as_those_of_the_first_batch_alone():
    model = TinySupernet()
    norm = model.blocks[0][0][1]
    norm.running_mean.fill_(1e6)
    run(model, steps=1, path_of_step=lambda step: (0, 0, 0), restart_statistics=True)
    assert float(norm.running_mean.abs().max()) < 10
    assert norm.momentum == 1


@pytest.mark.usefixtures("without_onednn")
def test_bfloat16_trains_on_the_cpu_with_weights_kept_in_full_precision():
    model, trained = run(hardware=Hardware(precision="bf16"), steps=40)
    exact, _ = run(steps=40)
    assert trained.losses[-1] < trained.losses[0]
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert state_bits(model) != state_bits(exact)


@pytest.mark.usefixtures("without_onednn")
def test_fp16_leaves_out_steps_that_overflow_and_resumes_with_its_loss_scale(tmp_path):
    half = {"hardware": Hardware(precision="fp16"), "steps": 12}  # the device check is in `choose`
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, trained = run(folder=tmp_path / "whole", **half)
    scale = torch.load(tmp_path / "whole" / "checkpoint.pt", weights_only=True)["scaler"]["scale"]
    assert scale < 65536  # it began there, so some steps overflowed
    assert all(map(math.isfinite, trained.losses))
    with pytest.raises(SystemExit):
        run(folder=tmp_path / "killed", report=killed_at(7), **half)
    resumed, _ = run(folder=tmp_path / "killed", **half)
    assert state_bits(resumed) == state_bits(whole)


def test_channels_last_changes_the_memory_layout_and_not_the_result():
    model, trained = run(hardware=Hardware(channels_last=True))
    _, plain = run()
    assert model.stem.weight.is_contiguous(memory_format=torch.channels_last)
    assert trained.losses == pytest.approx(plain.losses, rel=1e-4)


def no_room_in_cublas():
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize("ask", [lambda: torch.empty(1 << 50), no_room_in_cublas])
def test_no_memory_left_is_told_with_what_to_change(ask):
    class Huge(TinySupernet):
        def forward(self, images, targets=None, path=None):
            return {"loss": ask()}

    with pytest.raises(TrainingError, match=r"batch of 4 images must fit into memory"):
        run(Huge())


def test_every_step_is_reported_as_its_line_of_metrics(tmp_path):
    reported = []
    run(folder=tmp_path, report=reported.append)
    assert reported == lines(tmp_path)


def test_weights_alone_come_back_memory_mapped_and_equal(tmp_path):
    model, other = TinySupernet(), TinySupernet(seed=5)
    checkpoint.save_weights(tmp_path / "weights.safetensors", model)
    checkpoint.load_weights(tmp_path / "weights.safetensors", other)
    run(other)
    again = TinySupernet(seed=6)
    checkpoint.load_weights(tmp_path / "weights.safetensors", again)
    assert state_bits(again) == state_bits(model) != state_bits(other)


def test_the_real_detector_killed_and_resumed_equals_the_uninterrupted_one_bit_for_bit(tiny, tmp_path):
    data = tiny_pipeline.splits(tiny.folder)

    def run_real(folder, report=None):
        folder.mkdir(exist_ok=True)
        model = tiny_pipeline.supernet(len(data.train.classes))
        batches = Batches(data.supernet_train, 4, seed=3)
        training = Training(schedule=schedule(steps=7), seed=3, stage="real", path_of_step=tiny_pipeline.path)
        train(model, batches, training, files=TrainingFiles(folder=folder, every=3), report=report)
        return model

    whole = run_real(tmp_path / "whole")
    with pytest.raises(SystemExit):
        run_real(tmp_path / "killed", report=killed_at(5))
    assert state_bits(run_real(tmp_path / "killed")) == state_bits(whole)
    assert momentum(tmp_path / "killed") == momentum(tmp_path / "whole")


@pytest.mark.usefixtures("without_onednn")
def test_the_real_detector_trains_in_bfloat16(tiny):
    data = tiny_pipeline.splits(tiny.folder)
    model = tiny_pipeline.supernet(len(data.train.classes))
    options = {"seed": 3, "stage": "real", "path_of_step": tiny_pipeline.path}
    training = Training(schedule=schedule(steps=3), hardware=Hardware(precision="bf16"), **options)
    trained = train(model, Batches(data.supernet_train, 4, seed=3), training)
    assert all(map(math.isfinite, trained.losses))
