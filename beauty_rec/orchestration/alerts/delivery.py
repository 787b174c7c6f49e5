"""How a message goes out: by a webhook, or by mail.

By the standard library: httpx logs every address that it asks, and a webhook's is a secret.
"""

import json
import smtplib
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from email.message import EmailMessage
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from beauty_rec.settings import AlertSettings

LINES = 40
"""Of one message; Slack cuts a text at 40,000 characters."""


def send(way: str, lines: Sequence[str], settings: AlertSettings) -> None:
    """Send at most ``LINES`` lines as one message.

    Raises:
        ConnectionError: the receiver did not take it; says why, without an address or a secret.
    """
    ways: dict[str, Callable[[Sequence[str], AlertSettings], None]]
    ways = {"webhook": _by_webhook, "mail": _by_mail}
    try:
        ways[way](lines, settings)
    except HTTPError as error:
        error.close()
        raise ConnectionError(f"the receiver answered {error.code}") from None
    except smtplib.SMTPResponseException as error:
        raise ConnectionError(f"the mail server answered {error.smtp_code}") from None
    except (HTTPException, smtplib.SMTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)  # of urllib's own error
        raise ConnectionError(f"not reached: {type(reason).__name__}") from None


def _by_webhook(lines: Sequence[str], settings: AlertSettings) -> None:
    assert settings.webhook_url is not None
    request = Request(
        settings.webhook_url.get_secret_value(),
        data=json.dumps({"text": "\n".join(lines)}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with build_opener(_NoRedirect).open(request, timeout=settings.timeout_s):
        pass


class _NoRedirect(HTTPRedirectHandler):
    """A POST that is sent elsewhere would arrive as a GET without its text."""

    def redirect_request(self, *_: object) -> None:
        return None


def _by_mail(lines: Sequence[str], settings: AlertSettings) -> None:
    assert settings.smtp_host is not None
    mail = EmailMessage()
    more = f" (+{len(lines) - 1})" if len(lines) > 1 else ""
    mail["Subject"] = " ".join(lines[0].split())[:150] + more
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.recipients)
    mail.set_content("\n".join(lines))
    with ExitStack() as stack:
        server = stack.enter_context(_server(settings, settings.smtp_host))
        if settings.smtp_security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_user is not None and settings.smtp_password is not None:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        refused = server.send_message(mail)
    if refused:
        # The others have it; a second try would send it to them again.
        raise PartlyRefused(f"{len(refused)} of {len(settings.recipients)} recipients refused")


class PartlyRefused(Exception):
    """The message went out, but not to everybody."""


def _server(settings: AlertSettings, host: str) -> smtplib.SMTP:
    seconds = settings.timeout_s
    if settings.smtp_security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, settings.smtp_port, timeout=seconds, context=context)
    return smtplib.SMTP(host, settings.smtp_port, timeout=seconds)
