#!/usr/bin/python3
"""Reads a muster repository in a local directory, knowing only docs/format/archive.md and docs/format/trust.md.

    recover.py REPOSITORY_DIR list                                       [--root root.pub]
    recover.py REPOSITORY_DIR restore STORE[@SNAPSHOT-PREFIX] TARGET_DIR [--root root.pub] [--identity FILE]

For the day without muster: Python 3.11, its standard library, zstandard, and for what is encrypted cryptography and the age identity of a
recipient (Debian: python3-zstandard, python3-cryptography). Checked are the SHA-256 of every object, the form of envelopes, the chain of key
documents, who may sign what, each log's Merkle root, the manifest against its log entry, every length, bound and path. Left out: BLAKE3 (file
and tree digests), the public list, what logs say of each other, points that no readable log names (`muster restore --accept-unlogged`).
Signatures are checked with --root only, by `openssl`. Exit: 0 done, 1 it cannot be done, 2 usage, 3 an entry or attribute could not be made
here, 7 something in the repository is wrong or absent: a file whose content is damaged is named and left out; the rest is restored."""
import argparse, base64, hashlib, hmac, json, os, pathlib, re, struct, subprocess, sys, tempfile, types, zstandard
from functools import lru_cache, partial
FILE, DIRECTORY, SYMLINK, HARD_LINK, FIFO, CHARACTER, BLOCK = range(7)
NODES = {FIFO: 0o010600, CHARACTER: 0o020600, BLOCK: 0o060600}  # for mknod
MIB, DER = 1 << 20, bytes.fromhex("302a300506032b6570032100")  # a mebibyte; what stands before a public key's 32 bytes

class Wrong(Exception): """Something in the repository is wrong or absent."""
def need(holds, why):
    if not holds: raise Wrong(why)
def show(path): return path.decode("utf-8", "backslashreplace").replace("\n", "\\n")
def sha256(data): return hashlib.sha256(data).digest()
def key_id(public): return sha256(b'{"keytype":"ed25519","keyval":{"public":"%s"},"scheme":"ed25519"}' % public.hex().encode()).hex()
def unbase64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, f"base64 in another spelling: {text}"); return data
def parse(text, what, schema):
    twice = lambda pairs: need(len(dict(pairs)) == len(pairs), f"{what}: a field is there twice")
    value = json.loads(text.decode(), object_pairs_hook=lambda pairs: twice(pairs) or dict(pairs))
    need(not value.get("critical"), f"{what} needs a reader that knows {value.get('critical')}")
    need(value["schema"] == schema, f"{what} has schema {value['schema']}, not {schema}"); return value
def hkdf(key, salt, info): return hmac.digest(hmac.digest(salt or bytes(32), key, "sha256"), info + b"\1", "sha256")
def unwrap(data, identities, what):  # what an age file holds for one of these X25519 secrets
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey as Private, X25519PublicKey as Public
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305 as Cipher
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    head = re.match(rb"(age-encryption\.org/v1\n(?:-> [^\n]+\n(?:[\w+/]{64}\n)*[\w+/]{0,63}\n)+---) ([\w+/]{43})\n", data)
    need(head, f"{what} is not an age file"); stanzas = re.findall(rb"-> X25519 ([\w+/]{43})\n([\w+/]{43})\n", head[1])
    for share, body, secret in ((*map(lambda text: base64.b64decode(text + b"="), pair), one) for pair in stanzas for one in identities):
        private = Private.from_private_bytes(secret); both = share + private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        key = hkdf(private.exchange(Public.from_public_bytes(share)), both, b"age-encryption.org/v1/X25519")
        try: key, rest = Cipher(key).decrypt(bytes(12), body, None), data[head.end():]
        except InvalidTag: continue
        mac = hmac.digest(hkdf(key, b"", b"header"), head[1], "sha256")
        need(mac == base64.b64decode(head[2] + b"="), f"{what}: its header was altered")
        return Cipher(hkdf(key, rest[:16], b"payload")).decrypt(bytes(11) + b"\1", rest[16:], None)
    raise Wrong(f"{what} is for other identities than those of --identity")
