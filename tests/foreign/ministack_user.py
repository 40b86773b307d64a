"""Makes an IAM user on a ministack server and prints it as JSON: arn, access_key, secret.

Usage: ministack_user.py ENDPOINT AWS_REGION USER

The user may Encrypt, Decrypt and DescribeKey with every key, so that a key's own policy alone decides who is refused.
"""

import json
import sys

import botocore.session

ACTIONS = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"]


def main(endpoint, region, user):
    iam = botocore.session.get_session().create_client(
        "iam",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    arn = iam.create_user(UserName=user)["User"]["Arn"]
    key = iam.create_access_key(UserName=user)["AccessKey"]
    statement = {"Effect": "Allow", "Action": ACTIONS, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=user, PolicyName="l1", PolicyDocument=policy)
    print(json.dumps({"arn": arn, "access_key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
