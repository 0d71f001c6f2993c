"""Two builds of the program side by side: the parts of before_after.py."""
