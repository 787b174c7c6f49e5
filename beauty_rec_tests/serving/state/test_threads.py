import threading

import pytest

from beauty_rec.serving.state.threads import in_passing


def test_the_thread_ends_with_its_call() -> None:
    before = threading.active_count()
    thread = in_passing(threading.current_thread)
    assert thread is not threading.current_thread()
    assert not thread.is_alive()
    assert threading.active_count() == before


def test_an_error_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        in_passing(divmod, 1, 0)
