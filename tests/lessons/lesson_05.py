"""Lesson 05 is the one that is driven whole, as a person would: tests/browser/test_lesson_05.py."""

WIDGETS: list = []
