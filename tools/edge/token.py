"""A signed URL of the edge, in Python: token.py SECRET(base64url) KEY_ID HOST PREFIX SECONDS [ADDRESS]"""
import base64, hashlib, hmac, ipaddress, sys, time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret, key_id, host, prefix, seconds, address=None):
    who = ipaddress.ip_address(address).packed[:8].hex() if address else "-"
    body = f"{key_id}.{int(time.time()) + seconds}.0.{who}.{b64(prefix.encode())}"
    signed = hmac.new(secret, f"castellan-url-1\n{host}\n{body}".encode(), hashlib.sha256).digest()
    return f"{body}.{b64(signed)}"


if __name__ == "__main__":
    secret, key_id, host, prefix, seconds, *address = sys.argv[1:]
    key = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    print(token(key, key_id, host, prefix, int(seconds), *address))
