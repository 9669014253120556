# SPDX-License-Identifier: Apache-2.0
"""Small images, and a Docker Engine of one's own that can be stopped without harm to anybody."""
import io
import os
import pathlib
import subprocess
import tarfile
import time

SMALL, LARGE = "firn-e2e/small:v1", "firn-e2e/large:v1"


def wait_until(check, seconds=60, what="it"):
    """Waits for a condition and gives what it gives."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.1)


def as_root(*command: str) -> list:
    return [*([] if os.geteuid() == 0 else ["sudo"]), *map(str, command)]


def docker(*args: str, **options) -> str:
    done = subprocess.run(["docker", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    out = done.stdout.decode()
    assert done.returncode == 0, f"docker {args}: {out}"
    return out


def small_image() -> str:
    """An image of two megabytes with a shell, made of the machine's static busybox."""
    busybox = pathlib.Path("/bin/busybox").read_bytes()
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as tar:
        def add(name, content=b"", **fields):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))

        add("bin/busybox", busybox)
        for name in ("sh", "sleep", "echo", "cat", "seq", "wget"):
            add("bin/" + name, type=tarfile.SYMTYPE, linkname="busybox")
        add("tmp", type=tarfile.DIRTYPE)
    docker("import", "--change", "ENV PATH=/bin", "-", SMALL, input=tree.getvalue())
    return SMALL


def large_image(work: pathlib.Path, large: pathlib.Path) -> str:
    """The small image with a large file."""
    context = work / "image"
    context.mkdir()
    os.link(large, context / "large")
    (context / "Dockerfile").write_text(f"FROM {small_image()}\nCOPY large /large\n")
    docker("build", "-q", "-t", LARGE, context)
    return LARGE


def push(server, image: str, target: str, work: pathlib.Path, user="ADMIN", password=None) -> None:
    """Pushes an image to a server as /target."""
    config = {**os.environ, "DOCKER_CONFIG": str(work / "docker")}
    docker("login", server.host, "-u", user, "--password-stdin", input=(password or server.password()).encode(), env=config)
    docker("tag", image, f"{server.host}/{target}", env=config)
    try:
        docker("push", f"{server.host}/{target}", env=config)
    finally:
        docker("rmi", f"{server.host}/{target}", env=config)


def set_up(server, work: pathlib.Path) -> None:
    """Gives a server a database with a stage, a pool, and the small image as /ml/t/images/small:v1."""
    with server.connect() as connection:
        for text in ("CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images", "CREATE STAGE ml.t.files",
                     "CREATE COMPUTE POOL pool MIN_NODES = 1 MAX_NODES = 2 INSTANCE_FAMILY = CPU_X64_XS"):
            connection.cursor().execute(text)
    push(server, small_image(), "ml/t/images/small:v1", work)


def submit(connection, name: str, script: str, volume: bool = False) -> None:
    """Submits a job that runs a shell script, with the stage mounted at /files when asked for."""
    mount = """
          volumeMounts: [{name: files, mountPath: /files}]
      volumes:
      - name: files
        source: '@ml.t.files'""" if volume else ""
    connection.cursor().execute(f"""EXECUTE JOB SERVICE IN COMPUTE POOL pool NAME = ml.t.{name} ASYNC = TRUE FROM SPECIFICATION $$
    spec:
      containers:
        - name: main
          image: /ml/t/images/small:v1
          command: ["/bin/sh", "-c"]
          args: ['{script}']{mount}
    $$""")


def job(server, name: str) -> dict:
    """What DESCRIBE tells of a job, with why it waits or how it ended as "why"."""
    row = server.rows(f"DESCRIBE SERVICE ml.t.{name}")[0]
    status = server.rows(f"SELECT SYSTEM$GET_SERVICE_STATUS('ml.t.{name}') AS s")[0]["S"]
    return {**row, "why": status}


def job_log(server, name: str) -> str:
    return server.rows(f"SELECT SYSTEM$GET_SERVICE_LOGS('ml.t.{name}', 0, 'main') AS l")[0]["L"]