def unzstd(data, length, what):
    fits = zstandard.get_frame_parameters(data).content_size in (length, zstandard.CONTENTSIZE_UNKNOWN)
    plain = fits and zstandard.ZstdDecompressor(max_window_size=16 * MIB).decompress(data, length, allow_extra_data=False)
    need(fits and len(plain) == length, f"{what}: a zstd frame of another length"); return plain
def merkle_root(hashes):
    if len(hashes) < 2: return hashes[0] if hashes else sha256(b"")
    left = 1 << (len(hashes) - 1).bit_length() - 1; return sha256(b"\1" + merkle_root(hashes[:left]) + merkle_root(hashes[left:]))

class Body:  # a decoded object, read from front to back and never past its end
    def __init__(self, data, what, sealed=False): self.data, self.at, self.what, self.sealed = data, 0, what, sealed
    def take(self, length):
        need(length <= len(self.data) - self.at, f"{self.what} ends early"); self.at += length; return self.data[self.at - length : self.at]
    def number(self, size, signed=False): return int.from_bytes(self.take(size), "little", signed=signed)
    def uv(self, most=2**64 - 1):
        value, place, byte = 0, 0, 128
        while byte >= 128 and place < 70: byte = self.number(1); value, place = value | (byte & 127) << place, place + 7
        need(byte < 128 and (byte or place == 7) and value <= most, f"{self.what}: {value} is out of bounds or badly spelt"); return value
    def sized(self, most): return self.take(self.uv(most))
    def id(self): return self.take(32).hex()
    def several(self, read, *more, most=2**64 - 1): return [read(*more) for _ in range(self.uv(most))]
    def whole(self, read, *more):
        found = self.several(read, *more); need(self.at == len(self.data), f"{self.what} goes on after its end"); return found
    def packs(self):  # the pack table: (id, None) or (id, (run, salt))
        if not self.sealed: return self.several(lambda: (self.id(), None))
        runs = self.several(self.take, 16, most=512)
        return self.several(lambda: (self.id(), (runs[self.uv(len(runs) - 1)], self.take(32))))
    def extents(self, packs, most=1 << 18): return sum(self.several(self.extent, packs, most=most), [])
    def extent(self, packs, group=True):  # in a group False: [(length, None for zeros or (pack, ordinal, offset, stored, raw, decoded), start in the frame)]
        length, tag, frame, within = self.uv(), self.number(1), None, 0
        need(tag <= 2 + group and length, f"{self.what}: an extent of {length} bytes with tag {tag}")
        if tag == 3:
            self.take(32)  # BLAKE3 of the block
            pieces = sum(self.several(self.extent, packs, False, most=1 << 16), [])
            need(sum(piece[0] for piece in pieces) == length <= 1 << 16, f"{self.what}: pieces that are not a block"); return pieces
        if tag:
            self.take(32 if group else 8)  # BLAKE3, of a piece of a block its first bytes
            pack, ordinal, offset, stored = packs[self.uv(len(packs) - 1)], self.uv(), self.uv(), self.uv()
            decoded, within = (self.uv(), self.uv()) if tag == 2 else (length, 0)
            need(within + length <= decoded <= 4 * MIB, f"{self.what}: an extent outside of its frame, or too long")
            frame = (pack, ordinal, offset, stored >> 1, stored & 1, decoded)
        return [(length, frame, within)]
    def entry(self, packs):
        one = types.SimpleNamespace(path=self.sized(4096), kind=self.number(1), size=0, device=0)
        one.parts, one.name = one.path.split(b"/"), show(one.path)
        need(not {b"", b".", b".."} & set(one.parts) and b"\0" not in one.path, f"{self.what}: the path {one.name} is not allowed")
        one.mode, one.uid, one.gid = self.uv(0o7777), self.uv(2**32 - 2), self.uv(2**32 - 2)
        one.mtime = self.number(8, signed=True) * 10**9 + self.number(4)
        one.xattrs = self.several(lambda: (self.sized(255), self.sized(65536)), most=1024); one.flags = 0 if one.kind else self.number(1)
        need(one.kind <= BLOCK and one.flags <= 3, f"{self.what}: {one.name} is of unknown kind {one.kind}/{one.flags}")
        if one.kind == FILE:
            one.size, _blake3 = self.uv(2**45), self.take(32); one.content = self.several(self.id) if one.flags & 2 else self.extents(packs)
        elif one.kind in (SYMLINK, HARD_LINK): one.target = self.sized(4096)
        elif one.kind in (CHARACTER, BLOCK): one.device = os.makedev(self.uv(2**32 - 1), self.uv(2**32 - 1))
        self.sized(65536); return one  # the extension is skipped

