"""The public surface of the package, and what importing it costs."""

import subprocess
import sys

import evolution


def test_every_public_name_can_be_imported():
    assert all(getattr(evolution, name).__name__ == name for name in evolution.__all__ if name != "Genome")
    assert evolution.Genome == tuple[int, ...]


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(evolution, "NoSuchStrategy")


def test_no_training_or_configuration_package_is_imported():
    code = (
        "import sys, evolution\n"
        "for name in evolution.__all__: getattr(evolution, name)\n"
        "print(sorted({'torch', 'torchvision', 'hydra', 'supernet', 'msnas', 'timm'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
