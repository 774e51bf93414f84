"""The options by which a space and a detector are fitted to the sizes of boxes."""

import pytest

from msnas.cli import main
from msnas.config.compose import compose, groups
from msnas.setup.setup import Setup


def test_check_suggests_no_option_that_the_space_lacks(folder, capsys):
    for item in folder.train["annotations"]:
        item["bbox"], item["area"] = [*item["bbox"][:2], 3, 3], 9
    folder.write()
    assert main(["check", "data=coco", f"data.root={folder.root}", "scale=tiny", "space=msnas_timm"]) == 0
    shown = capsys.readouterr().out
    assert "space.finest" in shown
    assert "base_stride" not in shown


@pytest.mark.parametrize("detector", groups()["detector"])
@pytest.mark.parametrize("space", ["msnas_r18", "msnas_timm"])
def test_options_that_check_suggests_are_options_of_space_and_detector(space, detector):
    words = ["data=coco", "data.root=D", f"space={space}", f"detector={detector}"]
    setup = Setup(compose(words))
    values = setup.fit_options.values(setup.fit)
    again = Setup(compose([*words, *(f"{key}={value}" for key, value in values.items())]))
    assert again.fit.anchor_scale == pytest.approx(setup.fit.anchor_scale)
    assert (again.fit.base_stride, again.fit.finest) == (setup.fit.base_stride, setup.fit.finest)
