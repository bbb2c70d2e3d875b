import threading

from gateway.vision.slot import LatestSlot
from tests.fakes.vision import frame, picture


def numbered(i):
    return frame(picture(), i, seq=i)


class TestLatest:
    def test_the_newest_wins_and_the_others_are_counted(self):
        slot, stop = LatestSlot(threading.Event()), threading.Event()
        for i in range(5):
            slot.put(numbered(i), stop)
        taken = slot.take()
        assert taken is not None
        assert taken.seq == 4
        assert slot.dropped == 4

    def test_a_frame_is_given_once(self):
        slot = LatestSlot(threading.Event())
        slot.put(numbered(1), threading.Event())
        assert slot.take() is not None
        assert slot.take() is None

    def test_news_is_told(self):
        news = threading.Event()
        LatestSlot(news).put(numbered(1), threading.Event())
        assert news.is_set()

    def test_an_emptied_slot_gives_nothing(self):
        slot = LatestSlot(threading.Event())
        slot.put(numbered(1), threading.Event())
        slot.empty()
        assert slot.take() is None


class TestLockstep:
    def test_every_frame_arrives_in_order(self):
        slot, stop = LatestSlot(threading.Event(), lockstep=True), threading.Event()
        feeder = threading.Thread(target=lambda: [slot.put(numbered(i), stop) for i in range(50)])
        feeder.start()
        seen = []
        while len(seen) < 50:
            taken = slot.take()
            if taken is not None:
                seen.append(taken.seq)
                slot.done()
        feeder.join(5)
        assert seen == list(range(50))
        assert slot.dropped == 0

    def test_the_next_waits_until_the_frame_before_is_finished(self):
        slot, stop = LatestSlot(threading.Event(), lockstep=True), threading.Event()
        slot.put(numbered(1), stop)
        slot.take()
        feeder = threading.Thread(target=slot.put, args=(numbered(2), stop))
        feeder.start()
        feeder.join(0.2)
        assert feeder.is_alive()
        slot.done()
        feeder.join(5)
        assert not feeder.is_alive()

    def test_stop_frees_who_waits(self):
        slot, stop = LatestSlot(threading.Event(), lockstep=True), threading.Event()
        slot.put(numbered(1), stop)
        feeder = threading.Thread(target=slot.put, args=(numbered(2), stop))
        feeder.start()
        stop.set()
        feeder.join(5)
        assert not feeder.is_alive()