class Engine:
    """A Docker Engine with a folder, a socket and a default bridge of its own: with --bridge=none, and with --default-address-pool when
    it starts again, it would take away docker0 of the machine's engine."""

    def __init__(self, directory: pathlib.Path, *flags: str):
        self.directory, self.process, self.flags = directory, None, flags
        self.bridge = "fe2e" + os.urandom(4).hex()
        self.socket = directory / "docker.sock"
        self.host = f"unix://{self.socket}"

    def start(self):
        d = self.directory
        d.mkdir(parents=True, exist_ok=True)
        if not pathlib.Path("/sys/class/net", self.bridge).exists():
            subprocess.run(as_root("ip", "link", "add", self.bridge, "type", "bridge"), check=True)
            subprocess.run(as_root("ip", "address", "add", "10.231.255.1/24", "dev", self.bridge), check=True)
        self.process = subprocess.Popen(as_root(
            "dockerd", "--data-root", d / "data", "--exec-root", d / "exec", "--pidfile", d / "pid", "--host", self.host,
            "--bridge", self.bridge, "--iptables=false", "--ip6tables=false", *self.flags),
            stdout=open(d / "log", "a"), stderr=subprocess.STDOUT)
        wait_until(lambda: subprocess.run(["docker", "version"], env={**os.environ, "DOCKER_HOST": self.host}, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL).returncode == 0, what=f"the engine, see {d / 'log'}")

    def stop(self, how="-TERM"):
        if self.process is None:
            return
        containerd = self.directory / "exec" / "containerd" / "containerd.pid"
        pids = [file.read_text().strip() for file in (self.directory / "pid", containerd)]
        subprocess.run(as_root("kill", how, pids[0]), check=True)
        self.process.wait(timeout=60)
        self.process = None
        if how == "-KILL":  # what it started for itself ends with it, but their files would make the next start wait for them
            subprocess.run(as_root("kill", how, pids[1]), stderr=subprocess.DEVNULL)
            subprocess.run(as_root("rm", "-f", self.directory / "pid", containerd), check=True)

    def remove(self):
        """Stops the engine and removes all that it has: containers and networks first, by itself when it still can."""
        env = {**os.environ, "DOCKER_HOST": self.host}
        try:
            if self.process is None:
                self.start()
            for kind in ("container", "network"):
                names = docker(kind, "ls", "-q", *(["-a"] if kind == "container" else ["--filter", "type=custom"]), env=env).split()
                if names:
                    docker(kind, "rm", *(["-f"] if kind == "container" else []), *names, env=env)
            self.stop()
        finally:
            self._sweep()

    def _sweep(self):
        """Removes what an engine that failed has left: processes, interfaces, mounts, files."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        parents, ours = {}, set()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parents[process.name] = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if str(self.directory).encode() + b"/" in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                    ours.add(process.name)
            except OSError:
                pass  # it has ended
        for process in [*ours, *(child for child, parent in parents.items() if parent in ours)]:  # containers are children of a shim
            subprocess.run(as_root("kill", "-KILL", process), stderr=subprocess.DEVNULL)
        mounts = [line.split()[1] for line in open("/proc/self/mounts") if line.split()[1].startswith(str(self.directory) + "/")]
        for mount in reversed(mounts):
            subprocess.run(as_root("umount", "-l", mount), stderr=subprocess.DEVNULL)
        for interface in [self.bridge, *self._bridges()]:
            if pathlib.Path("/sys/class/net", interface).exists():
                subprocess.run(as_root("ip", "link", "delete", interface), check=True)
        subprocess.run(as_root("rm", "-rf", self.directory), check=True)

    @staticmethod
    def _bridges() -> list:
        """The bridges of the networks of such engines, by their addresses: nobody else has these."""
        shown = subprocess.run(["ip", "-br", "-4", "address"], stdout=subprocess.PIPE, check=True, text=True).stdout
        return [line.split()[0] for line in shown.splitlines() if " 10.231." in line and line.startswith("br-")]
