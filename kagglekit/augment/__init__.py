"""Augmentation with numpy and OpenCV: ops, whose parameters are drawn first and then applied, and policies of ops.

`policies` holds the named policies and `ops` the table of ops; `geometry`, `colour`, `tone`, `filters`, `masks` and
`automatic` draw and apply them, with what they share in `pixels`. `mix` mixes the images of a batch; `views` holds the
test-time (TTA) views.
"""

from kagglekit.augment.ops import OPS, Op
from kagglekit.augment.policies import POLICIES, Drawn, apply, check_policy, draw

__all__ = ["OPS", "POLICIES", "Drawn", "Op", "apply", "check_policy", "draw"]
