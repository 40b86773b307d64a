"""Makes an IAM role on a ministack server and prints it as JSON: arn.

Usage: ministack_role.py ENDPOINT AWS_REGION ROLE PRINCIPAL EXTERNAL_ID

Only PRINCIPAL, a user's ARN, may assume the role, and only with EXTERNAL_ID. The role may Encrypt, Decrypt and DescribeKey with every key, so
that a key's own policy alone decides who is refused.
"""

import json
import sys

import botocore.session

ACTIONS = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"]


def policy(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def main(endpoint, region, role, principal, external_id):
    iam = botocore.session.get_session().create_client(
        "iam",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    trust = policy(
        {
            "Principal": {"AWS": principal},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
        }
    )
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="l1", PolicyDocument=policy({"Action": ACTIONS, "Resource": "*"}))
    user = principal.rsplit("/", 1)[1]
    assume = policy({"Action": "sts:AssumeRole", "Resource": arn})
    iam.put_user_policy(UserName=user, PolicyName="assume", PolicyDocument=assume)
    print(json.dumps({"arn": arn}))


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
