"""How fast a run's network answers in each engine that is present."""
