"""The program at a terminal and under signals, with the default model."""

import os
import pty
import re
import resource
import select
import signal
import subprocess
import time

import pytest

VASE = os.environ.get("VASE_PROGRAM", "")
CACHE = os.environ.get("VASE_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "vase"
)
MODEL = os.path.join(CACHE, "models", "SmolLM2-135M-Instruct.Q4_1.gguf")

pytestmark = pytest.mark.skipif(not os.path.exists(MODEL), reason="the default model is not fetched")

COMMON = ["-m", MODEL, "-t", "2"]
# Reading this in one batch takes far longer than any of the bounds below.
LONG = " ".join(f"word{i % 97}" for i in range(2500))
BATCH = ["-b", "8192"]
# Of the process's own time, which a busy machine does not stretch.
READS_SECONDS = 4.0  # loading takes one
HEARD_SECONDS = 5.0  # a tenth of one by right
DEADLINE = 300.0  # by the clock, for what takes seconds


def environment(home):
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "TERM": "xterm",
        "OMP_WAIT_POLICY": "passive",
    }


def start(arguments, home, **options):
    return subprocess.Popen(
        [VASE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
        **options,
    )


def processor_seconds(pid):
    """That a process has used so far, in all of its threads."""
    with open(f"/proc/{pid}/stat") as stat:
        user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def wait_until_used(pid, seconds):
    end = time.monotonic() + DEADLINE
    while processor_seconds(pid) < seconds:
        assert time.monotonic() < end, f"it used {processor_seconds(pid)} s of {seconds}"
        assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None, "it has ended"
        time.sleep(0.05)


def used_by_the_ended():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def heard(process, number):
    """Exit code of a process that is sent a signal, which it must obey at once."""
    before, others = processor_seconds(process.pid), used_by_the_ended()
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    assert used_by_the_ended() - others - before < HEARD_SECONDS, err
    return process.returncode


class Terminal:
    """A chat at a pseudo terminal."""

    def __init__(self, home, *arguments):
        self.text = ""
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execve(VASE, [VASE, "chat", *COMMON, *arguments], environment(home))

    def send(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        for i in range(0, len(data), 256):  # a terminal takes no more at a time than it can hold
            os.write(self.fd, data[i : i + 256])
            self.pump(0.01)

    def pump(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                return False
        return True

    def wait_for(self, what):
        """Waits for a text behind what was waited for before, and forgets what is before it."""
        end = time.monotonic() + DEADLINE
        while not (found := re.search(what, self.text)):
            assert time.monotonic() < end, f"no {what!r} in {self.text!r}"
            assert self.pump(0.2) or re.search(what, self.text), f"ended without {what!r}: {self.text!r}"
        self.text = self.text[found.end() :]
        return found

    def prompt(self):
        self.wait_for(r"\x1b\[\?2004h")

    def leave(self):
        end = time.monotonic() + DEADLINE
        while self.pump(0.1):
            assert time.monotonic() < end, f"it does not leave: {self.text!r}"
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def open_terminal(*arguments):
        opened.append(Terminal(tmp_path, *arguments))
        opened[-1].prompt()
        return opened[-1]

    yield open_terminal
    for each in opened:
        os.close(each.fd)
        try:
            os.kill(each.child, signal.SIGKILL)
            os.waitpid(each.child, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def history(home):
    path = home / ".local/state/vase/chat_history"
    return path.read_text().splitlines()[1:] if path.exists() else []


@pytest.mark.parametrize("command", ["run", "fidelity", "bench"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_while_a_prompt_is_read(command, number, tmp_path):
    text = tmp_path / "long.txt"
    text.write_text(LONG)
    more = {
        "run": ["-f", str(text)],
        "fidelity": ["-f", str(text), "--policies", "vase", "--budgets", "8192"],
        "bench": ["--depths", "8000", "--no-plain", "-ub", "8192", "--budget", "8192"],
    }[command]
    process = start([command, *COMMON, *BATCH, *more], tmp_path)
    wait_until_used(process.pid, READS_SECONDS)
    assert heard(process, number) == 128 + number


def test_sigterm_in_an_answer_ends_a_chat_whose_questions_are_piped_in(tmp_path):
    process = start(
        ["chat", *COMMON, "--temp", "0"],
        tmp_path,
        stdin=subprocess.PIPE,
    )
    question = b"Count from one to a thousand, in words, one number a line.\n"
    process.stdin.write(question * 200)
    process.stdin.flush()
    assert os.read(process.stdout.fileno(), 1)
    assert heard(process, signal.SIGTERM) == 143


def test_a_cancelled_prompt_leaves_the_conversation_usable(terminal):
    # Behind the system message of its own template this model speaks French.
    chat = terminal(*BATCH, "-n", "8", "--temp", "0", "--no-jinja")
    chat.send("\x1b[200~" + LONG + "\x1b[201~")
    chat.send("\r")
    chat.wait_for(r"\x1b\[\?2004l")
    wait_until_used(chat.child, processor_seconds(chat.child) + 2)  # it reads by now
    before = processor_seconds(chat.child)
    chat.send("\x03")
    chat.prompt()
    assert processor_seconds(chat.child) - before < HEARD_SECONDS
    chat.send("What is the capital of France?\r")
    chat.wait_for("Paris")
    chat.prompt()
    chat.send("/exit\r")
    assert chat.leave() == 0


def test_a_pasted_block_is_one_message_and_a_long_line_is_whole(terminal, tmp_path):
    chat = terminal("-n", "1")
    chat.send("\x1b[200~first line\rsecond line\r\x1b[201~")
    chat.send("\r")
    chat.prompt()
    long_line = "x" * 3000 + "y" * 3000
    chat.send("/" + long_line + "\r")
    chat.wait_for("unknown command")
    chat.prompt()
    chat.send("/exit\r")
    assert chat.leave() == 0
    assert history(tmp_path) == [r"first\040line\012second\040line", "/" + long_line, "/exit"]


def test_editing_takes_whole_characters_and_history_comes_back(terminal, tmp_path):
    chat = terminal("-n", "1")
    chat.send("/caf\u00e9\x7fe\r")
    chat.wait_for("unknown command /cafe ")
    chat.prompt()
    chat.send("/exit\r")
    assert chat.leave() == 0
    again = terminal("-n", "1")
    again.send("\x1b[A\x1b[A\r")  # up, up: /exit, then /cafe
    again.wait_for("unknown command /cafe ")
    again.prompt()
    again.send("\x04")
    assert again.leave() == 0


def test_the_history_can_be_switched_off(terminal, tmp_path):
    chat = terminal("-n", "1", "--no-history")
    chat.send("/secret\r")
    chat.wait_for("unknown command /secret")
    chat.prompt()
    chat.send("\x03")
    assert chat.leave() == 130
    assert history(tmp_path) == []


def piped(home, data, *arguments):
    return subprocess.run(
        [VASE, "chat", *COMMON, "--temp", "0", "-n", "8", *arguments],
        input=data,
        capture_output=True,
        env=environment(home),
        timeout=DEADLINE,
    )


def test_lines_that_end_as_windows_ends_them(tmp_path):
    ended = piped(tmp_path, b"Hello\r\n\r\n/exit\r\nHello\r\n")
    plain = piped(tmp_path, b"Hello\n/exit\n")
    assert ended.returncode == 0
    assert ended.stdout == plain.stdout != b""


@pytest.mark.parametrize("wrong, words", [(b"a\xffb", b"0xff at offset 1"), (b"a\0b", b"NUL byte at offset 1")])
def test_a_wrong_byte_is_an_error_of_its_turn(wrong, words, tmp_path):
    # Templates of the fixed list are written by C functions, for which a text ends at a NUL.
    ended = piped(tmp_path, b"Hello\n" + wrong + b"\nWhat is the capital of France?\n", "--no-jinja")
    plain = piped(tmp_path, b"Hello\nWhat is the capital of France?\n", "--no-jinja")
    assert words in ended.stderr
    assert ended.returncode == 1
    assert ended.stdout == plain.stdout != b""


def test_a_full_cache_is_an_error_of_its_turn(tmp_path):
    full = ["--policy", "full", "-c", "256"]
    ended = piped(tmp_path, b"Hello\n" + b"many words " * 300 + b"\nHello again\n", *full)
    plain = piped(tmp_path, b"Hello\nHello again\n", *full)
    assert b"the full cache has room for" in ended.stderr
    assert ended.stdout == plain.stdout != b""


def test_text_that_begins_with_a_slash(tmp_path):
    ended = piped(tmp_path, b"//etc is what?\n/etc is what?\n")
    assert ended.stdout != b""
    assert ended.stderr.count(b"unknown command /etc ") == 1


def test_a_prompt_file_with_a_nul_is_refused_where_a_template_would_cut_it(tmp_path):
    prompt = tmp_path / "nul.txt"
    prompt.write_bytes(b"Say\0 hello")
    ended = subprocess.run(
        [VASE, "run", *COMMON, "--chat", "--no-jinja", "-n", "1", "-f", str(prompt)],
        capture_output=True,
        env=environment(tmp_path),
        timeout=DEADLINE,
    )
    assert ended.returncode == 1
    assert b"NUL byte at offset 3" in ended.stderr
