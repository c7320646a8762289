"""Augmentation: ops that draw and apply apart, and policies that name them."""

from kagglekit.inputs.augment.policies import POLICIES, augmented, random_box

__all__ = ["POLICIES", "augmented", "random_box"]
