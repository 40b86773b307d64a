"""The PyKMIP client against a KMIP server: each operation of the first slice, at each version from 1.0 to 1.4.

Exits with 1 at the first wrong answer. What the client or a version lacks is skipped by name.
"""

import logging
import uuid

from kmip.core import enums, exceptions as wire
from kmip.core.factories.attributes import AttributeFactory
from kmip.pie import exceptions, objects
from kmip.pie.client import ProxyKmipClient

from check import Checks, arguments, host_and_port

VERSIONS = {version.name[-3:].replace("_", "."): version for version in list(enums.KMIPVersion)[:5]}
OPERATIONS = [
    enums.Operation.CREATE,
    enums.Operation.REGISTER,
    enums.Operation.LOCATE,
    enums.Operation.GET,
    enums.Operation.GET_ATTRIBUTES,
    enums.Operation.GET_ATTRIBUTE_LIST,
    enums.Operation.ACTIVATE,
    enums.Operation.REVOKE,
    enums.Operation.DESTROY,
    enums.Operation.QUERY,
]
SINCE_1_2 = [enums.Operation.ENCRYPT, enums.Operation.DECRYPT]
MASKS = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]
CBC = {
    "cryptographic_algorithm": enums.CryptographicAlgorithm.AES,
    "block_cipher_mode": enums.BlockCipherMode.CBC,
    "padding_method": enums.PaddingMethod.PKCS5,
}
REFUSED = exceptions.KmipOperationFailure
NOT_FOUND = enums.ResultReason.ITEM_NOT_FOUND


def client(options, version):
    host, port = host_and_port(options.address)
    return ProxyKmipClient(
        hostname=host,
        port=port,
        cert=options.cert,
        key=options.key,
        ca=options.ca,
        ssl_version="PROTOCOL_TLS" if options.newest_tls else "PROTOCOL_TLSv1_2",
        config="none",
        kmip_version=VERSIONS[version],
    )


def server(kmip, check, version, own_peer):
    if version == "1.0":
        check.skip("Discover Versions", "it came with KMIP 1.1")
    else:
        answer = kmip.proxy.discover_versions()
        found = {f"{v.major}.{v.minor}" for v in answer.protocol_versions}
        check.that(f"Discover Versions names {', '.join(VERSIONS)}", found >= set(VERSIONS), found)
    functions = [enums.QueryFunction.QUERY_OPERATIONS, enums.QueryFunction.QUERY_OBJECTS]
    answer = kmip.proxy.query(query_functions=functions)
    wanted = OPERATIONS + (SINCE_1_2 if version >= "1.2" else [])
    found = set(answer.operations)
    check.that("Query names each operation", found >= set(wanted), set(wanted) - found)
    if own_peer:
        check.skip("Query names both object types", "PyKMIP's own server does not")
        return
    types = {enums.ObjectType.SYMMETRIC_KEY, enums.ObjectType.SECRET_DATA}
    check.that("Query names both object types", set(answer.object_types) >= types, answer.object_types)


def attribute(kmip, uid, name):
    _, attributes = kmip.get_attributes(uid, [name])
    return [a.attribute_value.value for a in attributes]


def created(kmip, check):
    name = f"smoke-{uuid.uuid4()}"
    uid = kmip.create(enums.CryptographicAlgorithm.AES, 256, name=name, cryptographic_usage_mask=MASKS)
    check.that("Create gives an id", bool(uid), uid)
    check.equal("State before Activate", attribute(kmip, uid, "State"), [enums.State.PRE_ACTIVE])
    check.equal("Cryptographic Length", attribute(kmip, uid, "Cryptographic Length"), [256])
    algorithm = attribute(kmip, uid, "Cryptographic Algorithm")
    check.equal("Cryptographic Algorithm", algorithm, [enums.CryptographicAlgorithm.AES])
    names = set(kmip.get_attribute_list(uid))
    wanted = {"Object Type", "Name", "State", "Cryptographic Usage Mask", "Unique Identifier"}
    check.that("Get Attribute List names what there is", names >= wanted, wanted - names)
    found = kmip.locate(attributes=[AttributeFactory().create_attribute(enums.AttributeType.NAME, name)])
    check.equal("Locate by Name finds one", found, [uid])
    other = AttributeFactory().create_attribute(enums.AttributeType.NAME, name + "-not")
    check.equal("Locate by another Name finds none", kmip.locate(attributes=[other]), [])
    key = kmip.get(uid)
    check.equal("Get gives a key of 256 bits", (len(key.value), key.cryptographic_length), (32, 256))
    check.that("Get gives the same key again", kmip.get(uid).value == key.value)
    return uid


