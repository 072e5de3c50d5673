"""Fetch onnxruntime-web, which runs the live figures in the reader's browser, from the npm registry: `make vendor`."""

import gzip
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.30.0"
RUNTIME = Path(__file__).parent / "runtime"  # its LICENSE stands there too: the package has none
CODE, ENGINE = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"onnxruntime-web@{VERSION}"], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            code, engine = (package.extractfile(f"package/dist/{name}").read() for name in (CODE, ENGINE))
    (RUNTIME / CODE).write_bytes(code)
    (RUNTIME / f"{ENGINE}.gz").write_bytes(gzip.compress(engine, 9, mtime=0))


if __name__ == "__main__":
    main()
