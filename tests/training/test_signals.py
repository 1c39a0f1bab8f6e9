import os
import signal

import pytest
from accelerate import Accelerator

from ner.training.signals import SIGNALS, STOPPED, EvaluationStoppedError, SignalHandler

pytestmark = pytest.mark.timeout(method="thread")  # signals are tested here


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_kept_until_somebody_asks(number):
    stopper = SignalHandler()
    stopper.attach(Accelerator(cpu=True))
    before = signal.getsignal(number)
    with stopper.listening():
        assert stopper.sync() == (False, False)
        assert stopper.sync(True) == (False, True)
        stopper.check()
        os.kill(os.getpid(), number)
        assert stopper.sync() == (True, False)
        with pytest.raises(EvaluationStoppedError):
            stopper.check()
    assert signal.getsignal(number) is before


def test_a_second_interrupt_is_not_kept():
    stopper = SignalHandler()
    stopper.attach(Accelerator(cpu=True))
    with stopper.listening():
        os.kill(os.getpid(), signal.SIGINT)
        assert stopper.asked_by == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
def test_before_the_training_a_signal_ends_one_process_at_once(number, capfd):
    with SignalHandler().listening(), pytest.raises(SystemExit) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.code == STOPPED
    assert f"stopped by {signal.Signals(number).name} before the first step" in capfd.readouterr().err


def test_before_the_training_one_of_several_processes_keeps_it(monkeypatch):
    """It may be waited for; the same signal again ends a process that hangs."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    stopper = SignalHandler()
    with stopper.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopper.asked_by == "SIGTERM"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stopper = SignalHandler()
        with stopper.listening():
            os.kill(os.getpid(), signal.SIGHUP)
            assert stopper.asked_by is None
    finally:
        signal.signal(signal.SIGHUP, before)
