"""The base class of the stages of training."""

import copy
import dataclasses


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a stage costs on this machine, for all folds.

    Args:
        minutes: computing time.
        disk: bytes of the files that it caches.
        validated_epochs: number of epochs that end by predicting the validation images with the whole network.
    """

    minutes: float
    disk: float = 0.0
    validated_epochs: int = 0


class Stage:
    """A part of training: which layers learn from what, for how long, at what cost, and how it is resumed.

    A run's stages follow one another; each starts with the network as the stage before left it. A new kind is one
    subclass, listed in `kagglekit.training.stages.STAGES`: it defines `plan` and `fit`, and overrides what differs.

    Args:
        setup: the `Setup` that the stages of a run share.
        name: name of the stage in history, bars and plots.
        first: number of epochs before it.
        epochs: number of epochs that its schedule spans.
        learning_rate: peak of the schedule.

    Attributes:
        end: number (from 1) of the epoch after which it ends: `first + epochs`, unless it was made to end earlier.
    """

    def __init__(self, setup, name, *, first, epochs, learning_rate=0.0):
        self.setup, self.name, self.first, self.epochs, self.learning_rate = setup, name, first, epochs, learning_rate
        self.end = first + epochs

    @classmethod
    def plan(cls, setup):
        """Return the stages of this kind that a setup's recipe needs, a list."""
        raise NotImplementedError

    def ending_after(self, epoch):
        """Return a copy that ends after an epoch (counted over all stages, from 1), its schedule unchanged."""
        shorter = copy.copy(self)
        shorter.end = min(epoch, self.end)
        return shorter

    def choose_layers(self, model):
        """Choose the layers of a network that the stage trains. Defaults to leaving them as they are."""

    def cost(self, timing):
        """Return the `Cost` of the stage, as `kagglekit.planning.cost.Timing` measures this machine."""
        return Cost(0.0)

    def prepare(self):
        """Compute and cache what all folds share, so that other processes find it."""

    def steps(self, fold):
        """Return by how many steps `fit` moves the progress bar on."""
        return 0

    def fit(self, fold, checkpoint):
        """Train the setup's network on all rows but a fold's.

        Args:
            fold: number of the fold that is held out, or `"refit"` for none.
            checkpoint: the `Checkpoint` of the fold, where `arrays` and `values` hold what this stage saved
                before it was interrupted.

        Returns:
            `(rows, predictions)`: the history, a list of what `history_row` returns; and the predictions of the
            held-out rows, float32 `(rows, outputs)`.
        """
        raise NotImplementedError
