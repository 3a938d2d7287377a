"""Hyperparameter search: many short trainings, of which the best setting becomes a recipe."""
