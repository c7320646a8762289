"""What the organiser gave, as clean tables: layouts, sources of images, presets. No TensorFlow here."""
