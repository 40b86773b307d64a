"""Receivers of notices on loopback, each as strict as the real one: a mail server that wants STARTTLS and a login (aiosmtpd), and over
HTTPS an incoming webhook of Slack, the Events API v2 of PagerDuty, and a webhook whose signature the reference library of Standard Webhooks
checks. The first line says where they listen; then one JSON object a line for everything that came, good or not."""

import argparse
import asyncio
import email
import email.policy
import json
import re
import ssl
import sys
from datetime import datetime, timezone

import standardwebhooks.webhooks
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def say(**what):
    print(json.dumps(what), flush=True)


class Mails:
    """Takes every mail."""

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        say(
            kind="smtp",
            tls=session.ssl is not None,
            user=session.auth_data,
            sender=envelope.mail_from,
            to=envelope.rcpt_tos,
            subject=mail["subject"],
            id=mail["message-id"],
            text=mail.get_body(("plain",)).get_content(),
        )
        return "250 taken"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            say(kind="smtp", refused=address)
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def authenticator(password):
    def check(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and data.password.decode() == password
        if good:
            return AuthResult(success=True, auth_data=data.login.decode())
        say(kind="smtp", refused="login")
        # Handled by the server: it answers 535, and the client does not hang.
        return AuthResult(success=False, handled=False)

    return check


def slack(body, headers):
    try:
        message = json.loads(body)
    except ValueError:
        return 400, b"invalid_payload"
    if not isinstance(message.get("text"), str) and not isinstance(message.get("blocks"), list):
        return 400, b"no_text"
    say(kind="slack", body=message)
    return 200, b"ok"


def pagerduty(body, headers):
    event = json.loads(body)
    errors = []
    if len(event.get("routing_key", "")) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is invalid")
    if event.get("event_action") == "trigger":
        payload = event.get("payload", {})
        errors += [f"'payload.{name}' is missing" for name in ("summary", "source", "severity") if not payload.get(name)]
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            errors.append("'payload.severity' is invalid")
    if errors:
        say(kind="pagerduty", refused=errors)
        return 400, json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": errors}).encode()
    say(kind="pagerduty", body=event)
    answer = {"status": "success", "message": "Event processed", "dedup_key": event.get("dedup_key")}
    return 202, json.dumps(answer).encode()


def at(seconds):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(seconds, tz or timezone.utc)

    standardwebhooks.webhooks.datetime = Clock


def hook(secret):
    def take(body, headers):
        try:
            message = Webhook(secret).verify(body, headers)
        except WebhookVerificationError as why:
            say(kind="hook", refused=str(why))
            return 401, b"bad signature"
        say(kind="hook", id=headers["webhook-id"], body=message)
        return 204, b""

    return take


async def answer(reader, writer, paths):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n", 1)[0].split(" ")
        headers = {name.lower(): value for name, value in re.findall(r"(?m)^([\w-]+): (.*)\r$", head)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        take = paths.get(path)
        status, text = take(body, headers) if method == "POST" and take else (404, b"no_service")
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n".encode() + text)
        await writer.drain()
    finally:
        writer.close()


async def main():
    parser = argparse.ArgumentParser()
    for name in ("cert", "key", "password", "secret"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--now", type=int, help="what time the library takes it to be, in Unix seconds: the sender's clock may stand still")
    asked = parser.parse_args()
    if asked.now:
        at(asked.now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(asked.cert, asked.key)
    paths = {"/services/T0/B0/sesame": slack, "/v2/enqueue": pagerduty, "/hook": hook(asked.secret)}
    http = await asyncio.start_server(lambda r, w: answer(r, w, paths), "127.0.0.1", 0, ssl=context)
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(
            Mails(),
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            auth_require_tls=True,
            authenticator=authenticator(asked.password),
            hostname="localhost",
            loop=loop,
        ),
        "127.0.0.1",
        0,
    )
    port = lambda server: server.sockets[0].getsockname()[1]
    say(http=port(http), smtp=port(smtp))
    # Ends with whoever started it.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
