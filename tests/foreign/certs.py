"""Certificates for the servers of these tests."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def signed(secret, issuer, public, subject, *extensions):
    """A certificate of a day for `public`; critical is what says whether it may sign others."""
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
    made = made.not_valid_after(now + datetime.timedelta(days=1))
    for extension in extensions:
        made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return made.sign(secret, hashes.SHA256())


def own(secret, name, *extensions):
    """One that a key signs for itself."""
    return signed(secret, named(name), secret.public_key(), named(name), *extensions)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def private(secret):
    return secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
