import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_are_what_the_generator_writes():
    path = ROOT / "tools" / "generate_pricing_constants.py"
    spec = importlib.util.spec_from_file_location("generate_pricing_constants", path)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    for name, text in generator.sources().items():
        assert (generator.TARGET / name).read_text(encoding="utf-8") == text, f"run {path.name} again"