class Repository:
    reading, damaged = "", set()
    def __init__(self, folder, root, identities):
        self.folder, self.root, self.identities, previous = folder, root, identities, None
        descriptor, _ = self.envelope("muster.dsse", "descriptor", self.root_of)
        need(descriptor["reader_version"] <= 1, "muster.dsse needs a reader of a later version")
        for epoch, _ in enumerate(list(pathlib.Path(folder, "keys").glob("*.dsse")) or [None], 1):
            document, digest = self.envelope(f"keys/{epoch:08}.dsse", "keys", lambda _: self.root_of(descriptor))
            said = (document["repository"], document["epoch"], document["previous"])
            need(said == (descriptor["repository"], epoch, previous), f"keys/{epoch:08}.dsse does not continue the chain")
            previous = digest
        need(document["encryption"] in ("none", "required"), f"the archives are encrypted: {document['encryption']}")
        keys = [(key["role"], key["key_id"], unbase64(key["public_key"])) for key in document["keys"]]
        need(all(key_id(public) == name for _, name, public in keys), "keys/: a key id is not its key's")
        self.id, self.writers = descriptor["repository"], {name: public for role, name, public in keys if role == "writer"}
    def root_of(self, descriptor):
        public = unbase64(descriptor["root_public_key"])
        need(self.root in (None, public), "the repository is of another root than --root"); return {key_id(public): public}
    def read(self, key, most=MIB):
        Repository.reading = key; need(os.path.isfile(f"{self.folder}/{key}"), f"{self.folder}: {key} is missing")
        with open(f"{self.folder}/{key}", "rb") as file: data = file.read(most + 1)
        need(len(data) <= most, f"{key} is longer than {most} bytes"); return data
    def object(self, place, name, most):
        key = f"{place}/{name[:2]}/{name}"; data = b"" if key in self.damaged else self.read(key, most)
        self.damaged.update([] if sha256(data).hex() == name else [key])
        need(key not in self.damaged, f"{key} is damaged: its SHA-256 is not its name"); return data, key
    @lru_cache(1024)
    def run(self, run):  # the key of a run
        names = sorted(pathlib.Path(self.folder, "runs", run.hex()).glob("*.age"), reverse=True)
        need(names, f"runs/{run.hex()} is missing"); need(self.identities, f"runs/{run.hex()} is encrypted: --identity FILE opens it")
        name = f"runs/{run.hex()}/{names[0].name}"; key = unwrap(self.read(name, 65536), self.identities, name)
        need(hkdf(key, self.id.encode(), b"muster/1 run")[:16] == run, f"{name} wraps another key than its run's"); return key
    def unseal(self, sealed, kind, ordinal, stored, decoded, data, what):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        (run, salt), place = sealed, struct.pack("<IBII", ordinal, kind, stored, decoded)
        try:
            cipher = AESGCM(hkdf(self.run(run), salt, b"muster/1 seal"))
            return cipher.decrypt(struct.pack("<I8x", ordinal), data, self.id.encode() + run + salt + place)
        except Exception as error: raise error if isinstance(error, (Wrong, OSError)) else Wrong(f"{what} is not what its run sealed")
    def verify(self, public, message, signature, what):
        with tempfile.TemporaryDirectory() as folder:
            for name, data in (("key", DER + public), ("message", message), ("signature", signature)):
                pathlib.Path(folder, name).write_bytes(data)
            line = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile signature"
            good = not self.root or subprocess.run(line.split(), cwd=folder, capture_output=True, check=False).returncode == 0
        need(good, f"{what}: the signature is wrong")
    def envelope(self, key, kind, signers):  # document and digest of the envelope; signers(document): {key id: key}
        raw = self.read(key); form = r'{"payload":"([^"]*)","payloadType":"([^"]*)","signatures":\[{"keyid":"([^"]*)","sig":"([^"]*)"}\]}'
        match = re.fullmatch(form, raw.decode()); need(match, f"{key} is not an envelope in its one form")
        payload, signature = unbase64(match[1]), unbase64(match[4])
        need(match[2] == f"application/vnd.muster.{kind}+json", f"{key} holds {match[2]}, not a {kind}")
        document = parse(payload, key, f"muster.{kind}/1"); public = signers(document).get(match[3])
        need(public, f"{key} is signed by {match[3]}, which may not sign it")
        self.verify(public, f"DSSEv1 {len(match[2])} {match[2]} {len(payload)} ".encode() + payload, signature, key)
        return document, "sha256:" + sha256(raw).hex()
    def log(self, place, origin, public):  # its entries, once their Merkle root is the one in the checkpoint
        note, entries = self.read(f"{place}/checkpoint", 65536).decode(), []
        match = re.fullmatch("(([^\n]*)\n(0|[1-9][0-9]*)\n([^\n]*)\n)\n— ([^\n ]*) ([^\n ]*)\n", note)
        need(match and match[2] == match[5] == origin, f"{place}/checkpoint is none of {origin}")
        size, root, signature = int(match[3]), unbase64(match[4]), unbase64(match[6])
        need(signature[:4] == sha256(f"{origin}\n\1".encode() + public)[:4], f"{place}/checkpoint is signed by another key")
        self.verify(public, match[1].encode(), signature[4:], f"{place}/checkpoint")
        while len(entries) < size:
            width, (*most, last) = min(256, size - len(entries)), f"{len(entries) // 256:,}".split(",")
            name = "/".join([f"{place}/tile/entries", *("x" + part.zfill(3) for part in most), last.zfill(3)])
            name += f".p/{width}" if os.path.isfile(f"{self.folder}/{name}.p/{width}") else ""
            bundle = Body(self.read(name, 256 * 65537), name)
            entries += [bundle.take(int.from_bytes(bundle.take(2), "big")) for _ in range(width)]
        need(merkle_root([sha256(b"\0" + entry) for entry in entries]) == root, f"{place}: not the entries that are signed")
        return [parse(entry, f"an entry of {place}", "muster.entry/1") for entry in entries]
    def points(self):  # entries of snapshots, per writer oldest first; a log without checkpoint ended before its first entry
        for name, public in self.writers.items():
            for head in sorted(pathlib.Path(self.folder, "ledger", name).glob("*/checkpoint"), reverse=True):
                entries = self.log(f"ledger/{name}/{head.parent.name}", f"muster/{self.id}/{head.parent.name}", public)
                yield from (entry for entry in entries if entry["type"] == "snapshot")
    def manifest(self, entry):
        key = f"snapshots/{entry['store']}/{entry['snapshot']}.dsse"
        need(re.fullmatch(r"snapshots/[^/\0.][^/\0]*/[0-9A-Z]{26}\.dsse", key), f"{key} is no name of a snapshot")
        manifest, digest = self.envelope(key, "manifest", lambda _: self.writers)
        said = (manifest["repository"], manifest["store"], manifest["snapshot"], manifest["sequence"], digest)
        told = (self.id, entry["store"], entry["snapshot"], entry["sequence"], entry["manifest"])
        need(said == told, f"{key} is not the one in the log"); return manifest
    def tree(self, name, kind):
        data, key = self.object("trees", name, 17 * MIB); magic, what, version, length = struct.unpack("<8sBBI", data[:14])
        good = (magic, what & 127) == (b"MUSTTREE", kind) and version <= 1 and length <= 16 * MIB
        need(good, f"{key} is not a tree object of kind {kind}, at most 16 MiB, and readable by version 1")
        frame = data[62:] if what & 128 else data[14:]
        if what & 128: frame = self.unseal((data[14:30], data[30:62]), kind, 0, len(frame), length, frame, key)
        return Body(unzstd(frame, length, key), key, what & 128)
    def entries(self, name, level=None):  # the listing beneath an index
        body, last = self.tree(name, 3), []; body.take(32)  # key of the BLAKE3 hashes
        depth, ordered = body.number(1), body.number(1)
        need(level in (None, depth), f"{body.what} is an index of level {depth} where {level} is due")
        for child, count, first in body.whole(lambda: (body.id(), body.uv(), body.sized(4096))):
            got, leaf = 0, None if depth else self.tree(child, 1)
            for one in leaf.whole(leaf.entry, leaf.packs()) if leaf else self.entries(child, depth - 1):
                need(got or one.path == first, f"{body.what}: {one.name} is not the first path beneath {child}")
                need(not ordered or last < one.parts, f"{body.what}: {one.name} is out of order"); got, last = got + 1, one.parts; yield one
            need(got == count, f"{body.what}: {got} entries beneath {child}, not {count}")
    @lru_cache(8)
    def pack(self, name):
        data, key = self.object("packs", name, 64 * MIB); magic, version, flags = struct.unpack("<8sHH", data[:12])
        start, count, end = struct.unpack("<QI4s", data[-16:])
        good = (magic, end) == (b"MUSTPACK", b"KCAP") and version <= 1 and flags <= 1
        need(good, f"{key} is not a pack that is readable by version 1")
        directory, sealed, frames, at = data[start:-16], flags and (data[44:60], data[12:44]), [], 60 if flags else 44
        if flags: directory = self.unseal(sealed, 17, 2**32 - 1, len(directory), len(directory) - 16, directory, key)
        for stored, decoded in struct.iter_unpack("<II", directory):
            frames.append((at, stored % 2**31, stored >> 31, decoded)); at += stored % 2**31
        need(at == start and len(frames) == count, f"{key}: its frames and its directory do not fit"); return data, frames, sealed
    @lru_cache(16)
    def frame(self, pack, ordinal, *place):
        (pack, told), what = pack, f"frame {ordinal} of packs/{pack[0][:2]}/{pack[0]}"
        (data, frames, sealed), (offset, stored, raw, decoded) = self.pack(pack), place; data = data[offset : offset + stored]
        need(frames[ordinal : ordinal + 1] == [place] and told == (sealed or None), f"{what} is not what the listing says")
        data = self.unseal(sealed, 16, ordinal, stored | raw << 31, decoded, data, what) if sealed else data
        need(not raw or len(data) == decoded, f"{what} has another length than the listing says")
        return data if raw else unzstd(data, decoded, what)
    def content(self, one):  # a file's pieces: length, and bytes or None for zeros
        total, maps = 0, one.content if one.flags & 2 else [None]
        for number, name in enumerate(maps, 1):
            body = name and self.tree(name, 2); extents = body.extents(body.packs()) if name else one.content
            need(not name or body.at == len(body.data), f"{body and body.what} goes on after its end")
            whole = one.size if number == len(maps) else number << 30
            need(total + sum(extent[0] for extent in extents) == whole, f"its extents do not add up to {whole} bytes")
            for length, frame, within in extents: yield length, frame and self.frame(*frame)[within : within + length]
            total = whole

