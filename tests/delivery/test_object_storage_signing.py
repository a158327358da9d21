"""Signatures of S3's API: the examples that Amazon has published, with their results.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from datetime import UTC, datetime

import pytest

from postbacks.delivery.object_storage.signing import AccessKey, SignedRequest
from tests.object_store import signature_of

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
AT = datetime(2013, 5, 24, tzinfo=UTC)
HOST = {"Host": "examplebucket.s3.amazonaws.com"}
EXAMPLES = {
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41": SignedRequest(
        "GET", "/test.txt", [], {**HOST, "Range": "bytes=0-9"}, b""
    ),
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd": SignedRequest(
        "PUT",
        "/test$file.text",
        [],
        {
            **HOST,
            "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        },
        b"Welcome to Amazon S3.",
    ),
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543": SignedRequest(
        "GET", "/", [("lifecycle", "")], HOST, b""
    ),
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7": SignedRequest(
        "GET", "/", [("prefix", "J"), ("max-keys", "2")], HOST, b""
    ),
}


@pytest.mark.parametrize("signature", EXAMPLES)
def test_amazons_examples_have_amazons_signatures(signature: str) -> None:
    headers = EXAMPLES[signature].signed_headers(KEY, AT)

    assert headers["Authorization"].endswith(f"Signature={signature}")
    assert headers["x-amz-date"] == "20130524T000000Z"
    assert KEY.secret not in str(headers) + repr(KEY)


@pytest.mark.parametrize("signature", EXAMPLES)
def test_the_stand_in_of_these_tests_computes_them_likewise(signature: str) -> None:
    request = EXAMPLES[signature]
    headers = request.signed_headers(KEY, AT)
    lower = {name.lower(): text for name, text in headers.items()}
    names = ";".join(sorted(name for name in lower if name != "authorization"))

    scope = ["20130524", "us-east-1", "s3", "aws4_request"]
    found = signature_of(
        request.method, request.target, lower, names, scope=scope, secret=KEY.secret
    )

    assert found == signature
