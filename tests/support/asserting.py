"""What tests of several rooms ask for: an error of one line, a network that padding does not disturb."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from making import make_noise
from typer.testing import CliRunner

from serab_lib.cli.app import app
from serab_lib.core import SerabError
from serab_lib.extractors.base import pad_batch


@contextlib.contextmanager
def one_line(match: str, kind: type[Exception] = SerabError) -> Iterator[None]:
    """Expect an error that says so, in one line."""
    with pytest.raises(kind, match=match) as caught:
        yield
    assert "\n" not in str(caught.value)


def call(*arguments: object, code: int = 0) -> str:
    """Run a command of `serab` that ends with an exit code, without a traceback; return what it prints."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def assert_padding_changes_nothing(network: Callable[..., torch.Tensor], lengths: Sequence[int], **tolerance) -> None:
    """Hold that spectrograms get the same vectors alone and in one padded batch."""
    log_mels = [make_noise(1, 64, length, seed=length) for length in lengths]
    with torch.inference_mode():
        together = network(pad_batch(log_mels, torch.device("cpu")), lengths)
        alone = torch.cat([network(each[None], [each.shape[-1]]) for each in log_mels])
    torch.testing.assert_close(together, alone, **tolerance)
