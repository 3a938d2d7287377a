"""`convscope serve`: a trained network answers over HTTP."""
