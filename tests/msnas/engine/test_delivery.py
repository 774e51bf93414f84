"""What a training says of its images."""

from msnas.engine.delivery import Delivery


def test_images_a_second_and_the_share_that_was_waited_are_of_all_steps():
    delivery = Delivery(batch=8)
    delivery.add({"seconds": 0.1, "waited": 0.1})
    delivery.add({"seconds": 0.3, "waited": 0.0})
    assert str(delivery) == "40 images/s, waiting for them 25 % of the time"


def test_before_the_first_step_nothing_is_said():
    assert str(Delivery(batch=8)) == ""
