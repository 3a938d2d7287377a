"""An HTTP endpoint that answers with what a run's network sees in images."""
