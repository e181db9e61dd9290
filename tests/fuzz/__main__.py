"""Fuzz one reader: ``python tests/fuzz coco -max_total_time=60``; see docs/hostile.md.

Further arguments are passed to libFuzzer; files are read once each, such as the input of a finding.
"""

import random
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["wsseg", "PIL"]):
    from fuzz.targets import TARGETS
    from helpers.mutations import mutated

_LIMITS = ("-timeout=20", "-rss_limit_mb=3072", "-max_len=4096")
_TOKENS = (
    *("NaN", "Infinity", "-1", "1e400", "1000000000", "65535", "null", "true", "[]", "{}", '""'),
    *("../", "/etc/passwd", "\\\\", "<script>", "?", "255", "1e-9", "background", "[[[[", "&#0;"),
)


def main():
    """Fuzz until a finding, or until a limit of libFuzzer."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"TARGET must be one of {', '.join(TARGETS)}, got {name!r}; name one of them")
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
    warnings.filterwarnings("ignore", module="PIL")  # it says what it makes of odd metadata
    target = TARGETS[name]()
    given, folder = sys.argv[2:], Path(tempfile.mkdtemp())
    if not any(Path(argument).is_file() for argument in given):
        given.append(str(_corpus(folder, target.seeds)))
    words = folder / "words"
    words.write_text("".join(f'"{token}"\n'.replace('""""', '"\\"\\""') for token in _TOKENS))
    artifacts = f"-artifact_prefix={folder}/"
    arguments = [sys.argv[0], *_LIMITS, artifacts, f"-dict={words}", *given]
    atheris.Setup(arguments, target.read, custom_mutator=_mutate)
    atheris.Fuzz()


def _mutate(data, most, seed):
    """Change a value half of the time, and any bytes otherwise."""
    rng = random.Random(seed)
    if rng.randrange(2) or len(data) < 2:
        return atheris.Mutate(data, most)
    return (data[:1] + mutated(data[1:], rng))[:most]


def _corpus(folder, seeds):
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    return corpus


main()
