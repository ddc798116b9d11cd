#!/bin/sh
# Runs the tests of the native core with AddressSanitizer and UndefinedBehaviorSanitizer. It needs gcc with libasan.
#
#     tools/sanitize.sh [seconds of fuzzing]
#
# The repository stays as it is: the extension is built in a temporary directory beside links to everything else.
set -eu
seconds=${1:-60}
root=$(cd "$(dirname "$0")/.." && pwd)
python="$root/.venv/bin/python"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
for name in app agents migrations tests benchmarks pyproject.toml README.md LICENSE; do
    ln -s "$root/$name" "$place/$name"
done
cp -r "$root/tables" "$root/setup.py" "$place"
rm -f "$place"/tables/_native*.so "$place"/tables/_native.c
cd "$place"
flags="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1"
sed -i "s/-O3/-O1/" setup.py # with more the compiler takes minutes
BARWHEEL_BUILD=native CFLAGS="$flags" LDFLAGS="$flags" "$python" setup.py -q build_ext --inplace
# Python itself frees little at its end, and its small objects come from one large piece: without that every one is watched.
export ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc
export BARWHEEL_KAFKA=off HYPOTHESIS_PROFILE=check BARWHEEL_TEST_DATA="${BARWHEEL_TEST_DATA:-$root/../shared}"
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export LD_PRELOAD
"$python" -c "from tables import native; assert native.NATIVE is not None, native.MISSING"
"$python" -m pytest -q -p no:cacheprovider -k native tests/unit/test_native_core.py tests/unit/test_native_bars.py \
    tests/unit/test_longer_state.py tests/unit/test_batches.py tests/unit/test_bar_rules.py tests/unit/test_closing_rules.py \
    tests/unit/test_tick_rules.py tests/unit/test_native_records.py
"$python" -m tests.fuzz_native --seconds "$seconds"
