"""PUT /bucket?subresource, signed (AWS signature 4): python3 - ENDPOINT BUCKET SUBRESOURCE < BODY"""
import base64, datetime, hashlib, hmac, os, sys, urllib.request
endpoint, bucket, query = sys.argv[1:4]
body = sys.stdin.buffer.read()
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
scope = f"{now[:8]}/us-east-1/s3/aws4_request"
sha = lambda data: hashlib.sha256(data).hexdigest()
headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode(), "content-type": "application/xml",
           "host": endpoint.split("://")[1], "x-amz-content-sha256": sha(body), "x-amz-date": now}
names = ";".join(headers)
lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
request = "\n".join(["PUT", f"/{bucket}", f"{query}=", lines, names, sha(body)])
key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
for part in scope.split("/"):
    key = hmac.digest(key, part.encode(), "sha256")
text = "\n".join(["AWS4-HMAC-SHA256", now, scope, sha(request.encode())])
signature = hmac.digest(key, text.encode(), "sha256").hex()
headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, SignedHeaders={names}, Signature={signature}"
sent = urllib.request.Request(f"{endpoint}/{bucket}?{query}=", body, headers, method="PUT")
try:
    urllib.request.urlopen(sent).read()
except urllib.error.HTTPError as refused:
    sys.exit(f"{refused}: {refused.read().decode()}")
