"""The stages of training, one file each.

`STAGES` lists their kinds. The `plan` of each returns the stages of its kind that a recipe needs; a run trains them in
the order of their first epochs.
"""

from kagglekit.training.stages.cached import Cached
from kagglekit.training.stages.fine_tuning import FineTuning
from kagglekit.training.stages.stacked_heads import StackedHeads

STAGES = [StackedHeads, Cached, FineTuning]


def plan_stages(setup):
    """Return the stages that a setup's recipe needs, in order."""
    return sorted((stage for kind in STAGES for stage in kind.plan(setup)), key=lambda stage: stage.first)
