"""Google Cloud KMS in small, over its REST interface, for the tests of the provider google-kms.

It keeps keys and their versions, checks tokens that service accounts sign themselves, permissions by the policy of a key ring, and the
CRC-32C of each value in both directions. Its folder gets `ca.pem` and a key file for each service account: `admin`, `region` and
`stranger`, whom it does not know. When it listens it prints its port.

Google's own library (`official_google.py`) meets it besides the provider. Forms, statuses and messages are those of
the Cloud KMS REST reference (v1) and of the Cloud APIs design guide, "Errors".
"""

import base64
import json
import os
import re
import sys
import time

import cloud
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

AUDIENCE = "https://cloudkms.googleapis.com/"
EVERYTHING = {"*"}
NONCE_BYTES = 12
PLAIN_BYTES_MAX = 64 * 1024
# Clients may write an enum as its number ("$alt=json;enum-encoding=int"), as Google's own libraries do.
PURPOSES = {1: "ENCRYPT_DECRYPT", 5: "ASYMMETRIC_SIGN"}
STATES = {1: "ENABLED", 2: "DISABLED", 3: "DESTROYED", 4: "DESTROY_SCHEDULED"}
KEY = re.compile(r"^/v1/(?P<ring>projects/[^/]+/locations/[^/]+/keyRings/[^/:]+)(?P<rest>/cryptoKeys.*|:setIamPolicy|:spoil)$")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