class Restore(Repository):
    def restore(self, tree, target):
        self.target, self.kinds, self.worst, folders, got = os.fsencode(target), {}, 0, [], [0, 0, 0]
        for one in self.entries(tree["root"].removeprefix("sha256:")):
            self.put(one, os.path.join(self.target, one.path)); folders += [one] if one.kind == DIRECTORY else []
            got = [got[0] + 1, got[1] + (one.kind == FILE), got[2] + one.size]
        for one in reversed(folders):  # what is made in a folder moves its time
            self.attributes(one, os.path.join(self.target, one.path))
        need(got == [tree["entries"], tree["files"], tree["logical_bytes"]], f"the manifest tells of more or less than {got}")
        return self.worst
    def failed(self, one, code, why): self.worst = max(self.worst, code); print(f"recover.py: {one.name}: {why}", file=sys.stderr)
    def put(self, one, path):
        for depth in range(1, len(one.parts)):  # never through a link; None is a directory that has no entry so far
            above = self.kinds.setdefault(b"/".join(one.parts[:depth]), None)
            need(above in (None, DIRECTORY), f"{one.name} lies in something that is no directory")
        need(one.path not in self.kinds or (self.kinds[one.path], one.kind) == (None, DIRECTORY), f"{one.name} is there twice")
        self.kinds[one.path] = one.kind; os.makedirs(path if one.kind == DIRECTORY else os.path.dirname(path), 0o700, exist_ok=True)
        try:
            if one.kind == FILE: self.file(one, path)
            elif one.kind == SYMLINK: os.symlink(one.target, path)
            elif one.kind == HARD_LINK:
                need(self.kinds.get(one.target) == FILE, f"it links to {show(one.target)}, which is no earlier file")
                os.link(os.path.join(self.target, one.target), path)
            elif one.kind in NODES: os.mknod(path, NODES[one.kind], one.device)
            if one.kind not in (DIRECTORY, HARD_LINK): self.attributes(one, path)
        except (Wrong, OSError, struct.error, zstandard.ZstdError) as error:
            self.failed(one, 3 if isinstance(error, OSError) else 7, f"left out: {error}"); _ = os.path.lexists(path) and os.unlink(path)
    def file(self, one, path):
        with open(path, "xb") as file:
            for length, data in self.content(one):
                if data is None and one.flags & 1: file.seek(length, os.SEEK_CUR)
                else:
                    file.writelines([data] if data else (bytes(min(MIB, length - at)) for at in range(0, length, MIB)))
            file.truncate(one.size)
    def attributes(self, one, path):
        steps = [partial(os.chown, path, one.uid, one.gid, follow_symlinks=False)] if os.geteuid() == 0 else []
        steps += [partial(os.setxattr, path, *pair, follow_symlinks=False) for pair in one.xattrs]
        steps += [] if one.kind == SYMLINK else [partial(os.chmod, path, one.mode)]
        for step in steps + [partial(os.utime, path, ns=(one.mtime, one.mtime), follow_symlinks=False)]:
            try: step()
            except OSError as error: self.failed(one, 3, f"{step.func.__name__}: {error.strerror}")
