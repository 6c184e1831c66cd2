"""The networks and their checkpoints; they know no tokenizer and no data set."""
