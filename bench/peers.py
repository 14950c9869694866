"""What every comparison here shares: running a command to the end of its sync, the peers, and how figures are shown."""

import mmap
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


# What a run may need of new memory: its target, its repository, itself.
TOUCHED = 4 << 30
POPULATE_WRITE = 23


def touch_memory():
    """Touches free memory. A virtual machine gives free memory back to its host within seconds and gets it again at a GiB a second or less: as
    much as a restore takes, and paid by whoever comes first. In a process of its own: a child's peak begins with that of its parent."""
    if os.fork() == 0:
        mmap.mmap(-1, TOUCHED, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).madvise(POPULATE_WRITE)
        os._exit(0)
    os.wait()


def run(argv, log, **options):
    """Runs argv; returns (seconds until sync has returned, peak resident KiB of its largest process)."""
    os.sync()
    touch_memory()
    started = time.monotonic()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    os.sync()
    seconds = time.monotonic() - started
    if child.returncode != 0:
        log.flush()
        sys.exit(f"{argv} ended with {child.returncode}: see {log.name}\n{open(log.name).read()[-2000:]}")
    return seconds, usage.ru_maxrss


class Muster:
    name = "muster"

    def __init__(self):
        self.binary = os.environ.get("MUSTER", os.path.join(ROOT, "target/release/muster"))
        if not os.access(self.binary, os.X_OK):
            sys.exit(f"no {self.binary}: cargo build --release, or name the binary in MUSTER")
        self.version = output([self.binary, "--version"])

    def prepare(self, work, source, log):
        self.config = os.path.join(work, "muster.toml")
        with open(self.config, "w") as file:
            file.write(
                f'[repository]\nurl = "file://{work}/repo"\n[signing]\nkey = "{work}/keys/signing.pem"\n'
                f'[store.pg]\nkind = "files"\npath = "{source}"\n'
            )
        run([self.binary, "--config", self.config, "init"], log)

    def backup(self, work, source, log):
        return run([self.binary, "--config", self.config, "-q", "backup", "pg"], log)

    def restore(self, work, target, log):
        return run([self.binary, "--config", self.config, "-q", "restore", "pg", "--to", target], log)

    def restored(self, target, source):
        return target


class Restic:
    name = "restic"

    def __init__(self):
        self.version = output(["restic", "version"])

    def prepare(self, work, source, log):
        self.environment = dict(os.environ, RESTIC_PASSWORD="bench", RESTIC_REPOSITORY=f"{work}/repo", RESTIC_CACHE_DIR=f"{work}/cache")
        run(["restic", "init", "--repository-version", "2"], log, env=self.environment)

    def backup(self, work, source, log):
        return run(["restic", "backup", "-q", source], log, env=self.environment)

    def restore(self, work, target, log):
        return run(["restic", "restore", "-q", "latest", "--target", target], log, env=self.environment)

    def restored(self, target, source):
        return target + source


class Borg:
    name = "borg"

    def __init__(self):
        self.version = output(["borg", "--version"])

    def prepare(self, work, source, log):
        self.environment = dict(os.environ, BORG_BASE_DIR=f"{work}/home", BORG_REPO=f"{work}/repo", BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")
        run(["borg", "init", "-e", "none"], log, env=self.environment)

    def backup(self, work, source, log):
        return run(["borg", "create", "--compression", "zstd,1", "::one", source], log, env=self.environment)

    def restore(self, work, target, log):
        return run(["borg", "extract", "::one"], log, env=self.environment, cwd=target)

    def restored(self, target, source):
        return target + source


class Tar:
    name = "tar \\| zstd -1 -T2"

    def __init__(self):
        self.version = output(["zstd", "--version"])

    def prepare(self, work, source, log):
        os.makedirs(f"{work}/repo")

    def backup(self, work, source, log):
        return run(["bash", "-o", "pipefail", "-c", 'tar -C "$1" -cf - . | zstd -q -1 -T2 -o "$2"', "-", source, f"{work}/repo/a.tar.zst"], log)

    def restore(self, work, target, log):
        return run(["bash", "-o", "pipefail", "-c", 'zstd -q -dc "$1" | tar -C "$2" -xpf -', "-", f"{work}/repo/a.tar.zst", target], log)

    def restored(self, target, source):
        return target


class Copy:
    """The plain copy: what the disk alone takes."""

    name = "cp -r"

    def __init__(self):
        self.version = output(["cp", "--version"])

    def prepare(self, work, source, log):
        pass

    def backup(self, work, source, log):
        return run(["cp", "-r", source, f"{work}/repo"], log)

    def restore(self, work, target, log):
        return run(["cp", "-r", f"{work}/repo/.", target], log)

    def restored(self, target, source):
        return target


TOOLS = {"muster": Muster, "restic": Restic, "borg": Borg, "tar": Tar, "cp": Copy}


def output(argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip().split("\n")[0]


def size_of(path):
    return int(output(["du", "-sb", path]).split()[0])


def seconds(values):
    return f"{statistics.median(values):.2f} s ({min(values):.2f}–{max(values):.2f})"


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}"


def need(packages):
    """Ends with what to install when a command is missing."""
    for command, package in packages.items():
        if not shutil.which(command):
            sys.exit(f"{os.path.basename(sys.argv[0])} measures beside {command}: apt-get install {package}")
