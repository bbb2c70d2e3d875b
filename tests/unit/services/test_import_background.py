"""Work in the background: one thing at a time, in a thread of the lowest priority."""

import os
import threading

from gateway.services.enrolment.background import Background, QuietAnalyser
from tests.fakes.importing import MadeUpAnalyser, picture


async def test_the_thread_has_the_lowest_priority_and_the_loop_keeps_its_own():
    background = Background()
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    try:
        assert await background.run(nice) == 19
        assert nice() == mine
    finally:
        background.close()


async def test_an_analyser_works_in_that_thread_whoever_asks():
    background, seen = Background(), set()

    class Watched(MadeUpAnalyser):
        def look(self, data: bytes):
            seen.add(threading.current_thread().name)
            return super().look(data)

    try:
        quiet = QuietAnalyser(Watched(), background)
        assert len(quiet.look(picture("E1")).faces) == 1
        assert await background.run(threading.active_count) >= 1
    finally:
        background.close()
    assert len(seen) == 1
    assert seen.pop().startswith("background")
