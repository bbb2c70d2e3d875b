from hypothesis import given
from hypothesis import strategies as st

from gateway.vision.tracker import LOST_AFTER_NS, MOST_FACES, MOST_TRACKS, Tracker
from tests.fakes.vision import MS, detection

STEP = 66 * MS


def follow(tracker, *steps):
    """Numbers of the tracks seen at each step, largest first."""
    return [
        [t.track_id for t in tracker.update(faces, i * STEP, cut=False)[0]] for i, faces in enumerate(steps)
    ]


def test_a_face_that_walks_keeps_its_number():
    steps = [[detection(100 + 8 * i, 100, 60 + 2 * i)] for i in range(30)]
    assert follow(Tracker(), *steps) == [[1]] * 30


def test_a_small_fast_face_is_followed_by_nearness():
    assert follow(Tracker(), [detection(100, 100, 40)], [detection(120, 104, 40)]) == [[1], [1]]


def test_a_face_elsewhere_is_another():
    assert follow(Tracker(), [detection(100, 100, 60)], [detection(400, 100, 60)]) == [[1], [2]]


def test_a_face_that_doubles_at_once_is_another():
    assert follow(Tracker(), [detection(100, 100, 60)], [detection(80, 80, 120)]) == [[1], [2]]


def test_a_face_turned_from_left_to_right_at_once_is_another():
    turned = detection(100, 100, 100, turn=-0.9), detection(100, 100, 100, turn=0.9)
    assert follow(Tracker(), [turned[0]], [turned[1]]) == [[1], [2]]


def test_two_keep_their_numbers_side_by_side_and_the_nearest_comes_first():
    steps = [[detection(100 + i, 100, 60), detection(180 - i, 100, 80)] for i in range(10)]
    assert follow(Tracker(), *steps) == [[1, 2]] * 10 or follow(Tracker(), *steps) == [[2, 1]] * 10
    assert follow(Tracker(), *steps)[0] == [1, 2]


def test_a_face_hidden_for_a_moment_comes_back_under_its_number():
    face = detection(100, 100, 60)
    assert follow(Tracker(), [face], [], [], [face]) == [[1], [], [], [1]]


def test_a_face_away_for_long_has_ended():
    tracker = Tracker()
    tracker.update([detection(100, 100, 60)], 0, cut=False)
    _, ended = tracker.update([], LOST_AFTER_NS + 1, cut=False)
    assert [t.track_id for t in ended] == [1]
    assert tracker.live == 0


def test_a_cut_ends_everybody():
    tracker = Tracker()
    tracker.update([detection(100, 100, 60), detection(300, 100, 60)], 0, cut=False)
    seen, ended = tracker.update([detection(100, 100, 60)], STEP, cut=True)
    assert {t.track_id for t in ended} == {1, 2}
    assert [t.track_id for t in seen] == [3]


def test_the_nearest_is_followed_even_when_the_room_is_full_of_ghosts():
    tracker = Tracker()
    for i in range(4):
        crowd = [detection(300 * i + 40 * k, 500 * i, 20) for k in range(MOST_FACES)]
        tracker.update(crowd, i * MS, cut=False)
    seen, ended = tracker.update([detection(5000, 5000, 200)], 5 * MS, cut=False)
    assert len(seen) == 1
    assert ended
    assert tracker.live <= MOST_TRACKS


_number = st.floats(0, 700, allow_nan=False, width=32)
_face = st.builds(detection, _number, _number, st.floats(1, 300, width=32), st.floats(1, 300, width=32))
_steps = st.lists(st.tuples(st.lists(_face, max_size=12), st.integers(1, 900), st.booleans()), max_size=12)


@given(_steps)
def test_whatever_comes_numbers_are_unique_caps_hold_and_every_track_ends_once(steps):
    tracker, now, born, ended = Tracker(), 0, set(), []
    for faces, ms, cut in steps:
        now += ms * MS
        before = set(born)
        seen, gone = tracker.update(faces, now, cut=cut)
        ids = [t.track_id for t in seen]
        assert len(set(ids)) == len(ids) == min(len(faces), MOST_FACES)
        assert tracker.live <= MOST_TRACKS
        areas = [t.detection.box.w * t.detection.box.h for t in seen]
        assert areas == sorted(areas, reverse=True)
        assert not set(ids) & set(ended)
        assert not cut or not set(ids) & before
        born |= set(ids)
        ended += [t.track_id for t in gone]
    ended += [t.track_id for t in tracker.end_all()]
    assert sorted(ended) == sorted(born)
