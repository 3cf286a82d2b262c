#!/bin/sh
# Everything that needs a GPU, in a few minutes, on a machine with an A100, H100, H200 or newer:
#
#   kernels/bench/run_on_gpu.sh PACK [MODEL.gguf …]
#
# PACK is a folder of `make gpu-pack` (built anywhere; libmoe_kernels.so is compiled anew here if
# there is an nvcc). Writes kernels/RESULTS.md: what was run, every row, also the bad ones. A step
# that cannot run says so in the report and does not stop the others.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
pack=${1:?usage: run_on_gpu.sh PACK [MODEL.gguf …]}
pack=$(cd "$pack" && pwd) || exit 2
shift
python=${PYTHON:-$root/.venv/bin/python}
work=$(mktemp -d)
report=$work/report.md
export FREEHOLD_GPU_PACK="$pack" FREEHOLD_MOE=1

section() { printf '\n## %s\n\n' "$1" >>"$report"; }
# Runs a command; what it printed (its last lines) and how it ended go into the report.
step() {
    section "$1"
    limit=$2
    shift 2
    printf '    %s\n\n' "$*" >>"$report"
    timeout "$limit" "$@" >"$work/step.log" 2>&1
    status=$?
    { echo '```'; tail -n 120 "$work/step.log"; echo '```'; } >>"$report"
    case $status in
        0) echo "Ended well." >>"$report" ;;
        124) echo "**Not finished after $limit s.**" >>"$report" ;;
        *) echo "**Failed, exit status $status.**" >>"$report" ;;
    esac
}

{
    echo "# Results of the expert kernels"
    echo
    echo "Written by kernels/bench/run_on_gpu.sh on $(date -u +%Y-%m-%d), commit $(git -C "$root" rev-parse --short HEAD)."
    echo "All figures below are measured on this machine unless a line says otherwise."
} >"$report"

command -v nvidia-smi >/dev/null || { echo "There is no nvidia-smi here, so no GPU to run on." >&2; exit 1; }
step "The GPU as found" 30 nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.limit,ecc.mode.current --format=csv

if command -v nvcc >/dev/null; then
    step "Compile the kernels here" 900 make -s -C "$root/kernels" -j"$(nproc)" BUILD="$work/build" cuda
    [ -f "$work/build/libmoe_kernels.so" ] && cp "$work/build/libmoe_kernels.so" "$pack/"
    [ -d "$work/build/cuda" ] && step "Registers, spills, instructions" 120 "$python" "$here/gate.py" "$work/build/cuda"
else
    section "Compile the kernels here"
    echo "No nvcc: the pack's own libmoe_kernels.so is used." >>"$report"
fi
step "What the pack is" 90 "$python" -m freehold doctor

# The tests of the emulator, on this GPU: every type against ggml's dequantisation and float64.
FREEHOLD_MOE_LIBRARY=$pack/libmoe_kernels.so
export FREEHOLD_MOE_LIBRARY
step "Every kernel against float64 on this GPU" 600 "$python" -m pytest -q "$root/tests/kernels"
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck synccheck; do
        step "compute-sanitizer $tool" 600 compute-sanitizer --tool "$tool" --error-exitcode 9 \
            "$python" -m pytest -q -p no:faulthandler --timeout=600 "$root/tests/kernels" \
            -k "joined or every_pair or biases or router_of or list_is"
    done
else
    section "compute-sanitizer"
    echo "**Not run: compute-sanitizer is not installed.**" >>"$report"
fi
unset FREEHOLD_MOE_LIBRARY

# llama.cpp's own test program; it takes half a minute to compile from the pinned source package.
ops=$pack/test-backend-ops
lib=$("$python" -c 'import llama_cpp, pathlib; print(pathlib.Path(llama_cpp.__file__).parent / "lib")')
source=${SOURCE:-$HOME/.cache/freehold-build/src/llama_cpp_python-0.3.36}/vendor/llama.cpp
if [ ! -x "$ops" ] && [ -f "$source/tests/test-backend-ops.cpp" ]; then
    step "Compile test-backend-ops" 300 "${CXX:-g++}" -O1 -std=c++17 -I"$source/ggml/include" \
        -I"$source/ggml/src" "$source/tests/test-backend-ops.cpp" -o "$ops" -L"$lib" \
        -l:libggml.so.0 -l:libggml-base.so.0 -l:libggml-cpu.so.0 -Wl,-rpath,"$lib" -pthread
fi
shim=$work/with_pack.so
if [ -x "$ops" ] && "${CXX:-g++}" -std=c++17 -shared -fPIC "$here/with_pack.cpp" -o "$shim" -L"$lib" \
    -l:libggml.so.0 -l:libggml-base.so.0 -Wl,-rpath,"$lib" -ldl; then
    for case in MUL_MAT_ID MUL_MAT_ID_FUSION MUL_MAT_VEC_FUSION TOPK_MOE MOE_REDUCE; do
        step "test-backend-ops $case" 300 env LD_PRELOAD="$shim" "$ops" test -o "$case"
    done
else
    section "test-backend-ops"
    echo "**Not run: neither $ops nor its source (SOURCE=…) is here.**" >>"$report"
fi

step "Expert layers, stock and own kernels by turns" 900 "$python" -m freehold bench kernels
for model in "$@"; do
    for switch in 0 1; do
        FREEHOLD_MOE=$switch
        export FREEHOLD_MOE
        step "$(basename "$model"), FREEHOLD_MOE=$switch" 600 \
            "$python" -m freehold bench engine --model "$model" --no-http
    done
done
[ $# -gt 0 ] || { section "Whole models"; echo "**Not run: no model was given.**" >>"$report"; }

{
    section "The bars of the issue"
    echo "Expert layer at 1 token: 1.5 (Q4_K), 2 (MXFP4), 2.5 (Q2_K) times stock, 75 % of a copy on Kimi's"
    echo "shapes; 16 and 64 tokens: 2; 512 tokens: 1.5; whole models: 1.2 and 1.3; never below 0.98."
    echo "A case below 0.98 must be taken out (\`launch/support.cpp\`) and stays on the stock kernels."
} >>"$report"
cp "$report" "$root/kernels/RESULTS.md"
rm -rf "$work"
echo "Written: kernels/RESULTS.md"
