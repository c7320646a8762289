"""Folds that are fair and leak nothing."""
