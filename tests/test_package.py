"""What a user gets who installs the wheel."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_wheel_has_everything_that_is_not_code(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    build = subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        sizes = {entry.filename: entry.file_size for entry in wheel.infolist()}
    package = ROOT / "src" / "convscope"
    for pattern in ("py.typed", "recipes/*.yaml", "report/templates/*.html", "data/mini/*"):
        files = list(package.glob(pattern))
        assert files, pattern
        for file in files:
            assert sizes[f"convscope/{file.relative_to(package)}"] == file.stat().st_size
    assert "MIT License" in (package / "data" / "mini" / "NOTICE").read_text(encoding="utf-8")
    assert sum(file.stat().st_size for file in (package / "data" / "mini").iterdir()) < 6_000_000
