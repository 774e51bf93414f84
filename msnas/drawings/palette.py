"""The colours of every drawing and chart, one meaning each, told apart in print and by colour-blind readers.

The hues are near those of Okabe and Ito, "Color Universal Design", 2008; lightness differs too, so that a
grey copy reads.
"""

DOWN = "#0b5fa5"  # a block of stride 2
KEEP = "#c3cad4"  # a block of stride 1
UP = "#e07b1a"  # a block of stride 0.5
STEM = "#46505d"
LATERAL = "#8a3f8f"
HEAD = "#00795c"
BASELINE = "#d1495b"
INK = "#1d2733"
QUIET = "#66717f"
LINE = "#dfe4ea"
PAPER = "#ffffff"
LANES = ("#f4f6f9", "#fafbfd")  # alternating stripes, finest feature first
MARK = "#ffd24a"  # what differs between two architectures
GHOST = "#d3d9e2"  # the other architecture's way
# Feature strides from fine to coarse: one hue, light to dark (a step of a sequence is not a category).
STRIDES = ("#cfeadb", "#8fd0b2", "#4fb08b", "#1f8465", "#0b5140")

BLOCKS = {4.0: STEM, 2.0: DOWN, 1.0: KEEP, 0.5: UP}  # by what the block does to the stride
ON_BLOCKS = {4.0: PAPER, 2.0: PAPER, 1.0: INK, 0.5: INK}  # text that reads on each

TIMES, DASH = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"
