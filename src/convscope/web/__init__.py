"""What our servers, the explorer and `convscope serve`, have in common: answers, what is let in, how long one waits."""
