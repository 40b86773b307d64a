"""What the small cloud servers of the tests share: one HTTPS server on loopback that answers one request at a time, and its administrator.

A server's folder gets `ca.pem`, which vouches for it, and whatever its store writes there. When it listens it prints its port.
"""

import argparse
import dataclasses
import http.client
import http.server
import pathlib
import ssl
import threading

import certs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec


@dataclasses.dataclass
class Request:
    method: str
    path: str
    query: dict
    headers: dict
    text: bytes


def handler(store):
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            path, _, query = self.path.partition("?")
            text = self.rfile.read(int(self.headers.get("content-length") or 0))
            pairs = dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)
            with lock:
                code, headers, said = store.reply(Request(self.command, path, pairs, self.headers, text))
            self.send_response(code)
            for name, value in {"content-type": "application/json; charset=utf-8", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PATCH = do_DELETE = reply

        def log_message(self, *_):
            pass

    return Handler


def certificate(folder):
    """A certificate of this server's own, and the file that a client trusts."""
    secret = ec.generate_private_key(ec.SECP256R1())
    made = certs.own(secret, "localhost", x509.SubjectAlternativeName([x509.DNSName("localhost")]))
    (folder / "ca.pem").write_bytes(certs.pem(made))
    (folder / "server.key").write_bytes(certs.private(secret))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "server.key")
    return context


def serve(folder, store):
    context = certificate(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(store))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def ask(folder, port, method, path, body, headers):
    """What the customer's administrator does."""
    connection = http.client.HTTPSConnection("localhost", port, context=ssl.create_default_context(cafile=folder / "ca.pem"))
    connection.request(method, path, body, {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    print(answer.read().decode())
    return 0 if answer.status == 200 else 1


def main(about, store, headers):
    """`store(folder)` answers; `headers(folder)` are an administrator's."""
    arguments = argparse.ArgumentParser(description=about)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("ask", nargs="*", help="PORT METHOD PATH [BODY]: asks a server of this folder as its administrator")
    given = arguments.parse_args()
    if not given.ask:
        return serve(given.folder, store(given.folder))
    port, method, path, *body = given.ask
    return ask(given.folder, int(port), method, path, *(body or ["{}"]), headers(given.folder))
