"""What a run wrote before it was killed is there when it starts again."""

from natural.progress import Folder


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    folder = Folder(tmp_path / "run", 0, 1)
    folder.append("first", {"id": 1})
    with open(folder.file("first"), "a") as file:
        file.write('{"id": 2, "text": "cut o')
    again = Folder(tmp_path / "run", 0, 1)
    assert again.lines("first") == [{"id": 1}]
    again.append("first", {"id": 3})  # is lost with the line that it is behind
    again.append("first", {"id": 4})
    assert again.lines("first") == [{"id": 1}, {"id": 4}]


def test_stages_and_ranks(tmp_path, capsys):
    first, second = (Folder(tmp_path, rank, 2) for rank in (0, 1))
    first.append("round-1", {"id": 1})
    second.append("round-1", {"id": 2})
    first.append("round-10", {"id": 3})
    assert second.lines("round-1") == [{"id": 1}, {"id": 2}]
    second.finish("round-1", right=3)
    assert not first.finished("round-1")  # the first rank says so
    first.finish("round-1", right=3)
    assert second.finished("round-1")
    assert '"right": 3' in capsys.readouterr().out
