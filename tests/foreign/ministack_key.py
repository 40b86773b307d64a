"""What a customer does with a key at a ministack server, as the account's root; prints the key as JSON: arn, state.

Usage: ministack_key.py ENDPOINT AWS_REGION create|disable|enable|use [ARN]
"""

import json
import sys

import botocore.session


def main(endpoint, region, act, arn=None):
    kms = botocore.session.get_session().create_client(
        "kms",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    if act == "create":
        arn = kms.create_key()["KeyMetadata"]["Arn"]
    elif act == "disable":
        kms.disable_key(KeyId=arn)
    elif act == "enable":
        kms.enable_key(KeyId=arn)
    elif act == "use":
        kms.encrypt(KeyId=arn, Plaintext=b"somebody else's")
    else:
        sys.exit(__doc__)
    found = kms.describe_key(KeyId=arn)["KeyMetadata"]
    print(json.dumps({"arn": found["Arn"], "state": found["KeyState"]}))


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(*sys.argv[1:])
