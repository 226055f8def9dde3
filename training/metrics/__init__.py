"""Numbers about images, features and distributions: functions of tensors alone."""
