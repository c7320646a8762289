"""Augmentation with numpy and OpenCV: ops that draw and apply apart, and policies that name them.

`policies` strings the ops together; `ops` says what is known about each; `geometry`, `colour`, `tone`, `filters`,
`masks` and `automatic` hold how they are drawn and applied; `pixels` is what these share. `mix` mixes the images of a
batch, `views` are what a finished network is shown.
"""

from kagglekit.augment.ops import OPS, Op
from kagglekit.augment.policies import POLICIES, Drawn, apply, check_policy, draw

__all__ = ["OPS", "POLICIES", "Drawn", "Op", "apply", "check_policy", "draw"]
