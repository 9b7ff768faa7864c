"""Self-checks of the book's exercises: `from bpa import checks`, then `checks.NAME(your_function)`.

Each check compares your function with the definition on fresh random inputs. It prints a line if they
agree, and raises `NotYet` with a hint if they do not.
"""

from bpa.checks.compare import NotYet, Slip, check_answer

__all__ = ["NotYet", "Slip", "check_answer"]
