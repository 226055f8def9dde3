"""Images to train on: data sets, folders, pairs of domains, corruption, batches."""
