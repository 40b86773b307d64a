"""Azure's own library asks the small server of `azure_kms.py`, and opens with it what the provider azure-key-vault wrapped.

Usage: official_azure.py FOLDER PORT KEY WRAPPED, where KEY is a key's name and WRAPPED in hex what a region's blob has of it. It prints what it saw, as JSON.
"""

import json
import os
import pathlib
import sys

folder, port, name, wrapped = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], bytes.fromhex(sys.argv[4])
os.environ["REQUESTS_CA_BUNDLE"] = str(folder / "ca.pem")

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError  # noqa: E402
from azure.identity import CertificateCredential, ClientSecretCredential  # noqa: E402
from azure.keyvault.keys import KeyClient  # noqa: E402
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm  # noqa: E402

VAULT, DIRECTORY = f"https://localhost:{port}", "acme.example"
LOGIN = {"authority": f"https://localhost:{port}", "disable_instance_discovery": True}
# The server is not the vault that its tokens are for.
ANYWHERE = {"verify_challenge_resource": False}
OAEP = KeyWrapAlgorithm.rsa_oaep_256


def credential(file):
    lines = (folder / f"{file}.credentials").read_text().splitlines()
    values = dict(line.split(" = ", 1) for line in lines)
    if "client_secret" in values:
        return ClientSecretCredential(DIRECTORY, values["client_id"], values["client_secret"], **LOGIN)
    return CertificateCredential(DIRECTORY, values["client_id"], certificate_path=folder / values["certificate"], **LOGIN)


def keys(file):
    return KeyClient(VAULT, credential(file), **ANYWHERE)


def crypto(key, file):
    return CryptographyClient(key, credential(file), **ANYWHERE)


def refusal(act):
    try:
        act()
    except ClientAuthenticationError as error:
        return error.message.split(":")[0]
    except HttpResponseError as error:
        return [error.status_code, error.error.code, (error.error.innererror or {}).get("code")]
    return None


region, admin = keys("secret"), keys("admin")
ours = region.get_key(name)
seen = {"opened": len(crypto(ours, "secret").unwrap_key(OAEP, wrapped).key)}

made = admin.create_rsa_key("theirs", size=2048, key_operations=["wrapKey", "unwrapKey"])
sealed = crypto(made, "admin").wrap_key(OAEP, b"k" * 32).encrypted_key
seen["round"] = crypto(made, "admin").unwrap_key(OAEP, sealed).key == b"k" * 32
seen["other"] = refusal(lambda: crypto(ours, "secret").unwrap_key(OAEP, sealed))
admin.update_key_properties("theirs", enabled=False)
seen["enabled"] = region.get_key("theirs").properties.enabled
seen["disabled"] = refusal(lambda: crypto(made, "secret").unwrap_key(OAEP, sealed))
seen["create"] = refusal(lambda: region.create_rsa_key("mine"))
admin.begin_delete_key("theirs").wait()
try:
    region.get_key("theirs")
except ResourceNotFoundError as error:
    seen["gone"] = error.error.code
seen["recoverable"] = region.get_deleted_key("theirs").scheduled_purge_date is not None
seen["stranger"] = refusal(lambda: keys("stranger").get_key(name))
print(json.dumps(seen))
