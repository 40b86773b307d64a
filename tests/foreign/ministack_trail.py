"""Writes what a ministack server recorded of AWS KMS as a log file of CloudTrail; prints as JSON how many events
there are, and `whole_until`: what --to is for a trail that lacks nothing that was asked before this began.

Usage: ministack_trail.py ENDPOINT AWS_REGION FILE

The server records what it was asked by itself (CLOUDTRAIL_RECORDING=1). Where its events are not as CloudTrail's, they are made so
here: parameters begin with a small letter, plaintexts and ciphertexts are left out, and `resources` names the key.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

import botocore.session


def recorded(trail):
    """All events; the server answers with the newest 50 before a moment, and takes whole seconds."""
    found, end = {}, None
    while True:
        asked = {} if end is None else {"EndTime": datetime.fromtimestamp(end, timezone.utc)}
        page = trail.lookup_events(**asked)["Events"]
        new = [event for event in page if event["EventId"] not in found]
        found.update((event["EventId"], event) for event in new)
        if len(page) < 50:
            return found.values()
        if not new:
            sys.exit("more than 50 events in one second")
        end = int(min(event["EventTime"].timestamp() for event in page)) + 1


def as_delivered(event):
    told = json.loads(event["CloudTrailEvent"])
    asked = told["requestParameters"]
    names = ("KeyId", "EncryptionContext", "EncryptionAlgorithm")
    told["requestParameters"] = {name[0].lower() + name[1:]: asked[name] for name in names if name in asked}
    if "KeyId" in asked:
        told["resources"] = [{"type": "AWS::KMS::Key", "ARN": asked["KeyId"], "accountId": told["recipientAccountId"]}]
    return told


def main(endpoint, region, path):
    trail = botocore.session.get_session().create_client(
        "cloudtrail",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    until = datetime.now(timezone.utc) + timedelta(minutes=15)
    records = [as_delivered(event) for event in recorded(trail)]
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"Records": records}, out)
    print(json.dumps({"events": len(records), "whole_until": until.strftime("%Y-%m-%dT%H:%M:%SZ")}))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