def main(folder, verb, what="", target=None, root=None, identity=None):
    secrets = re.findall(r"^AGE-SECRET-KEY-1([A-Z0-9]{58})$", pathlib.Path(identity).read_text() if identity else "", re.M)
    number = lambda text: sum("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".index(c) << 5 * (51 - at) for at, c in enumerate(text[:52]))
    if root:
        root = base64.b64decode("".join(pathlib.Path(root).read_text().split("-----")[2].split()))
        need(len(root) == 44 and root.startswith(DER), "--root is not an Ed25519 public key")
    repository = Restore(folder, root and root[len(DER):], [(number(text) >> 4).to_bytes(32, "big") for text in secrets])
    (store, _, prefix), points = what.partition("@"), list(repository.points())
    if verb == "list":
        for one in map(repository.manifest, points):
            print(one["store"], one["snapshot"], one["started"], one["tree"]["entries"], one["tree"]["logical_bytes"])
        return 0
    points = [entry for entry in points if entry["store"] == store and entry["snapshot"].startswith(prefix)]
    points.sort(key=lambda entry: entry["sequence"])
    if len({entry["snapshot"] for entry in points}) != 1 and (prefix or not points):
        sys.exit(f"recover.py: {what} is no snapshot, or more than one")
    if os.makedirs(target, exist_ok=True) or os.listdir(target): sys.exit(f"recover.py: {target} is not empty")
    return repository.restore(repository.manifest(points[-1])["tree"], target)
try:
    line = argparse.ArgumentParser(prog="recover.py", usage=__doc__.split("\n\n")[1].lstrip())
    line.add_argument("words", nargs="+"); line.add_argument("--root"); line.add_argument("--identity"); asked = line.parse_args()
    if [len(asked.words), *asked.words[1:2]] not in ([2, "list"], [4, "restore"]): line.error("neither of these")
    sys.exit(main(*asked.words, root=asked.root, identity=asked.identity))
except (Wrong, OSError, LookupError, ValueError, TypeError, struct.error, zstandard.ZstdError) as error:
    known = isinstance(error, (Wrong, OSError))
    print("recover.py:", error if known else f"{Repository.reading} is malformed: {type(error).__name__}", file=sys.stderr)
    sys.exit(1 if isinstance(error, OSError) else 7)
