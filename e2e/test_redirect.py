# SPDX-License-Identifier: Apache-2.0
"""--redirect-pulls: the clients fetch layers from the S3 server, and no byte of them comes through firnd."""
import http.client
import http.server
import re
import subprocess
import threading
import urllib.parse
import uuid

import pytest
import requests

import need
from conftest import Server
from engine import docker
from oci import Registry, containerd, run, storage

LARGE = 3_000_000  # bytes of the one layer of the image that is in the bucket; the others, and the config, are in the catalog


class Front:
    """Stands before the S3 server as the endpoint of the bucket, and notes who fetches what by a signed URL."""

    def __init__(self, endpoint: str):
        self.fetched = []  # User-Agent, bytes, whether the client's login at the registry came with it
        front, target = self, urllib.parse.urlsplit(endpoint).netloc

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                below = http.client.HTTPConnection(target, timeout=60)
                try:
                    below.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        below.putheader(name, value)
                    below.endheaders(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                    answer = below.getresponse()
                    content = answer.read()
                finally:
                    below.close()
                if "X-Amz-Signature=" in self.path and answer.status in (200, 206):
                    front.fetched.append((self.headers["User-Agent"], len(content), "Authorization" in self.headers))
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                if "Content-Length" not in answer.headers and self.command != "HEAD" and answer.status not in (204, 304):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Another name than that of firnd, as a bucket has: the HTTP library of Go sends a login on to any port of the same host.
        self.url = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def bucket():
    """The S3 server of the tests with a bucket, behind a Front; gives the setting blobs too."""
    place = urllib.parse.urlsplit(need.variable("FIRN_TEST_S3"))
    (endpoint,) = urllib.parse.parse_qs(place.query)["endpoint"]
    login = f"{need.variable('FIRN_TEST_S3_ACCESS_KEY')}:{need.variable('FIRN_TEST_S3_SECRET_KEY')}"
    made = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", login,
                           "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD",
                           f"{endpoint}/{place.netloc}"], check=True, text=True, stdout=subprocess.PIPE).stdout
    assert made in ("200", "409"), made
    front = Front(endpoint)
    yield front, f"s3://{place.netloc}/redirect-{uuid.uuid4().hex}?endpoint={front.url}&region=us-east-1"
    front.close()


class Redirecting(Registry):
    """A registry that redirects, with an image, and what it and its bucket have sent."""

    def __init__(self, server: Server, front: Front, directory):
        super().__init__(server.host, "ADMIN", server.password(), directory)
        self.server, self.front = server, front
        self.log_in()
        self.source = self.name("pull:v1")
        run(need.tool("crane"), "push", self.image, self.source, "--insecure", env=self.env)

    def metric(self, name: str) -> float:
        text = requests.get(f"http://{self.host}/metrics", timeout=10).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        return float(found.group(1)) if found else 0

    def counted(self) -> tuple:
        """Bytes that firnd has sent, its blobs as redirects, and as content."""
        blobs = 'firn_registry_request_duration_seconds_count{method="GET",resource="blob",status="%s"}'
        return self.metric('firn_http_sent_bytes_total{door="registry"}'), self.metric(blobs % "3xx"), self.metric(blobs % "2xx")


@pytest.fixture(scope="module")
def server(bucket, tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("redirect"), "--compute", "none", "--blobs", bucket[1], "--redirect-pulls", env={
        "AWS_ACCESS_KEY_ID": need.variable("FIRN_TEST_S3_ACCESS_KEY"), "AWS_SECRET_ACCESS_KEY": need.variable("FIRN_TEST_S3_SECRET_KEY")})
    s.start()
    for text in ("CREATE DATABASE ml", "CREATE SCHEMA ml.churn", "CREATE IMAGE REPOSITORY ml.churn.images"):
        s.rows(text)
    yield s
    assert s.stop() == 0, s.log()[-3000:]
    assert "panic" not in s.log()


@pytest.fixture
def registry(server, bucket, tmp_path):
    return Redirecting(server, bucket[0], tmp_path)


def by_docker(registry):
    docker("pull", "-q", registry.source, env=registry.env)
    docker("rmi", registry.source)


def by_crane(registry):
    run(need.tool("crane"), "pull", registry.source, registry.work / "back.tar", "--insecure", env=registry.env)


def by_skopeo(registry):
    run(need.tool("skopeo"), "copy", "--src-tls-verify=false", f"docker://{registry.source}", f"dir:{registry.work}/back", env=registry.env)


def by_containerd(registry):
    with containerd(registry) as ctr:
        ctr("images", "pull", "--plain-http", "--user", f"{registry.user}:{registry.password}", "--snapshotter", "native", registry.source)


def by_podman(registry):
    with storage() as flags:
        run(need.tool("podman"), *flags, "pull", "--tls-verify=false", registry.source, env=registry.env)


def by_oras(registry):
    run(need.tool("oras"), "copy", "--from-plain-http", registry.source, "--to-oci-layout", registry.work / "back:v1", env=registry.env)


def by_regctl(registry):
    run(need.tool("regctl"), "registry", "set", registry.host, "--tls", "disabled", "--skip-check", env=registry.env)
    run(need.tool("regctl"), "image", "copy", registry.source, f"ocidir://{registry.work}/back:v1", env=registry.env)


@pytest.mark.parametrize("pull, agent", [(by_docker, "docker"), (by_crane, "crane|go-containerregistry"), (by_skopeo, "skopeo|containers"),
                                         (by_containerd, "containerd"), (by_podman, "containers|libpod"), (by_oras, "oras"),
                                         (by_regctl, "regclient|regctl")])
def test_layers_come_from_the_bucket(registry, pull, agent):
    registry.front.fetched.clear()
    sent, redirects, contents = registry.counted()
    pull(registry)
    more, redirected, told = (after - before for after, before in zip(registry.counted(), (sent, redirects, contents)))
    fetched = registry.front.fetched
    assert sum(size for _, size, _ in fetched) >= LARGE and all(re.search(agent, who.lower()) and not login for who, _, login in fetched), fetched
    assert redirected == len(fetched) and more < 100_000, (redirected, more, told, fetched)


def test_the_server_sends_layers_when_it_does_not_redirect(registry, bucket):
    """The same pull without --redirect-pulls: the measures of the test above would notice."""
    s = registry.server
    assert s.stop() == 0
    s.flags = tuple(f for f in s.flags if f != "--redirect-pulls")
    s.start()
    try:
        registry.front.fetched.clear()
        by_skopeo(registry)
        sent, redirects, _ = registry.counted()
        assert sent > LARGE and redirects == 0 and registry.front.fetched == []
    finally:
        assert s.stop() == 0
        s.flags += ("--redirect-pulls",)
        s.start()
