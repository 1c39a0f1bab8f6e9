import os
import signal

import pytest
from accelerate import Accelerator

from ner.stopping import SIGNALS, StoppedError, Stopper


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_kept_until_somebody_asks(number):
    stopper = Stopper(Accelerator(cpu=True))
    before = signal.getsignal(number)
    with stopper.listening():
        assert stopper.agree() == (False, False)
        assert stopper.agree(True) == (False, True)
        stopper.check()
        os.kill(os.getpid(), number)
        assert stopper.agree() == (True, False)
        with pytest.raises(StoppedError):
            stopper.check()
    assert signal.getsignal(number) is before


def test_a_second_interrupt_is_not_kept():
    stopper = Stopper(Accelerator(cpu=True))
    with stopper.listening():
        os.kill(os.getpid(), signal.SIGINT)
        assert stopper.asked_by == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
