"""Functions in turn: the order is the caller's, errors and ends reach the right place, nothing stays behind."""

from __future__ import annotations

import contextvars
import threading

import pytest
import torch

from comfyui_fgdm.sampling.turns import Ended, Turn


def counting(name: str, steps: int, log: list[str], turns: dict[str, Turn]):
    def function() -> str:
        for step in range(steps):
            log.append(f"{name}{step}")
            turns[name].park()
        return name

    return function


def test_the_caller_says_who_runs() -> None:
    log: list[str] = []
    turns: dict[str, Turn] = {}
    for name, steps in (("a", 3), ("b", 2)):
        turns[name] = Turn(counting(name, steps, log, turns))
    before = threading.active_count()
    while not all(turn.done for turn in turns.values()):
        for name in ("b", "a"):
            turns[name].resume()
    assert log == ["b0", "a0", "b1", "a1", "a2"]
    assert [turn.result for turn in turns.values()] == ["a", "b"]
    turns["a"].resume()  # nothing happens any more
    for turn in turns.values():
        turn.end()
    assert threading.active_count() == before and log[-1] == "a2"


def test_what_a_function_raises_is_raised_where_it_was_resumed() -> None:
    class Interrupt(BaseException):
        pass

    for error in (ValueError("of its own"), Interrupt("by the user")):

        def function(error: BaseException = error) -> None:
            raise error

        turn = Turn(function)
        with pytest.raises(type(error)) as caught:
            turn.resume()
        assert caught.value is error and turn.done
        turn.end()


def test_a_parked_function_that_is_ended_cleans_up_and_goes_away() -> None:
    cleaned: list[str] = []

    def function() -> None:
        try:
            turn.park()
        except Exception:  # an end is no error that a function may handle
            cleaned.append("handled")
        finally:
            cleaned.append("finally")

    before = threading.active_count()
    turn: Turn = Turn(function)
    turn.resume()
    turn.end()
    assert cleaned == ["finally"] and turn.done and threading.active_count() == before
    never = Turn(lambda: cleaned.append("ran"))
    never.end()
    assert never.done and cleaned == ["finally"]
    with pytest.raises(Ended):
        raise Ended


def test_modes_and_context_are_the_caller_s() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    variable.set(7)

    def seen() -> tuple[bool, bool, int]:
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled(), variable.get()

    with torch.inference_mode():
        inside = Turn(seen)
    with torch.no_grad():
        without = Turn(seen)
    outside = Turn(seen)
    for turn in (inside, without, outside):
        turn.resume()
    assert (inside.result, without.result, outside.result) == ((True, False, 7), (False, False, 7), (False, True, 7))
