"""Genuine libmongocrypt with its `kmip` provider: client-side field encryption without any mongod.

Its state machine runs here with sockets of its own and a key vault in memory. Two flows, as a driver runs them: `local` (the key
encryption key is fetched with Get) and `delegated` (the server encrypts and decrypts the data key). Each creates a data key,
encrypts a value, decrypts it with a client that has cached nothing, and re-wraps the data key. Exits with 1 at the first wrong answer.
`--keep` leaves data key and value behind; `--open` does no more than decrypt them, as a driver that comes later does.
"""

import socket
import ssl
from pathlib import Path

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongocrypt.errors import MongoCryptError
from pymongocrypt.mongocrypt import MongoCryptOptions
from pymongocrypt.synchronous.explicit_encrypter import ExplicitEncrypter
from pymongocrypt.synchronous.state_machine import MongoCryptCallback

from check import Checks, arguments, host_and_port

CODEC = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
RANDOM = "AEAD_AES_256_CBC_HMAC_SHA_512-Random"
VALUE = {"v": "iban DE02 1203 0000 0000 2020 51"}
TIMEOUT_S = 10


class Driver(MongoCryptCallback):
    """What a driver does for libmongocrypt: sockets to the KMS and a collection of data keys."""

    def __init__(self, tls, vault):
        self.tls = tls
        self.vault = vault
        self.requests = 0

    def kms_request(self, kms_context):
        host, port = host_and_port(kms_context.endpoint)
        with socket.create_connection((host, port), TIMEOUT_S) as tcp:
            with self.tls.wrap_socket(tcp, server_hostname=host) as stream:
                stream.sendall(kms_context.message)
                while kms_context.bytes_needed > 0:
                    answer = stream.recv(kms_context.bytes_needed)
                    if not answer:
                        raise ConnectionError("the server closed the connection within an answer")
                    kms_context.feed(answer)
        self.requests += 1

    def fetch_keys(self, filter):
        return list(self.vault.values())

    def insert_data_key(self, data_key):
        document = bson.decode(data_key, CODEC)
        key_id = document["_id"]
        self.vault[bytes(key_id.bytes)] = bytes(data_key)
        return key_id.bytes

    def bson_encode(self, doc):
        return bson.encode(doc, codec_options=CODEC)

    def collection_info(self, database, filter):
        return None

    def mark_command(self, database, cmd):
        raise NotImplementedError("explicit encryption marks nothing")

    def close(self):
        pass


class Client:
    """One process's libmongocrypt: caches what it unwrapped, for as long as it lives."""

    def __init__(self, endpoint, tls, vault):
        self.driver = Driver(tls, vault)
        self.encrypter = ExplicitEncrypter(self.driver, MongoCryptOptions({"kmip": {"endpoint": endpoint}}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.encrypter.close()


def tls(options):
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=options.ca)
    context.load_cert_chain(options.cert, options.key)
    return context


def flow(options, delegated):
    name = "delegated" if delegated else "local"
    check = Checks(f"libmongocrypt {name}")
    context, vault = tls(options), {}
    master = {"delegated": True} if delegated else {}
    with Client(options.address, context, vault) as one:
        key_id = one.encrypter.create_data_key("kmip", master_key=master or None)
        check.equal("createDataKey asks three times", one.driver.requests, 3)
        document = bson.decode(vault[key_id], CODEC)
        check.equal("the data key names its provider", document["masterKey"]["provider"], "kmip")
        check.that("the data key names its master key", bool(document["masterKey"].get("keyId")))
        check.equal("the data key is wrapped", len(document["keyMaterial"]), 128 if delegated else 160)
        sealed = one.encrypter.encrypt(bson.encode(VALUE), RANDOM, key_id=key_id)
        check.that("the value is not to be read", VALUE["v"].encode() not in sealed)
    if options.keep:
        kept = {"keys": list(vault.values()), "sealed": bytes(sealed)}
        Path(options.keep).write_bytes(bson.encode(kept))
    with Client(options.address, context, vault) as two:
        opened = bson.decode(two.encrypter.decrypt(sealed))
        check.equal("another client decrypts the value", opened, VALUE)
        check.equal("its first use asks once", two.driver.requests, 1)
        two.encrypter.decrypt(sealed)
        check.equal("its second use asks no more", two.driver.requests, 1)
        wrapped = two.encrypter.rewrap_many_data_key({}, "kmip", master)
        update = bson.decode(wrapped, CODEC)["v"][0]
        fresh = dict(document, masterKey=update["masterKey"], keyMaterial=update["keyMaterial"])
        check.that("rewrapManyDataKey names a new master key", fresh["masterKey"]["keyId"] != document["masterKey"]["keyId"])
        vault[key_id] = bson.encode(fresh, codec_options=CODEC)
    with Client(options.address, context, vault) as three:
        check.equal("a value outlives its re-wrapped key", bson.decode(three.encrypter.decrypt(sealed)), VALUE)
        broken = dict(fresh, masterKey=dict(fresh["masterKey"], keyId="9b5c0c1e-0000-4000-8000-000000000000"))
        vault[key_id] = bson.encode(broken, codec_options=CODEC)
    with Client(options.address, context, vault) as four:
        check.refused("an unknown master key", lambda: four.encrypter.decrypt(sealed), MongoCryptError)
    check.done()


def open_kept(options):
    check = Checks("libmongocrypt later")
    kept = bson.decode(Path(options.open).read_bytes())
    vault = {bytes(bson.decode(key, CODEC)["_id"].bytes): key for key in kept["keys"]}
    with Client(options.address, tls(options), vault) as client:
        check.equal("it decrypts the value", bson.decode(client.encrypter.decrypt(kept["sealed"])), VALUE)
    check.done()


def main():
    parser = arguments(__doc__)
    parser.add_argument("--flow", action="append", choices=["local", "delegated"], help="default: both")
    parser.add_argument("--keep", metavar="FILE", help="leave the data key behind, and a value that it sealed")
    parser.add_argument("--open", metavar="FILE", help="only open what was left behind")
    options = parser.parse_args()
    if options.open:
        open_kept(options)
        return
    for name in options.flow or ["local", "delegated"]:
        flow(options, name == "delegated")


if __name__ == "__main__":
    main()
