"""Before training: a recipe, its cost, and checks that it can learn."""
