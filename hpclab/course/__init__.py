"""The course as files: which lessons there are, a working folder to learn in, and the learner's own work.

`lessons()` finds the notebooks, in a checkout or in an installed wheel. `lay_out(folder)` copies them where a
learner may write, and never over a learner's changes. `save_work()` and `restore_work()` carry those changes
across a lost session. `show_source` and `show_script` show how something is written."""

from hpclab.course.layout import Layout, Lesson, lay_out, lessons, root
from hpclab.course.shown import show_script, show_source
from hpclab.course.work import Restored, Saved, restore_work, save_work

__all__ = [
    "Layout", "Lesson", "Restored", "Saved", "lay_out", "lessons", "restore_work", "root", "save_work",
    "show_script", "show_source",
]  # fmt: skip
