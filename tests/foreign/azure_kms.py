"""Azure Key Vault in small, over its REST interface, with the token endpoint of Entra ID: for the tests of the provider azure-key-vault.

It keeps RSA keys and, as a Managed HSM has them, AES keys, each with its versions; it wraps and unwraps, deletes softly, and hands out tokens to
applications that prove themselves by a secret or a certificate. Its folder gets `ca.pem` and a credential file for each application:
`region` (certificate), `secret` (the same application, by its secret) and `stranger`, whom it does not know. When it listens it
prints its port. What the management plane does (who has which role) and what breaks is set below `/test`, by the administrator alone.

Azure's own library (`official_azure.py`) meets it besides the provider. Forms, statuses and codes are those of the Key Vault REST reference (7.4), of "Azure Key Vault REST API error codes" and of the Microsoft
identity platform's "client credentials flow".
"""

import base64
import hashlib
import json
import os
import re
import secrets
import sys
import time
import urllib.parse

import certs
import cloud
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

DIRECTORY = "acme.example"
RESOURCES = ("https://vault.azure.net", "https://localhost")
STATEMENT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_LIFE_S = 3599
VERSIONS = re.compile(r"7\.[0-9]|20\d\d-\d\d-\d\d")
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
KEY = re.compile(r"^/keys/(?P<name>[0-9A-Za-z-]+)(?:/(?P<version>[0-9a-f]*))?(?:/(?P<verb>[a-z]+))?$")
DELETED = re.compile(r"^/deletedkeys/(?P<name>[0-9A-Za-z-]+)$")


class Refused(Exception):
    def __init__(self, status, code, message, inner=None, headers=None):
        self.status, self.headers = status, headers or {}
        self.error = {"code": code, "message": message} | ({"innererror": {"code": inner}} if inner else {})
        super().__init__(message)


class Denied(Exception):
    """What the token endpoint says no with."""


