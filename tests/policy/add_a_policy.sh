#!/usr/bin/env bash
# add_a_policy.sh SOURCE_DIR: does what docs/add-a-policy.md says in a copy of the library, and lets
# the property tests look at the policy that comes of it.
set -euo pipefail
source_dir=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$source_dir"/{CMakeLists.txt,cmake,include,src,tests,scripts} "$work"

page="$source_dir/docs/add-a-policy.md"
# The first block of C++ is the file, the first block without a language is the line.
python3 - "$page" "$work/src/policy" <<'END'
import pathlib, re, sys
page, folder = pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2])
blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.S | re.M)
file = next(text for language, text in blocks if language == "cpp")
line = next(text for language, text in blocks if language == "")
(folder / "norm.cpp").write_text(file)
registry = folder / "registry.cpp"
before = registry.read_text()
after = re.sub(r"^ *POLICY\(full\)", lambda last: line + last.group(0), before, flags=re.M)
assert after != before, "registry.cpp lists no POLICY(full)"
registry.write_text(after)
END

cmake -S "$work" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DVASE_BUILD_TESTS=ON \
  -DVASE_BUILD_LLAMA=OFF -DVASE_BUILD_CLI=OFF -DVASE_WERROR=ON >"$work/configure.log" 2>&1 ||
  { cat "$work/configure.log" >&2; exit 1; }
cmake --build "$work/build" --target policy_test >"$work/build.log" 2>&1 ||
  { tail -n 40 "$work/build.log" >&2; exit 1; }
"$work/build/tests/policy/policy_test" --gtest_filter='*/norm' | tee "$work/tests.log"
grep -q 'PASSED' "$work/tests.log"
count=$(sed -n 's/.*\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$work/tests.log")
((count >= 3)) || { echo "only $count tests know the new policy" >&2; exit 1; }
