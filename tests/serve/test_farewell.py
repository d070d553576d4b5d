"""The end of a service says what went wrong, and only that."""

import pytest

from r1ray.serve.farewell import quiet_end


def test_only_the_lines_in_question_are_left_out_however_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet_end():
        print("(raylet)", "Task ServeController.listen failed.", flush=True)
        for piece in ("one\nTask Serve", "Controller.x failed", "\ntw", "o\n", "Task Other.x failed\nopen"):
            print(piece, end="")
    print("after")
    assert capsys.readouterr().out == "one\ntwo\nTask Other.x failed\nopenafter\n"
