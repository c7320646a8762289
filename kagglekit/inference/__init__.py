"""From networks to predictions."""
