"""What `convscope look` shows: the inside of a trained network (`network`), and what it makes of images (`images`)."""
