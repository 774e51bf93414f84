"""What kind of ONNX file is wanted: how many images at once, of which size, in which precision."""

from dataclasses import dataclass

from msnas.errors import ConfigError

# The words of `export.sizes`, and the inputs that a file each is written for.
SIZES = {"common": ("common",), "both": ("landscape", "portrait"), "any": ("any",)}
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """Options `export.*`; fields are checked (ConfigError).

    batch: images of one call. sizes: "common", what most images of the data are padded to; "both", a file for landscape
    and one for portrait; "any", the long side squared. precision: of convolutions, full layers and norms.
    """

    batch: int = 1
    sizes: str = "common"
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1:
            raise ConfigError(f"export.batch must be a whole number from 1 on, but got {self.batch!r}.")
        for name, value, known in (("sizes", self.sizes, SIZES), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise ConfigError(f"export.{name} must be one of {', '.join(known)}, but got {value!r}.")

    def files(self) -> dict[str, str]:
        """The inputs that a file is written for, and the file's name: no two kinds of file share one."""
        return {size: self._name(size) for size in SIZES[self.sizes]}

    def _name(self, size: str) -> str:
        words = ["model"]
        words += [size] if size != "common" else []
        words += [f"batch{self.batch}"] if self.batch > 1 else []
        words += [self.precision] if self.precision != "fp32" else []
        return "-".join(words) + ".onnx"
