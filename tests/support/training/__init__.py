"""What the tests of training use: recipes and trainers."""
