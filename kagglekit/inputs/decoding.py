"""Stored bytes to a float picture of the network's size: decoded no larger than needed, cut while decoding."""

import tensorflow as tf

_RATIOS = (1, 2, 4, 8)  # by which libjpeg can reduce while it decodes


class Decoder:
    """Decodes the images of one set of records for one recipe.

    Args:
        records: `Records`: number of planes, bits, kind of file and size of the stored images are used.
        recipe: a `Recipe`: `image_size`, `channels` and `resize` are used.
    """

    def __init__(self, records, recipe):
        size = recipe.image_size
        self.size = size if isinstance(size, tuple) else (size, size)
        self.channels, self.resize = recipe.channels, recipe.resize
        about = records.manifest
        self.planes, self.deep, self.jpeg = about["planes"], about["bits"] == 16, about["jpeg"]
        if self.planes > 1 and self.planes != self.channels:
            raise ValueError(
                f"the records hold pictures of {self.planes} files a row; use recipe.replace(channels={self.planes})"
            )
        if self.planes == 1 and self.channels not in (1, 3):
            raise ValueError(f"the records hold one file a row, so channels must be 1 or 3, got {self.channels}")
        # libjpeg reduces while it decodes only where that leaves at least the network's size.
        self.ratios = [ratio for ratio in _RATIOS if ratio == 1 or about["record_size"] >= ratio * min(self.size)]
        # Antialiasing costs five times the resize itself and changes nothing visible below a reduction of 2.
        self.antialias = not self.jpeg and about["record_size"] > 2 * min(self.size)

    def box(self, height, width, place=None):
        """Return the part of a stored picture that is used, `(top, left, height, width)` in pixels.

        The whole picture, or for `short_side_crop` the largest part of the network's shape, in the middle or where
        `place` (two shares from 0 to 1) says.
        """
        if self.resize != "short_side_crop":
            return tf.zeros_like(height), tf.zeros_like(width), height, width
        across = tf.cast(tf.stack([height, width]), tf.float32) / tf.constant(self.size, tf.float32)
        lengths = tf.cast(tf.round(tf.reduce_min(across) * tf.constant(self.size, tf.float32)), tf.int32)
        lengths = tf.clip_by_value(lengths, 1, tf.stack([height, width]))
        room = tf.cast(tf.stack([height, width]) - lengths, tf.float32)
        start = tf.cast(tf.floor(room * (0.5 if place is None else place)), tf.int32)
        return start[0], start[1], lengths[0], lengths[1]

    def picture(self, planes, box, *, whole=False):
        """Decode the box and bring it to the network's size.

        Args:
            planes: string tensor `(planes,)` of encoded bytes.
            box: what `box` returned, or a part of that.
            whole: True where the box is the whole picture, which then need not be cut.

        Returns:
            float32 in `[0, 255]` of shape `(height, width, channels)`.
        """
        if self.planes == 1:
            image = self._decoded(planes[0], box, self.channels, whole)
        else:
            parts = [self._decoded(planes[number], box, 1, whole) for number in range(self.planes)]
            image = tf.concat(parts, axis=-1)
        image = self._resized(image)
        if self.deep:
            image = image / 257.0
        return tf.ensure_shape(image, (*self.size, self.channels))

    def _decoded(self, content, box, channels, whole):
        if self.jpeg:
            return self._jpeg(content, box, channels, whole)
        dtype, scale = (tf.uint16, 257) if self.deep else (tf.uint8, 1)  # decode_image would scale a JPEG by 256
        return tf.cond(
            tf.io.is_jpeg(content),
            lambda: tf.cast(self._jpeg(content, box, channels, whole), dtype) * scale,
            lambda: self._other(content, box, channels, dtype),
        )

    def _jpeg(self, content, box, channels, whole):
        def reduced(ratio):
            if whole:
                return tf.io.decode_jpeg(content, channels, ratio)
            window = tf.stack(box) // ratio  # crop_window counts reduced pixels
            window = tf.concat([window[:2], tf.maximum(window[2:], 1)], axis=0)
            return tf.raw_ops.DecodeAndCropJpeg(contents=content, crop_window=window, channels=channels, ratio=ratio)

        if len(self.ratios) == 1:
            return reduced(1)
        # The largest ratio that leaves the box at least as large as the network's input, on both sides
        room = tf.reduce_min(tf.stack(box[2:]) // tf.constant(self.size))
        branch = sum(tf.cast(room >= ratio, tf.int32) for ratio in self.ratios[1:])
        return tf.switch_case(branch, [lambda ratio=ratio: reduced(ratio) for ratio in self.ratios])

    def _other(self, content, box, channels, dtype):
        image = tf.io.decode_image(content, channels=channels, dtype=dtype, expand_animations=False)
        top, left, height, width = box
        return image[top : top + height, left : left + width]

    def _resized(self, image):
        """uint8 or uint16 to float32 of the network's size; letterbox puts grey beside what is too narrow."""
        if self.resize != "letterbox":
            return tf.image.resize(image, self.size, antialias=self.antialias)
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        scale = tf.reduce_min(tf.constant(self.size, tf.float32) / shape)
        inner = tf.clip_by_value(tf.cast(tf.round(shape * scale), tf.int32), 1, tf.constant(self.size))
        image = tf.image.resize(image, inner, antialias=self.antialias)
        before = (tf.constant(self.size) - inner) // 2
        after = tf.constant(self.size) - inner - before
        grey = 32896.0 if self.deep else 128.0
        return tf.pad(image, tf.stack([[before[0], after[0]], [before[1], after[1]], [0, 0]]), constant_values=grey)
