"""Other people's systems on our data, judged by our judge. Nothing in training/ or service/ imports this."""
