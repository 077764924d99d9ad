#!/usr/bin/env python3
"""mkimage.py OUT.tar FILE[:DEST] NAME:TAG...  - one-layer OCI image holding one static binary as its entry point,
in a tar that `ctr image import` reads. Reproducible: no times, fixed owners."""
import gzip, hashlib, io, json, platform, sys, tarfile
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
out, spec, names = sys.argv[1], sys.argv[2], sys.argv[3:]
src, _, dest = spec.partition(":")
dest = (dest or "/" + src.rsplit("/", 1)[-1]).lstrip("/")
def add(tf, name, data=b"", mode=0o644, typ=tarfile.REGTYPE):
    ti = tarfile.TarInfo(name); ti.size = len(data); ti.mode = mode; ti.type = typ
    tf.addfile(ti, io.BytesIO(data) if data else None)
buf = io.BytesIO()
with tarfile.open(fileobj=buf, mode="w") as tf:
    add(tf, "tmp", mode=0o1777, typ=tarfile.DIRTYPE)
    add(tf, "etc", mode=0o755, typ=tarfile.DIRTYPE)
    add(tf, "etc/passwd", b"root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/:/\n")
    add(tf, dest, open(src, "rb").read(), 0o755)
raw = buf.getvalue(); layer = gzip.compress(raw, 1, mtime=0)
dig = lambda b: "sha256:" + hashlib.sha256(b).hexdigest()
cfg = json.dumps({"architecture": ARCHITECTURE, "os": "linux", "config": {"Entrypoint": ["/" + dest], "User": "0", "Env": ["PATH=/"]},
                  "rootfs": {"type": "layers", "diff_ids": [dig(raw)]}, "history": [{"created_by": "mkimage.py"}]}).encode()
man = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": dig(cfg), "size": len(cfg)},
  "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": dig(layer), "size": len(layer)}]}).encode()
idx = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": dig(man), "size": len(man),
  "platform": {"architecture": ARCHITECTURE, "os": "linux"}, "annotations": {"io.containerd.image.name": n, "org.opencontainers.image.ref.name": n}} for n in names]}).encode()
with tarfile.open(out, "w") as tf:
    add(tf, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}'); add(tf, "index.json", idx)
    for b in {dig(x): x for x in (layer, cfg, man)}.values(): add(tf, "blobs/sha256/" + dig(b)[7:], b)
