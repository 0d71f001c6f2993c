"""Reading files of results and drawing their figures: what the notebooks share."""
