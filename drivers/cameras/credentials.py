"""User and password of a camera: kept in a file of their own, in no message and no representation."""

import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from gateway.domain.errors import ConfigError

_FFMPEG_LIMIT = 127
"""FFmpeg cuts ``user:password`` of an RTSP address off after so many bytes, without a word."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password, neither of them shown by ``repr``."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    def inside(self, address: str) -> str:
        """The address with these in it, percent-encoded: for opening it, never for showing it.

        Raises ConfigError if FFmpeg could not carry them.
        """
        text = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        if len(text) > _FFMPEG_LIMIT:
            raise ConfigError(
                f"the camera's user and password take {len(text)} characters in an RTSP address and "
                f"{_FFMPEG_LIMIT} fit; give the camera shorter ones, of letters and digits"
            )
        parts = urlsplit(address)
        return urlunsplit(parts._replace(netloc=f"{text}@{parts.netloc}"))


def read_credentials(path: str | None) -> Credentials | None:
    """The credentials of a file with ``user:password`` on its one line; None when no file is named.

    Raises ConfigError naming the file and the fix, never its content.
    """
    if path is None:
        return None
    where = f"credentials_file {path}"
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{where}: is not a file; name a file with user:password on one line")
        if mode & stat.S_IRWXO:
            raise ConfigError(f"{where}: every user of this machine may read or change it; chmod 600 it")
        text = Path(path).read_bytes().decode("utf-8", "replace")  # an error would keep the bytes with it
    except FileNotFoundError:
        raise ConfigError(f"{where}: there is no such file; write user:password into it") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read ({error.strerror}); let this user read it") from None
    lines = text.strip("\r\n").splitlines()
    user, colon, password = lines[0].partition(":") if len(lines) == 1 else ("", "", "")
    if not user or not colon or not lines[0].isprintable() or "\ufffd" in lines[0]:
        raise ConfigError(f"{where}: must hold one line of UTF-8, user:password, and nothing else")
    return Credentials(user, password)
