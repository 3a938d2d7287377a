"""Networks of the catalogue in a Lightning Trainer."""