def bad(message):
    return Refused(400, "BadParameter", message)


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Version:
    def __init__(self, form):
        self.kty, self.enabled = form["kty"], form.get("attributes", {}).get("enabled", True)
        self.ops = form.get("key_ops") or ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
        if self.kty in ("RSA", "RSA-HSM"):
            self.secret = rsa.generate_private_key(public_exponent=65537, key_size=form.get("key_size", 2048))
        else:
            self.secret = os.urandom(form.get("key_size", 256) // 8)

    def shown(self, kid):
        key = {"kid": kid, "kty": self.kty, "key_ops": self.ops}
        if not isinstance(self.secret, bytes):
            numbers = self.secret.public_key().public_numbers()
            key |= {"n": encoded(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")), "e": "AQAB"}
        return {"key": key, "attributes": {"enabled": self.enabled, "created": 1700000000, "updated": 1700000000,
                                           "recoveryLevel": "Recoverable", "recoverableDays": 90}, "tags": {}}

    def fits(self, alg):
        wanted = "A256KW" if isinstance(self.secret, bytes) else "RSA-OAEP-256"
        if alg != wanted or (isinstance(self.secret, bytes) and len(self.secret) != 32):
            raise bad(f"Key of type '{self.kty}' does not support algorithm '{alg}'.")

    def wrap(self, alg, value):
        self.fits(alg)
        if isinstance(self.secret, bytes):
            return keywrap.aes_key_wrap(self.secret, value)
        return self.secret.public_key().encrypt(value, OAEP)

    def unwrap(self, alg, value):
        self.fits(alg)
        try:
            if isinstance(self.secret, bytes):
                return keywrap.aes_key_unwrap(self.secret, value)
            return self.secret.decrypt(value, OAEP)
        except (ValueError, keywrap.InvalidUnwrap):
            raise bad("The parameter is incorrect.") from None


class Store:
    def __init__(self, folder):
        self.keys, self.deleted, self.tokens, self.roles, self.spoilt = {}, {}, {}, {}, {}
        self.statements, self.signed_in = set(), 0
        self.apps = {}
        for name in ("admin", "region", "stranger"):
            client, secret, pem, certificate = f"{name}-{secrets.token_hex(8)}", secrets.token_urlsafe(30), *self.certified(name)
            self.write(folder / f"{name}.pem", pem)
            self.write(folder / f"{name}.credentials", f"client_id = {client}\ncertificate = {name}.pem\n")
            if name == "region":
                self.write(folder / "secret.credentials", f"client_id = {client}\nclient_secret = {secret}\n")
            if name != "stranger":
                self.apps[client] = (name, secret, certificate)
        self.administrator = secrets.token_urlsafe(30)
        self.write(folder / "admin.token", self.administrator)
        self.tokens[self.administrator] = ("admin", time.time() + 3600)

    @staticmethod
    def write(path, text):
        path.touch(mode=0o600)
        path.write_text(text)

    @staticmethod
    def certified(name):
        """A key with its certificate in one PEM, as `az ad app credential reset --create-cert` writes them, and the certificate."""
        secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        made = certs.own(secret, name)
        return (certs.private(secret) + certs.pem(made)).decode(), made

    def reply(self, request):
        """The answer to one request."""
        if "raw" in self.spoilt and not request.path.startswith("/test/"):
            return self.spoilt["code"], {}, self.spoilt["raw"].encode()
        if request.path.startswith(f"/{DIRECTORY}/"):
            return self.of_entra(request)
        try:
            name = self.who(request)
            if request.path.startswith("/test/"):
                return 200, {}, json.dumps(self.of_test(name, request)).encode()
            if "error" in self.spoilt and name != "admin":
                inner = self.spoilt.get("inner")
                raise Refused(self.spoilt["code"], self.spoilt["error"], "As the test asks.", inner)
            if not VERSIONS.fullmatch(request.query.get("api-version", "")):
                raise bad("The api-version is missing or unknown.")
            return 200, {}, json.dumps(self.of_vault(name, request)).encode()
        except Refused as refused:
            return refused.status, refused.headers, json.dumps({"error": refused.error}).encode()
        except (ValueError, KeyError) as wrong:
            return 400, {}, json.dumps({"error": {"code": "BadParameter", "message": f"Property has invalid value {wrong}"}}).encode()

    # Entra ID.

    def of_entra(self, request):
        base = f"https://{request.headers['host']}/{DIRECTORY}"
        if request.path.endswith("/.well-known/openid-configuration"):
            return 200, {}, json.dumps({"issuer": f"{base}/v2.0", "token_endpoint": f"{base}/oauth2/v2.0/token",
                                        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize"}).encode()
        try:
            if "login" in self.spoilt:
                raise Denied("temporarily_unavailable", "AADSTS90033: as the test asks.")
            form = {name: values[0] for name, values in urllib.parse.parse_qs(request.text.decode(), strict_parsing=True).items()}
            name = self.proven(form, f"{base}/oauth2/v2.0/token")
            if form["grant_type"] != "client_credentials" or form["scope"] not in [f"{one}/.default" for one in RESOURCES]:
                raise Denied("invalid_scope", "AADSTS70011: the scope is not valid.")
        except Denied as denied:
            error, description = denied.args
            code = {"temporarily_unavailable": self.spoilt.get("login"), "invalid_scope": 400}.get(error, 401)
            return code, {}, json.dumps({"error": error, "error_description": description, "error_codes": []}).encode()
        token = secrets.token_urlsafe(600)
        self.tokens[token] = (name, time.time() + TOKEN_LIFE_S)
        self.signed_in += 1
        return 200, {}, json.dumps({"token_type": "Bearer", "expires_in": TOKEN_LIFE_S, "ext_expires_in": TOKEN_LIFE_S,
                                    "access_token": token}).encode()

    def proven(self, form, audience):
        unknown = Denied("unauthorized_client", f"AADSTS700016: Application with identifier '{form['client_id']}' was not found.")
        name, secret, certificate = self.apps.get(form["client_id"]) or (_ for _ in ()).throw(unknown)
        if "client_secret" in form:
            if not secrets.compare_digest(form["client_secret"].encode(), secret.encode()):
                raise Denied("invalid_client", "AADSTS7000215: Invalid client secret provided.")
            return name
        try:
            signed, signature = form["client_assertion"].rsplit(".", 1)
            head, claims = (json.loads(decoded(part)) for part in signed.split("."))
            salted = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            scheme = {"PS256": salted, "RS256": padding.PKCS1v15()}[head["alg"]]
            certificate.public_key().verify(decoded(signature), signed.encode(), scheme, hashes.SHA256())
            print256 = encoded(hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest())
            fits = form["client_assertion_type"] == STATEMENT and head.get("x5t#S256", print256) == print256
            fits = fits and claims["iss"] == claims["sub"] == form["client_id"] and claims["aud"] == audience
            fresh = claims.get("nbf", claims.get("iat", 0)) <= time.time() < claims["exp"] and claims["jti"] not in self.statements
            if not fits or not fresh:
                raise Denied("invalid_client", "AADSTS700027: The assertion is not within its time range, or another's.")
        except (KeyError, ValueError, InvalidSignature):
            raise Denied("invalid_client", "AADSTS700027: The certificate or its signature is not valid.") from None
        self.statements.add(claims["jti"])
        return name

    def who(self, request):
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        name, until = self.tokens.get(token, ("", 0))
        if scheme != "Bearer" or time.time() >= until:
            host = request.headers["host"]
            asks = f'Bearer authorization="https://{host}/{DIRECTORY}", resource="{RESOURCES[0]}"'
            raise Refused(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", headers={"WWW-Authenticate": asks})
        return name

    # The tests' own.

    def of_test(self, name, request):
        if name != "admin":
            raise Refused(403, "Forbidden", "For the administrator alone.", "AccessDenied")
        body = json.loads(request.text or b"{}")
        match request.path:
            case "/test/roles":
                self.roles = {name: set(actions) for name, actions in body.items()}
            case "/test/spoil":
                self.spoilt = body
            case "/test/revoke":
                self.tokens = {token: known for token, known in self.tokens.items() if known[0] == "admin"}
            case "/test/count":
                return {"signed_in": self.signed_in}
            case other:
                raise bad(f"The tests have no {other}.")
        return {}

    # The vault.

    def allow(self, name, action):
        action = f"Microsoft.KeyVault/vaults/keys/{action}"
        if name != "admin" and action not in self.roles.get(name, ()):
            message = ("Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions "
                       f"were changed recently, please observe propagation time.\r\nCaller: appid={name}\r\nAction: '{action}'")
            raise Refused(403, "Forbidden", message, "ForbiddenByRbac")

    def of_vault(self, who, request):
        base, body = f"https://{request.headers['host']}", json.loads(request.text or b"{}")
        if found := DELETED.fullmatch(request.path):
            return self.of_deleted(who, request.method, base, found["name"])
        found = KEY.fullmatch(request.path)
        if not found:
            raise bad("The request URI contains an invalid name.")
        name, number, verb = found["name"], found["version"] or None, found["verb"]
        # `/keys/NAME/create`, but `/keys/NAME/VERSION/wrapkey`.
        if request.method == "POST" and request.path == f"/keys/{name}/create":
            return self.create(who, base, name, body)
        if name not in self.keys:
            inner = (f"A key with (name/id) {name} was not found in this key vault. If you recently deleted this key you may be able to "
                     "recover it using the correct recovery command.")
            raise Refused(404, "KeyNotFound", inner)
        versions = self.keys[name]
        number = number or next(reversed(versions))
        if verb in ("wrapkey", "unwrapkey"):
            self.allow(who, verb.replace("key", "/action"))
        elif request.method == "GET":
            self.allow(who, "read")
        else:
            self.allow(who, "update/action" if request.method == "PATCH" else "delete")
        if number not in versions:
            raise Refused(404, "KeyNotFound", f"A key with (name/id) {name}/{number} was not found in this key vault.")
        version, kid = versions[number], f"{base}/keys/{name}/{number}"
        if verb in ("wrapkey", "unwrapkey"):
            return self.used(version, kid, verb, body)
        if request.method == "PATCH":
            version.enabled = body.get("attributes", {}).get("enabled", version.enabled)
            version.ops = body.get("key_ops", version.ops)
        elif request.method == "DELETE":
            self.deleted[name] = self.keys.pop(name)
            return version.shown(kid) | {"recoveryId": f"{base}/deletedkeys/{name}", "deletedDate": 1700000000}
        return version.shown(kid)

    @staticmethod
    def used(version, kid, verb, body):
        if not version.enabled:
            raise Refused(403, "Forbidden", f"Operation {verb} is not allowed on a disabled key.", "KeyDisabled")
        value = (version.wrap if verb == "wrapkey" else version.unwrap)(body["alg"], decoded(body["value"]))
        return {"kid": kid, "value": encoded(value)}

    def create(self, who, base, name, body):
        self.allow(who, "create/action")
        if name in self.deleted:
            raise Refused(409, "Conflict", f"Key {name} is currently in a deleted but recoverable state.", "ObjectIsDeletedButRecoverable")
        number = secrets.token_hex(16)
        self.keys.setdefault(name, {})[number] = Version(body)
        return self.keys[name][number].shown(f"{base}/keys/{name}/{number}")

    def of_deleted(self, who, method, base, name):
        self.allow(who, "read" if method == "GET" else "purge/action")
        if name not in self.deleted:
            raise Refused(404, "KeyNotFound", f"Deleted Key not found: {name}")
        number = next(reversed(self.deleted[name]))
        shown = self.deleted[name][number].shown(f"{base}/keys/{name}/{number}")
        if method == "DELETE":
            del self.deleted[name]
        return shown | {"recoveryId": f"{base}/deletedkeys/{name}", "deletedDate": 1700000000, "scheduledPurgeDate": 1707776000}


def headers(folder):
    """What an administrator's request carries."""
    return {"authorization": "Bearer " + (folder / "admin.token").read_text()}


if __name__ == "__main__":
    sys.exit(cloud.main(__doc__, Store, headers))
