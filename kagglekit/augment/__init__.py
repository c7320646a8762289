"""Augmentation with numpy and OpenCV: ops that draw and apply apart, and policies that name them.

`policies` strings the ops together; `ops` names them; `geometry`, `colour`, `tone`, `filters`, `masks` and `automatic`
hold them; `pixels` is what these share.
"""

from kagglekit.augment.ops import OPS
from kagglekit.augment.policies import POLICIES, Drawn, apply, check_policy, draw

__all__ = ["OPS", "POLICIES", "Drawn", "apply", "check_policy", "draw"]
