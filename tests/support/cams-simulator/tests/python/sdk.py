"""Drives the official CAMS SDK: one JSON order per line on stdin, one JSON result per line.

Order: {"url", "algorithm": "v3" | "v2", "key", "secret", "token"?, "action", "params"}
Result: {"ok": true, "status", "body"} or {"ok": false, "exception", "status", "code",
"message", "retryAfter", "requestId", "accessDenied"}
"""

import json
import sys
from urllib.parse import urlsplit

from alibabacloud_cams20200606 import models
from alibabacloud_cams20200606.client import Client
from alibabacloud_tea_openapi.utils_models import Config

ACTIONS = {
    "initiate": ("create_chatapp_migration_initiate", models.CreateChatappMigrationInitiateRequest),
    "getCode": ("get_migration_verify_code", models.GetMigrationVerifyCodeRequest),
    "verified": ("chatapp_migration_verified", models.ChatappMigrationVerifiedRequest),
    "register": ("chatapp_migration_register", models.ChatappMigrationRegisterRequest),
    "status": (
        "get_phone_number_verification_status",
        models.GetPhoneNumberVerificationStatusRequest,
    ),
}


def client(order):
    config = Config(
        access_key_id=order["key"],
        access_key_secret=order["secret"],
        security_token=order.get("token"),
        protocol="http",
        endpoint=urlsplit(order["url"]).netloc,
    )
    if order["algorithm"] == "v2":
        config.signature_algorithm = "v2"
    return Client(config)


def run(order):
    method, request = ACTIONS[order["action"]]
    try:
        response = getattr(client(order), method)(request().from_map(order["params"]))
    except Exception as error:
        return {
            "ok": False,
            "exception": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": getattr(error, "code", None),
            "message": getattr(error, "message", None) or str(error),
            "retryAfter": getattr(error, "retry_after", None),
            "requestId": getattr(error, "request_id", None),
            "accessDenied": getattr(error, "access_denied_detail", None),
        }
    return {"ok": True, "status": response.status_code, "body": response.body.to_map()}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
