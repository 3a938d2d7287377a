"""Searching for a better setting: what is varied, the trials on record, and what came out.

Optuna proposes the values and keeps the record; the trainings, the tables and the pictures are ours.
"""
