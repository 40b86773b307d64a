"""Google's own library asks the small server of `google_kms.py`, and opens with it what the provider google-kms wrapped.

Usage: official_google.py FOLDER PORT KEY WRAPPED AAD, where KEY is a key's resource name; WRAPPED and AAD are in hex. It prints what it saw, as JSON.
"""

import json
import os
import pathlib
import sys

folder, port, name = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
wrapped, aad = bytes.fromhex(sys.argv[4]), bytes.fromhex(sys.argv[5])
os.environ["REQUESTS_CA_BUNDLE"] = str(folder / "ca.pem")

from google.api_core.exceptions import GoogleAPICallError  # noqa: E402
from google.cloud import kms  # noqa: E402
from google.oauth2 import service_account  # noqa: E402


def client(account):
    credentials = service_account.Credentials.from_service_account_file(folder / f"{account}.json", always_use_jwt_access=True)
    transport = kms.KeyManagementServiceClient.get_transport_class("rest")(credentials=credentials, host=f"localhost:{port}")
    return kms.KeyManagementServiceClient(transport=transport)


def refusal(act):
    try:
        act()
    except GoogleAPICallError as error:
        return [error.code, error.reason]
    return None


region, admin = client("region"), client("admin")
opened = region.decrypt(request={"name": name, "ciphertext": wrapped, "additional_authenticated_data": aad})
seen = {"opened": len(opened.plaintext), "state": region.get_crypto_key(name=name).primary.state.name}
sealed = region.encrypt(request={"name": name, "plaintext": b"k" * 32, "additional_authenticated_data": aad})
both = {"name": name, "ciphertext": sealed.ciphertext, "additional_authenticated_data": aad}
seen["round"] = region.decrypt(request=both).plaintext == b"k" * 32
seen["other"] = refusal(lambda: region.decrypt(request=both | {"additional_authenticated_data": b"other"}))
version = kms.CryptoKeyVersion(name=f"{name}/cryptoKeyVersions/1", state=kms.CryptoKeyVersion.CryptoKeyVersionState.DISABLED)
seen["update"] = refusal(lambda: region.update_crypto_key_version(crypto_key_version=version, update_mask={"paths": ["state"]}))
admin.update_crypto_key_version(crypto_key_version=version, update_mask={"paths": ["state"]})
seen["disabled"] = refusal(lambda: region.decrypt(request=both))
seen["absent"] = refusal(lambda: region.get_crypto_key(name=f"{name}-never"))
seen["stranger"] = refusal(lambda: client("stranger").get_crypto_key(name=name))
print(json.dumps(seen))
