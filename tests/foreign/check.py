"""What every foreign client here shares: its arguments, and a check that ends the run at the first wrong answer."""

import argparse
import sys


def arguments(story):
    """Parses --address HOST:PORT, --ca, --cert and --key (PEM files); gives host and port apart."""
    parser = argparse.ArgumentParser(description=story, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", required=True, metavar="HOST:PORT", help="the KMIP listener")
    parser.add_argument("--ca", required=True, help="CA that signed the server's certificate, PEM")
    parser.add_argument("--cert", required=True, help="the client's certificate, PEM")
    parser.add_argument("--key", required=True, help="the client's private key, PEM")
    return parser


def host_and_port(address):
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        sys.exit(f"--address is HOST:PORT, not {address!r}")
    return host.strip("[]"), int(port)


class Checks:
    """Counts what was right; the first thing that is not ends the process with 1 and says what was expected."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.skipped = 0

    def that(self, what, holds, found=None):
        if not holds:
            print(f"{self.name}: WRONG: {what}; found {found!r}", flush=True)
            sys.exit(1)
        self.passed += 1
        print(f"{self.name}: {what}", flush=True)

    def equal(self, what, found, expected):
        self.that(f"{what}: {shown(expected)}", found == expected, shown(found))

    def refused(self, what, call, error, reason=None):
        """`call` raises `error`; with `reason`, for exactly that reason."""
        try:
            found = call()
        except error as refusal:
            given = getattr(refusal, "reason", None)
            self.that(f"{what} is refused: {given and given.name}: {refusal}", reason in (None, given), given)
            return
        self.that(f"{what} is refused", False, found)

    def skip(self, what, why):
        self.skipped += 1
        print(f"{self.name}: skipped: {what}: {why}", flush=True)

    def done(self):
        print(f"{self.name}: {self.passed} right, {self.skipped} skipped", flush=True)


def shown(value):
    """Key bytes and ciphertext by their length alone."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else value
