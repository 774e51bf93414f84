"""Images are sized by the data pipeline in training and by the transform at inference; both pad."""

import torch

from msnas.detectors.transform import DetectorTransform


def transform():
    return DetectorTransform(short_side=96, long_side=160, divisor=64)


def test_training_images_keep_their_size_and_targets():
    targets = [{"boxes": torch.tensor([[1.0, 2, 3, 4]])}]
    batch, out = transform().train()([torch.rand(3, 50, 70)], targets)
    assert batch.image_sizes == [(50, 70)]
    assert tuple(batch.tensors.shape) == (1, 3, 64, 128)
    assert torch.equal(out[0]["boxes"], targets[0]["boxes"])


def test_images_are_resized_at_inference_by_short_or_long_side():
    batch, _ = transform().eval()([torch.rand(3, 48, 60), torch.rand(3, 300, 100)])
    assert batch.image_sizes == [(96, 120), (160, 53)]
    assert tuple(batch.tensors.shape) == (2, 3, 192, 128)


def test_an_image_that_is_already_sized_is_only_normalised():
    images = [torch.rand(3, 96, 120), torch.rand(3, 53, 160)]
    training, inference = transform().train()(images)[0], transform().eval()(images)[0]
    assert torch.equal(training.tensors, inference.tensors)


def test_padding_is_the_mean_colour():
    batch, _ = transform().train()([torch.rand(3, 50, 70)])
    assert batch.tensors[:, :, 50:].abs().max() == 0
    assert batch.tensors[:, :, :, 70:].abs().max() == 0


def test_boxes_are_mapped_back_to_the_given_image():
    result = [{"boxes": torch.tensor([[0.0, 0, 53, 160]])}]
    [mapped] = transform().eval().postprocess(result, [(160, 53)], [(300, 100)])
    torch.testing.assert_close(mapped["boxes"], torch.tensor([[0.0, 0, 100, 300]]))


def test_images_are_normalised_by_the_given_mean_and_deviation():
    own = DetectorTransform(short_side=96, long_side=160, divisor=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.25))
    normal = own.normalize(torch.full((3, 2, 2), 255, dtype=torch.uint8))
    assert normal[:, 0, 0].tolist() == [1.0, 1.0, 2.0]
