"""Functions that advance in turn: each runs until it parks, and goes on when it is its turn again.

What samplers of a host are: blocking functions that call a denoiser. To let several of them advance together, each gets a
thread of its own, but never does more than one of them run: the turn is handed over, as between coroutines. So the order is
the caller's, and the same at every run.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class Ended(BaseException):
    """Raised where a function is parked when it is not to go on; it passes through, so that clean-up is done."""


class Turn(Generic[T]):
    """A function in a thread of its own that runs only between ``resume`` and the next ``park``.

    It runs with the caller's context variables, and its inference and gradient mode. result: what the function returned.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self.done, self.result = False, None
        self._function = function
        self._error: BaseException | None = None
        self._ended = False
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True, name="fgdm variable")

    def resume(self) -> None:
        """Let it run until it parks or returns. What it raises is raised here."""
        if self.done:
            return
        if self._thread.ident is None:
            self._thread.start()
        self._go.release()
        self._back.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def park(self) -> None:
        """Called by the function itself: wait for the next turn. Ended if there is none."""
        self._back.release()
        self._go.acquire()
        if self._ended:
            raise Ended

    def end(self) -> None:
        """Leave a parked function by an exception, and wait until it has cleaned up. What that raises is dropped."""
        self._ended = True
        if self._thread.ident is None:
            self.done = True
        if not self.done:
            self._go.release()
            self._back.acquire()
            self._error = None
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        self._go.acquire()
        inference, gradient = self._modes
        try:
            if not self._ended:
                with torch.inference_mode(inference), torch.set_grad_enabled(gradient):
                    self.result = self._function()
        except Ended:
            pass
        except BaseException as error:  # of any kind: it is raised where the turn was given
            self._error = error
        finally:
            self.done = True
            self._back.release()
