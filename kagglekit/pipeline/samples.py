"""Single rows of records as the pipelines show them: for figures and checks, which need only a few."""

import numpy as np

from kagglekit._random import row_generator
from kagglekit.pipeline.decoding import Decoder
from kagglekit.records.rows import RowReader


class Samples:
    """The rows of some parts of records, by their number from 0.

    Args:
        records: `Records`.
        recipe: a `Recipe`: `image_size`, `channels` and `resize` are used, for `trained` also `policy`,
            `augment_strength` and `seed`.
        parts: a fold's number, a list of them, or `"test"`.

    Attributes:
        index: columns of `Records.index`, a dict of arrays.
    """

    def __init__(self, records, recipe, parts):
        self.recipe, self.decoder = recipe, Decoder(records, recipe)
        self._reader = RowReader(records, parts)
        self.index = self._reader.index

    def __len__(self):
        return len(self._reader)

    def spread(self, most):
        """Return the numbers of at most so many rows, evenly spread, since rows are often sorted by class."""
        return np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(int))

    def stored(self, number):
        """Return a whole image as it is stored, uint8 `(height, width, channels)`; float32 in `[0, 255]` if of 16 bits.

        A JPEG of more than twice the network's size is reduced while it is decoded.
        """
        shape = self._reader.shape(number)
        return self.decoder.decode(self._planes(number), shape, (0, 0, *shape))

    def evaluated(self, number):
        """Return an image as `eval_dataset` gives it: float32 in `[0, 255]`, `(height, width, channels)`."""
        return self.augmented(number, (), None)

    def trained(self, number, epoch):
        """Return an image as `train_dataset` gives it in an epoch, before any mix: as `evaluated`."""
        rng = row_generator(self.recipe.seed, epoch, self.index["row"][number])
        return self.augmented(number, self.recipe.policy, rng, self.recipe.strength_in(epoch), anywhere=True)

    def augmented(self, number, policy, rng, strength=1.0, *, anywhere=False):
        """Return an image as a policy changes it: float32 in `[0, 255]`, `(height, width, channels)`.

        Args:
            number: of the row.
            policy: as `kagglekit.augment.draw` takes it.
            rng: `np.random.Generator`.
            strength: factor on the policy's strengths.
            anywhere: with `short_side_crop`, whether the crop's place is drawn, as in training.
        """
        out = np.empty((*self.decoder.size, self.decoder.channels), np.float32)
        planes, shape = self._planes(number), self._reader.shape(number)
        self.decoder.augment(planes, shape, policy, rng, strength=strength, centred=not anywhere, out=out)
        return out

    def differ(self, image, plain):
        """Return whether an image differs from `plain` by more than rounding: by a grey level or more."""
        level = max(float(plain.max()), 1) / 255 if self.decoder.deep else 1
        return bool(np.abs(image - plain).max() >= level)

    def _planes(self, number):
        return next(self._reader.read(np.array([number])))