class Refused(Exception):
    def __init__(self, code, status, message, details=()):
        self.code, self.body = code, {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
        super().__init__(message)


def invalid(message):
    return Refused(400, "INVALID_ARGUMENT", message)


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Version:
    def __init__(self):
        self.secret, self.state = AESGCM(AESGCM.generate_key(bit_length=256)), "ENABLED"


class Key:
    def __init__(self, name, purpose):
        self.name, self.purpose, self.versions, self.primary = name, purpose, {1: Version()}, 1

    def version(self, number):
        if number not in self.versions:
            raise Refused(404, "NOT_FOUND", f"CryptoKeyVersion {self.name}/cryptoKeyVersions/{number} not found.")
        return self.versions[number]

    def enabled(self, number):
        version = self.version(number)
        if version.state != "ENABLED":
            name = f"{self.name}/cryptoKeyVersions/{number}"
            raise Refused(400, "FAILED_PRECONDITION", f"{name} is not enabled, current state is: {version.state}.")
        return version

    def shown_version(self, number):
        state = self.version(number).state
        return {"name": f"{self.name}/cryptoKeyVersions/{number}", "state": state, "protectionLevel": "SOFTWARE",
                "algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION"}

    def shown(self):
        shown = {"name": self.name, "purpose": self.purpose, "destroyScheduledDuration": "2592000s"}
        return shown | ({"primary": self.shown_version(self.primary)} if self.purpose == "ENCRYPT_DECRYPT" else {})


class Store:
    def __init__(self, folder):
        self.keys, self.people, self.policy = {}, {}, {}
        # What a test has spoilt: {"change": FIELD} of each answer, {"code", "status"}, or {"code", "raw"}.
        self.spoilt = {}
        for name in ("admin", "region", "stranger"):
            secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            email = f"{name}@acme.iam.gserviceaccount.com"
            pem = secret.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode()
            account = {"type": "service_account", "project_id": "acme", "private_key_id": f"{name}-1", "private_key": pem,
                       "client_email": email, "token_uri": "https://oauth2.googleapis.com/token"}
            path = folder / f"{name}.json"
            path.touch(mode=0o600)
            path.write_text(json.dumps(account))
            if name != "stranger":
                self.people[email] = secret.public_key()

    def who(self, header):
        unknown = Refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
                          "cookie or other valid authentication credential.")
        try:
            scheme, token = (header or "").split(" ", 1)
            signed, signature = token.rsplit(".", 1)
            head, claims = (json.loads(unbase64(part)) for part in signed.split("."))
            public = self.people[claims["iss"]]
            public.verify(unbase64(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, KeyError, InvalidSignature):
            raise unknown from None
        now = time.time()
        fits = scheme == "Bearer" and head["alg"] == "RS256" and claims["sub"] == claims["iss"] and claims["aud"] == AUDIENCE
        if not fits or not claims["iat"] - 60 <= now < claims["exp"] or claims["exp"] - claims["iat"] > 3600:
            raise unknown
        return claims["iss"]

    def allow(self, who, permission, resource):
        granted = EVERYTHING if who.startswith("admin@") else self.policy.get(who, set())
        if granted & {"*", permission}:
            return
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED", "domain": "iam.googleapis.com",
                "metadata": {"permission": permission, "resource": resource}}
        message = f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
        raise Refused(403, "PERMISSION_DENIED", message, [info])

    def key(self, name):
        if name not in self.keys:
            raise Refused(404, "NOT_FOUND", f"CryptoKey {name} not found.")
        return self.keys[name]

    def answer(self, method, path, query, who, body):
        found = KEY.match(path)
        if not found:
            raise Refused(404, "NOT_FOUND", "Method not found.")
        ring, rest = found["ring"], found["rest"]
        if rest == ":spoil":
            self.allow(who, "*", ring)
            self.spoilt = body
            return {}
        if "status" in self.spoilt and not who.startswith("admin@"):
            raise Refused(self.spoilt["code"], self.spoilt["status"], "As the test asks.")
        if rest == ":setIamPolicy":
            self.allow(who, "cloudkms.keyRings.setIamPolicy", ring)
            bindings = body["policy"].get("bindings", [])
            self.policy = {member.removeprefix("serviceAccount:"): set(b["role"].split(","))
                           for b in bindings for member in b["members"]}
            return body["policy"]
        if method == "POST" and rest == "/cryptoKeys":
            self.allow(who, "cloudkms.cryptoKeys.create", ring)
            name = f"{ring}/cryptoKeys/{query['cryptoKeyId']}"
            self.keys[name] = Key(name, PURPOSES.get(body["purpose"], body["purpose"]))
            return self.keys[name].shown()
        part = re.match(r"^/cryptoKeys/([^/:]+)(?:/cryptoKeyVersions(?:/(\d+))?)?(?::(\w+))?$", rest)
        if not part:
            raise Refused(404, "NOT_FOUND", "Method not found.")
        name, number, verb = f"{ring}/cryptoKeys/{part[1]}", part[2], part[3]
        if "/cryptoKeyVersions" in rest:
            return self.of_version(method, name, number and int(number), verb, who, body)
        if verb in ("encrypt", "decrypt"):
            self.allow(who, "cloudkms.cryptoKeyVersions.useTo" + verb.capitalize(), name)
            return getattr(self, verb)(self.key(name), body)
        if verb == "updatePrimaryVersion":
            self.allow(who, "cloudkms.cryptoKeys.update", name)
            self.key(name).primary = int(body["cryptoKeyVersionId"])
            return self.key(name).shown()
        self.allow(who, "cloudkms.cryptoKeys.get", name)
        return self.key(name).shown()

    def of_version(self, method, name, number, verb, who, body):
        if number is None:
            self.allow(who, "cloudkms.cryptoKeyVersions.create", name)
            number = len(self.key(name).versions) + 1
            self.key(name).versions[number] = Version()
        elif method == "GET":
            self.allow(who, "cloudkms.cryptoKeyVersions.get", name)
        else:
            self.allow(who, "cloudkms.cryptoKeyVersions." + (verb or "update"), name)
            states = {"destroy": "DESTROY_SCHEDULED", "restore": "DISABLED"}
            self.key(name).version(number).state = states[verb] if verb else STATES.get(body["state"], body["state"])
        return self.key(name).shown_version(number)

    @staticmethod
    def checked(body, field):
        data = base64.b64decode(body.get(field, ""), validate=True)
        stated = body.get(field + "Crc32c")
        if stated is not None and int(stated) != crc32c(data):
            raise invalid(f"The checksum in field {field}_crc32c did not match the data in field {field}.")
        return data, stated is not None

    def encrypt(self, key, body):
        if key.purpose != "ENCRYPT_DECRYPT":
            raise invalid(f"{key.name} is not for encryption.")
        plain, verified = self.checked(body, "plaintext")
        aad, aad_verified = self.checked(body, "additionalAuthenticatedData")
        if len(plain) > PLAIN_BYTES_MAX:
            raise invalid("The plaintext is too large.")
        version, nonce = key.enabled(key.primary), os.urandom(NONCE_BYTES)
        sealed = key.primary.to_bytes(4, "big") + nonce + version.secret.encrypt(nonce, plain, aad)
        return {"name": f"{key.name}/cryptoKeyVersions/{key.primary}", "ciphertext": base64.b64encode(sealed).decode(),
                "ciphertextCrc32c": str(crc32c(sealed)), "verifiedPlaintextCrc32c": verified,
                "verifiedAdditionalAuthenticatedDataCrc32c": aad_verified, "protectionLevel": "SOFTWARE"}

    def decrypt(self, key, body):
        sealed, _ = self.checked(body, "ciphertext")
        aad, _ = self.checked(body, "additionalAuthenticatedData")
        failed = invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
        number = int.from_bytes(sealed[:4], "big")
        if number not in key.versions:
            raise failed
        version, nonce = key.enabled(number), sealed[4:4 + NONCE_BYTES]
        try:
            plain = version.secret.decrypt(nonce, sealed[4 + NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise failed from None
        return {"plaintext": base64.b64encode(plain).decode(), "plaintextCrc32c": str(crc32c(plain)),
                "usedPrimary": number == key.primary, "protectionLevel": "SOFTWARE"}


    def reply(self, request):
        """The answer to one request."""
        try:
            who = self.who(request.headers.get("authorization"))
            body = json.loads(request.text) if request.text else {}
            code, said = 200, self.answer(request.method, request.path, request.query, who, body)
            if self.spoilt.get("change") in said:
                said = said | {self.spoilt["change"]: self.changed(said[self.spoilt["change"]])}
        except Refused as refused:
            code, said = refused.code, refused.body
        except (ValueError, KeyError) as wrong:
            refused = invalid(f"Invalid JSON payload received. {wrong}")
            code, said = refused.code, refused.body
        if "raw" in self.spoilt and request.path.rpartition(":")[2] != "spoil":
            return self.spoilt["code"], {}, self.spoilt["raw"].encode()
        return code, {}, json.dumps(said).encode()

    @staticmethod
    def changed(value):
        """Another value of its kind: the first bit of bytes, the other word."""
        if isinstance(value, bool):
            return not value
        data = bytearray(base64.b64decode(value))
        data[0] ^= 0x80
        return base64.b64encode(data).decode()


def token(account):
    """What a service account signs itself."""
    now, part = int(time.time()), lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    email = account["client_email"]
    head = {"alg": "RS256", "typ": "JWT", "kid": account["private_key_id"]}
    signed = part(head) + b"." + part({"iss": email, "sub": email, "aud": AUDIENCE, "iat": now, "exp": now + 300})
    secret = serialization.load_pem_private_key(account["private_key"].encode(), None)
    signature = secret.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def headers(folder):
    """What an administrator's request carries."""
    return {"authorization": "Bearer " + token(json.loads((folder / "admin.json").read_text()))}


if __name__ == "__main__":
    sys.exit(cloud.main(__doc__, Store, headers))
