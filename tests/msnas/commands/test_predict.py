"""`msnas predict`: any folder of images; what is drawn is what is listed, and a broken file stops nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_detectors import make_detector

from msnas.cli import main
from msnas.data import video
from msnas.data.images import ImageError, read_upright
from msnas.data.named_images import find_images
from msnas.export.model_file import save

META = {"classes": ["Fisch", "крабы", "海星"], "category_ids": [3, 7, 9]}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save(folder, make_detector(short_side=48, long_side=64), META)
    return folder


@pytest.fixture(scope="module")
def answer(model, tmp_path_factory):
    """The folder of pictures made from images of every kind, and the JSON beside them."""
    root = tmp_path_factory.mktemp("in")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    noise.save(root / "rgb.jpg")
    noise.convert("L").save(root / "grau-ü-海.png")
    noise.convert("RGBA").save(root / "rgba.png")
    (root / "below").mkdir()
    noise.convert("P").save(root / "below" / "palette.gif")
    (root / "broken.jpg").write_bytes(b"no image")
    (root / "notes.txt").write_text("no image, and none by its name")
    out = root / "out"
    threads = torch.get_num_threads()
    for _ in range(2):  # the second time, `out` lies among the images
        assert main(["predict", str(model), str(root), str(out), "score=0.1", "hardware.train_threads=1"]) == 0
    torch.set_num_threads(threads)
    return out, json.loads((out / "detections.json").read_text())


def test_every_readable_image_is_drawn_at_its_own_size(answer):
    out, found = answer
    names = {"rgb.jpg", "grau-ü-海.png", "rgba.png", str(Path("below") / "palette.gif.png")}
    assert {image["picture"] for image in found["images"]} == names
    assert {read_upright(out / name).shape for name in names} == {(48, 64, 3)}


def test_a_broken_image_is_listed_with_its_reason(answer):
    [fault] = answer[1]["unreadable"]
    assert fault["file"] == "broken.jpg"
    assert "readable" in fault["reason"]


def test_detections_are_above_the_score_and_best_first(answer):
    scores = [[d["score"] for d in image["detections"]] for image in answer[1]["images"]]
    assert any(scores)
    assert all(s == sorted(s, reverse=True) and min(s, default=1) >= 0.1 for s in scores)


def test_detections_carry_the_names_and_ids_of_the_data(answer):
    found = [d for image in answer[1]["images"] for d in image["detections"]]
    names = dict(zip(META["category_ids"], META["classes"], strict=True))
    assert all(names[d["category_id"]] == d["category"] for d in found)


def test_boxes_are_drawn_into_the_picture(answer):
    out, found = answer
    image = next(i for i in found["images"] if i["file"] == "rgba.png" and i["detections"])
    original = read_upright(out.parent / image["file"])
    assert (read_upright(out / image["picture"]) != original).any()


def test_a_picture_taken_sideways_is_turned(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert read_upright(tmp_path / "a.jpg").shape == (64, 48, 3)


def test_images_are_never_written_over(model, tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert main(["predict", str(model), str(tmp_path), str(tmp_path)]) == 2
    assert "another folder" in capsys.readouterr().err


def test_a_folder_without_images_is_one_line(model, tmp_path, capsys):
    assert main(["predict", str(model), str(tmp_path), str(tmp_path / "out")]) == 2
    assert "holds no image" in capsys.readouterr().err


def test_where_no_image_can_be_read_the_exit_code_is_1(model, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    assert main(["predict", str(model), str(tmp_path), str(tmp_path / "out"), "hardware.train_threads=1"]) == 1


@pytest.mark.parametrize(("limit", "code"), [(63, 1), (64, 0)])
def test_the_limit_on_pixels_of_an_image_is_the_data_s(model, tmp_path, limit, code, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    words = [str(tmp_path), str(tmp_path / "out"), f"data.pixel_limit={limit}", "hardware.train_threads=1"]
    assert main(["predict", str(model), *words]) == code
    assert ("data.pixel_limit=NUMBER raises the limit" in capsys.readouterr().err) == bool(code)


def names_of(model, out, *sources):
    assert main(["predict", str(model), *map(str, sources), str(out), "hardware.train_threads=1"]) == 0
    return [image["picture"] for image in json.loads((out / "detections.json").read_text())["images"]]


def test_two_images_never_share_a_picture(model, tmp_path):
    for name in ("c.webp", "c.webp.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert names_of(model, tmp_path / "out", tmp_path) == ["c.webp.2.png", "c.webp.png"]


def test_several_files_and_folders_go_into_one_answer(model, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "x.png")
    sources = (tmp_path / "a", tmp_path / "b", tmp_path / "a" / "x.png")
    assert names_of(model, tmp_path / "out", *sources) == [str(Path(f) / "x.png") for f in ("a", "b")]


def test_an_out_that_ends_in_json_is_a_coco_results_file(model, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").touch()
    out = tmp_path / "out.json"
    assert main(["predict", str(model), str(tmp_path), str(out), "score=0.1", "hardware.train_threads=1"]) == 0
    assert "1 of other kinds left out. COCO results are in" in capsys.readouterr().out
    results = json.loads(out.read_text())
    assert {(item["image_id"], item["file_name"], len(item["bbox"])) for item in results} == {(1, "a.png", 4)}


def test_the_json_on_the_screen_leaves_the_counts_to_the_other_channel(model, tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    (tmp_path / "notes.txt").touch()
    assert main(["predict", str(model), str(tmp_path), str(tmp_path / "O.JSON"), "--json", "score=1.0"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == json.loads((tmp_path / "O.JSON").read_text())
    assert "1 of other kinds left out" in told.err


def test_images_where_the_output_should_stand_are_no_output(model, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert main(["predict", str(model), str(tmp_path / "a.png"), str(tmp_path / "b.png")]) == 2
    assert "goes to a folder or a .json file, the last of the words" in capsys.readouterr().err


def test_an_image_that_needs_a_plug_in_is_told_by_its_package(model, tmp_path, capsys):
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["predict", str(model), str(tmp_path / "x.heic"), str(tmp_path / "out")]) == 1
    assert "pillow-heif" in capsys.readouterr().err


def test_of_an_animation_the_first_picture_is_taken_and_that_is_said(model, tmp_path, capsys):
    still, moved = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    still.save(tmp_path / "a.gif", save_all=True, append_images=[moved])
    assert (
        main(["predict", str(model), str(tmp_path / "a.gif"), str(tmp_path / "o.json"), "hardware.train_threads=1"])
        == 0
    )
    assert "1 of several pictures, of which the first was taken" in capsys.readouterr().out


@pytest.mark.parametrize(("word", "said"), [([], True), (["data.white=1023"], False)])
def test_images_of_16_bits_that_come_out_dark_are_counted(word, said, model, tmp_path, capsys):
    Image.fromarray(np.full((48, 64), 1023, np.uint16)).save(tmp_path / "deep.png")
    words = ["predict", str(model), str(tmp_path / "deep.png"), str(tmp_path / "o.json"), "hardware.train_threads=1"]
    assert main([*words, *word]) == 0
    assert ("1 of 16 bits that leave half of them unused and look dark" in capsys.readouterr().out) == said


@pytest.mark.parametrize(
    ("white", "word", "brightest"), [(1023, [], 255), (None, [], 1023 >> 8), (None, ["data.white=1023"], 255)]
)
def test_images_of_16_bits_are_read_as_in_training_or_as_told(tmp_path, white, word, brightest):
    save(tmp_path / "model", make_detector(short_side=48, long_side=64), {**META, "white": white})
    Image.fromarray(np.full((48, 64), 1023, np.uint16)).save(tmp_path / "deep.png")
    out = tmp_path / "out"
    words = [str(tmp_path / "deep.png"), str(out), "score=1.0", "hardware.train_threads=1", *word]
    assert main(["predict", str(tmp_path / "model"), *words]) == 0
    assert int(read_upright(out / "deep.png").max()) == brightest


def test_images_that_would_be_called_alike_go_by_their_path(tmp_path):
    places = [tmp_path / folder / name for folder, name in (("a", "x.png"), ("b", "X.png"), ("c", "x.png"))]
    for place in places:
        place.parent.mkdir()
        Image.new("RGB", (8, 8)).save(place)
    sources = find_images(places, tmp_path / "out").sources
    assert [source.name for source in sources] == [str(places[0]), "X.png", str(places[2])]
    assert len({source.picture.casefold() for source in sources}) == 3


def test_detections_below_the_score_are_counted(answer, model, tmp_path, capsys):
    out = tmp_path / "out"
    words = [str(answer[0].parent / "rgba.png"), str(out), "score=1.0", "hardware.train_threads=1"]
    assert main(["predict", str(model), *words]) == 0
    below = json.loads((out / "detections.json").read_text())["below_score"]
    assert below > 0
    assert f"0 objects in 1 images; {below} of score below 1.0 left out" in capsys.readouterr().out


def test_a_results_file_never_replaces_an_image_or_a_source(model, tmp_path, capsys):
    (tmp_path / "a.json").write_text("[]")
    assert main(["predict", str(model), str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 2
    assert "must go to another file" in capsys.readouterr().err


def test_a_video_without_its_extra_is_one_line(model, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.mp4").touch()
    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: None)
    assert main(["predict", str(model), str(tmp_path / "a.mp4"), str(tmp_path / "out")]) == 2
    assert "pip install 'msnas[video]'" in capsys.readouterr().err


def test_a_video_inside_a_folder_is_left_out_and_counted(tmp_path):
    (tmp_path / "a.mp4").touch()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    found = find_images([tmp_path], tmp_path / "out")
    assert ([source.name for source in found.sources], found.videos) == (["a.png"], 1)


@pytest.fixture
def clip(tmp_path):
    """A video of five grey frames."""
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in range(0, 250, 50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return tmp_path / "clip.mp4"


def test_every_so_many_th_frame_of_a_video_is_an_image(model, clip, capsys):
    out = clip.parent / "out"
    assert main(["predict", str(model), str(clip), str(out), "every=2", "hardware.train_threads=1"]) == 0
    images = json.loads((out / "detections.json").read_text())["images"]
    assert [(i["file"], i["frame"], i["seconds"]) for i in images] == [("clip.mp4", n, (n - 1) / 10) for n in (1, 3, 5)]
    assert [read_upright(out / i["picture"]).shape for i in images] == [(48, 64, 3)] * 3
    assert "0 images and 3 frames" in capsys.readouterr().out


def test_a_video_that_cannot_be_read_is_listed(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ImageError, match=r"readable, but got a\.mp4"):
        list(video.frames(tmp_path / "a.mp4"))
