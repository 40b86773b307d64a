"""PyKMIP's server as a customer's key manager, for the tests of the provider kmip.

Its folder gets `ca.pem`, and a PEM file with key and certificate for each client: `admin`, who makes the keys, `region`, `nameless`, whose certificate
names nobody, and `stranger`, of another authority. Keys have the operation policy `kcm`, which the administrator writes. When it
listens it prints its port.

Usage: kmip_keys.py FOLDER [PORT VERB [ARGUMENT...]]; the verbs are create [MASK...], activate, revoke and destroy with an identifier, and allow
[OPERATION...], which says what others than the administrator may do. What a verb gives is printed as JSON.
"""

import json
import multiprocessing
import os
import pathlib
import sys
import time

import certs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from kmip.core import enums
from kmip.pie.client import ProxyKmipClient
from kmip.pie.objects import SymmetricKey
from kmip.services.server import KmipServer
from pykmip_server import SETTINGS, end_with_parent, free_port

ALL = ["GET", "GET_ATTRIBUTES"]


def authority(name):
    secret = ec.generate_private_key(ec.SECP256R1())
    return secret, certs.named(name), certs.own(secret, name, x509.BasicConstraints(True, None))


def write(path, data):
    path.touch(mode=0o600)
    path.write_bytes(data)


def certificates(folder):
    ours, others = authority("key manager"), authority("another")
    write(folder / "ca.pem", certs.pem(ours[2]))
    for name, (secret, issuer, _) in [("server", ours), ("admin", ours), ("region", ours), ("nameless", ours), ("stranger", others)]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([]) if name == "nameless" else certs.named(name)
        extensions = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH if name == "server" else ExtendedKeyUsageOID.CLIENT_AUTH])]
        if name == "server":
            extensions.append(x509.SubjectAlternativeName([x509.DNSName("localhost")]))
        made = certs.pem(certs.signed(secret, issuer, key.public_key(), subject, *extensions))
        private = certs.private(key)
        write(folder / f"{name}.pem", private + made)
        write(folder / f"{name}.key", private)
        write(folder / f"{name}.crt", made)


def allow(folder, operations):
    """The policy of all keys: whoever is not named here is not let in."""
    rules = {operation: "ALLOW_ALL" if operation in operations else "ALLOW_OWNER" for operation in ALL}
    rules |= {operation: "ALLOW_OWNER" for operation in ("ACTIVATE", "REVOKE", "DESTROY")}
    made = folder / "policy.new"
    made.write_text(json.dumps({"kcm": {"preset": {"SYMMETRIC_KEY": rules}}}))
    made.replace(folder / "policies" / "policy.json")


def serve(folder):
    os.register_at_fork(after_in_child=end_with_parent)
    certificates(folder)
    (folder / "policies").mkdir()
    allow(folder, ALL)
    port, settings = free_port(), folder / "server.conf"
    files = {"cert": folder / "server.crt", "key": folder / "server.key", "ca": folder / "ca.pem"}
    settings.write_text(SETTINGS.format(port=port, folder=folder, **files))
    with KmipServer(config_path=str(settings), log_path=str(folder / "server.log"), live_policies=True) as server:
        # One that nobody listens at yet refuses.
        server._socket.listen()
        # Nor does one decide by a policy that it has not read yet.
        while "kcm" not in server.policies:
            time.sleep(0.02)
        print(port, flush=True)
        server.serve()


def ask(folder, port, verb, arguments):
    if verb == "allow":
        return allow(folder, arguments)
    client = ProxyKmipClient(
        hostname="localhost", port=port, cert=str(folder / "admin.crt"), key=str(folder / "admin.key"), ca=str(folder / "ca.pem"),
        ssl_version="PROTOCOL_TLS", config="none", kmip_version=enums.KMIPVersion.KMIP_1_4,
    )
    with client:
        if verb == "create":
            masks = [enums.CryptographicUsageMask[mask] for mask in arguments or ["ENCRYPT", "DECRYPT"]]
            key = SymmetricKey(enums.CryptographicAlgorithm.AES, 256, os.urandom(32), masks)
            key.operation_policy_name = "kcm"
            return client.register(key)
        if verb == "revoke":
            return client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, *arguments)
        return getattr(client, verb)(*arguments)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    folder, *rest = sys.argv[1:]
    if rest:
        print(json.dumps(ask(pathlib.Path(folder), int(rest[0]), rest[1], rest[2:])))
    else:
        serve(pathlib.Path(folder))