def ciphered(kmip, check, uid):
    plain = b"thirty-three bytes are no block.."
    random_iv = dict(CBC, random_iv=True)
    check.refused("Encrypt before Activate", lambda: kmip.encrypt(plain, uid, random_iv), REFUSED)
    activated(kmip, check, uid)
    sealed, iv = kmip.encrypt(plain, uid, random_iv)
    check.equal("Encrypt with RandomIV gives an IV", len(iv or b""), 16)
    check.equal("CBC with PKCS5 fills the block", len(sealed), 48)
    again, other_iv = kmip.encrypt(plain, uid, random_iv)
    check.that("a second Encrypt differs", (sealed, iv) != (again, other_iv))
    check.that("Decrypt gives the plaintext", kmip.decrypt(sealed, uid, CBC, iv) == plain)
    own_iv = bytes(range(16))
    fixed, _ = kmip.encrypt(plain, uid, CBC, own_iv)
    check.that("the client's own IV is used", kmip.decrypt(fixed, uid, CBC, own_iv) == plain)
    check.refused("Decrypt of half a block", lambda: kmip.decrypt(sealed[:-1], uid, CBC, iv), REFUSED)


def activated(kmip, check, uid):
    kmip.activate(uid)
    check.equal("State after Activate", attribute(kmip, uid, "State"), [enums.State.ACTIVE])
    check.refused("Activate twice", lambda: kmip.activate(uid), REFUSED)


def registered(kmip, check):
    material = bytes(range(32))
    key = objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, material, masks=MASKS)
    uid = kmip.register(key)
    check.equal("Get of a registered SymmetricKey", kmip.get(uid).value, material)
    secret = b"correct horse battery staple"
    secret_uid = kmip.register(objects.SecretData(secret, enums.SecretDataType.PASSWORD))
    check.equal("Get of a registered SecretData", kmip.get(secret_uid).value, secret)
    for each in (uid, secret_uid):
        kmip.destroy(each)
    check.refused("Get after Destroy", lambda: kmip.get(uid), REFUSED)


def ended(kmip, check, uid, version):
    check.refused("Destroy of an active key", lambda: kmip.destroy(uid), REFUSED)
    kmip.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid)
    check.equal("State after Revoke", attribute(kmip, uid, "State"), [enums.State.DEACTIVATED])
    if version >= "1.2":
        encrypt = lambda: kmip.encrypt(b"x", uid, dict(CBC, random_iv=True))
        check.refused("Encrypt after Revoke", encrypt, REFUSED)
    kmip.destroy(uid)
    check.refused("Get after Destroy", lambda: kmip.get(uid), REFUSED)
    absent = "9b5c0c1e-0000-4000-8000-000000000000"
    check.refused("Get of an unknown id", lambda: kmip.get(absent), REFUSED, NOT_FOUND)
    check.refused("Get Attributes of an unknown id", lambda: kmip.get_attributes(absent, ["State"]), (REFUSED, wire.KmipError))


def smoke(options, version):
    check = Checks(f"pykmip {version}")
    with client(options, version) as kmip:
        check.equal("TLS", kmip.proxy.socket.version(), "TLSv1.3" if options.newest_tls else "TLSv1.2")
        server(kmip, check, version, options.pykmip_server)
        uid = created(kmip, check)
        if version >= "1.2":
            ciphered(kmip, check, uid)
        else:
            check.skip("Encrypt and Decrypt", "they came with KMIP 1.2")
            activated(kmip, check, uid)
        registered(kmip, check)
        ended(kmip, check, uid, version)
    check.done()


def main():
    parser = arguments(__doc__)
    parser.add_argument("--version", action="append", choices=list(VERSIONS), help="default: each of them")
    parser.add_argument("--newest-tls", action="store_true", help="TLS 1.3 if the server has it (PyKMIP's own default is 1.2)")
    parser.add_argument("--pykmip-server", action="store_true", help="the peer is PyKMIP's own: skip what that lacks")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    for version in options.version or VERSIONS:
        smoke(options, version)


if __name__ == "__main__":
    main()
