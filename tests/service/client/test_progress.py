"""A bar for calls of many requests."""

import pytest

from service.client.progress import bar


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_is_drawn_on_the_terminal_of_whoever_wants_one(
    shown: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    with bar("encode", 11, shown=shown) as advance:
        for images in (4, 4, 3):
            advance(images)
    said = capsys.readouterr()
    assert said.out == ""
    assert ("encode" in said.err and "100%" in said.err) is shown
    assert bool(said.err) is shown


def test_a_failure_within_it_comes_out_as_it_is(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(KeyError), bar("encode", 2, shown=True):
        raise KeyError
    assert "Traceback" not in capsys.readouterr().err
