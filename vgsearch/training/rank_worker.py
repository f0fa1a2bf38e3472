"""One of a trial's other processes: `python -m vgsearch.training.rank_worker`, started by rank 0 alone.

It hears rank 0 on its standard input and answers on its standard output. It ends when its input ends: the
kernel closes that pipe however rank 0 dies, a SIGKILL included. (Linux can also kill a child with its parent,
but means the parent's thread: it would end a trial that was opened in a thread which has finished since.)
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable


def main() -> None:
    """Serve rank 0 until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # rank 0 sees Ctrl-C too, and ends us
    answer = _take_standard_output()
    commands: queue.SimpleQueue[str] = queue.SimpleQueue()
    # Listening comes first: importing PyTorch takes seconds in which rank 0 may die.
    threading.Thread(target=_listen, args=(commands,), name="vgsearch-rank-0", daemon=True).start()
    from vgsearch.training.rank import serve
    from vgsearch.training.rank_messages import RankReply

    try:
        serve(commands.get, lambda reply: answer(reply.to_line()))
    except BaseException as error:
        answer(RankReply.of_error(error).to_line())
    # Without clean-up, which may wait for what other processes no longer do. Whoever waits for us in an
    # exchange sees the connection close.
    sys.stderr.flush()
    os._exit(1)


def _take_standard_output() -> Callable[[str], None]:
    """Keep standard output for answers; what anybody else prints goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)

    def answer(line: str) -> None:
        try:
            os.write(answers, f"{line}\n".encode())
        except BrokenPipeError:  # rank 0 is gone
            os._exit(0)

    return answer


def _listen(commands: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        commands.put(line.strip())
    os._exit(0)


if __name__ == "__main__":
    main()
