"""A class on a site: its settings in one file, whether they hold, what learners show and hand in."""
