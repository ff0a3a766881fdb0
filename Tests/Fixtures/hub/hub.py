"""Answers as a Hugging Face hub does, for tests: python hub.py LOG

Prints its port. Model me/tiny has files beside those that are needed, the large one behind a redirect
and broken off in its middle the first time; me/gated asks for the token "secret"; me/many has two GGUF
files; me/wrong serves other bytes than it says; me/negative has a file of -1 bytes. Every request is a
line of LOG. Ends with its standard input.
"""

import hashlib
import http.server
import json
import os
import sys
import threading

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = bytes(range(256)) * 2_000
FILES = {
    "config.json": b'{"model_type": "t5"}\n', "tokenizer.json": b"{}\n", "empty.txt": b"",
    "README.md": b"# A model\n", "chat_template.jinja": b"{{ messages[0].content }}", "model.safetensors": LARGE, "pytorch_model.bin": LARGE,
    "tf_model.h5": LARGE, "onnx/model.onnx": LARGE, "LICENSE": b"",
}
broken = set()


def listing(name):
    if name == "me/many":
        return [{"rfilename": "a-q4.gguf", "size": 1}, {"rfilename": "a-q8.gguf", "size": 1}]
    if name == "me/negative":
        return [{"rfilename": "model.safetensors", "size": -1}]
    result = []
    for path, content in FILES.items():
        entry = {"rfilename": path, "size": len(content),
                 "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
        if content is LARGE:
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": digest if name != "me/wrong" else "0" * 64, "size": len(content),
                            "pointerSize": 134}
        result.append(entry)
    return result


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def content(self, path, body):
        start = 0
        if "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
            if start >= len(body):
                return self.answer(416)
        part = body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if body is LARGE and path not in broken:
            broken.add(path)
            self.wfile.write(part[: len(part) // 2])
            self.close_connection = True
        else:
            self.wfile.write(part)

    def do_GET(self):
        with open(sys.argv[1], "a") as log:
            log.write(f"{self.path} {self.headers.get('Range', '')}\n")
        path = self.path.split("?")[0].strip("/")
        if path.startswith("api/models/"):
            owner, name, _, revision = path.removeprefix("api/models/").split("/", 3)
            model = f"{owner}/{name}"
            if model == "me/gated" and self.headers.get("Authorization") != "Bearer secret":
                return self.answer(403, b'{"error": "gated"}')
            if model == "me/nothing" or revision not in ("main", COMMIT):
                return self.answer(404)
            if model == "me/strange":
                return self.answer(200, b"<html>")
            return self.answer(200, json.dumps({"sha": COMMIT, "siblings": listing(model)}).encode())
        if path.startswith("cdn/"):
            return self.content(path, FILES[path.split("/")[-1]])
        owner, name, _, revision, file = path.split("/", 4)
        if FILES[file] is LARGE:
            return self.answer(302, headers=[("Location", f"/cdn/{owner}/{name}/{file}")])
        self.content(path, FILES[file])


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(server.server_address[1], flush=True)
server.serve_forever()
