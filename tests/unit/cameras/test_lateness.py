from math import inf

from drivers.cameras.lateness import MAX_LATE_S, Lateness


def late(pictures: list[tuple[float, float]]) -> list[float]:
    one = Lateness()
    return [one.late_s(media, arrived) for media, arrived in pictures]


def live(count: int, media: float, arrived: float, step: float = 0.04) -> list[tuple[float, float]]:
    return [(media + i * step, arrived + i * step) for i in range(count)]


def test_a_live_stream_is_on_time_from_its_second_picture() -> None:
    found = late(live(20, 5.0, 100.0))
    assert found[0] == inf
    assert all(abs(x) < 0.01 for x in found[1:])


def test_what_lay_in_a_buffer_at_the_start_is_late_until_it_is_worked_off() -> None:
    backlog = [(i * 0.04, 100 + i * 0.002) for i in range(12)]
    found = late(backlog + live(5, 12 * 0.04, 100.024 + 0.04))
    assert found[:12] == [inf] * 12
    assert all(abs(x) < 0.01 for x in found[12:])


def test_ffmpeg_gives_the_first_two_pictures_the_same_time() -> None:
    found = late([(0.0, 100.0), (0.0, 100.002), (0.04, 100.004), (0.08, 100.044), (0.12, 100.084)])
    assert found[:3] == [inf] * 3
    assert all(abs(x) < 0.01 for x in found[3:])


def test_a_burst_after_a_stall_is_late_by_what_it_waited() -> None:
    stream = live(50, 0.0, 100.0)
    burst = [(2.0 + i * 0.04, 104.0 + i * 0.002) for i in range(50)]
    found = late(stream + burst)[50:]
    assert found[0] > 1.9
    assert [x > MAX_LATE_S for x in found] == sorted((x > MAX_LATE_S for x in found), reverse=True)
    assert found[-1] < MAX_LATE_S


def test_a_stream_without_time_stamps_is_never_late() -> None:
    assert late([(0.0, 100 + i * 0.04) for i in range(10)])[1:] == [0.0] * 9


def test_clocks_that_drift_apart_do_not_make_it_late() -> None:
    hours = [(i * 0.04, 100 + i * 0.04 * 1.001) for i in range(100_000)]
    assert max(late(hours)[1:]) < 0.1


def test_a_stream_that_stays_behind_stays_late() -> None:
    found = late(live(50, 0.0, 100.0) + live(200, 2.0, 104.0))
    assert min(found[50:]) > MAX_LATE_S
