"""Programs for those who work on the project: pages, tables, images and bills made of its code."""
