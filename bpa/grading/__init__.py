"""Marks for a folder of notebooks: students' functions run in processes that do not have the answers.

`bpa.grading.judge` runs here and knows the checks; `bpa.grading.student` runs in the student's process, where
`bpa.checks` does not exist; `bpa.grading.messages` is all that passes between the two.
"""
