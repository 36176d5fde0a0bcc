#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# refuses.sh BENCH_PIPELINE WEIR_COMPILE: with one core the ring source says so in one line, and measures
# nothing.
said=$(taskset -c "$(taskset -pc $$ | sed 's/.*: \([0-9]*\).*/\1/')" "$1" "$2" --only ring/jpeg/1MB 2>&1)
rc=$?
n=$(printf '%s\n' "$said" | wc -l)
[ $rc = 3 ] && echo "ok 1 - it ends with 3" || echo "not ok 1 - it ends with $rc"
case $n:$said in
"1:bench: ring/jpeg/1MB/1000: not measured: needs two cores"*) echo "ok 2 - one line says why" ;;
*) echo "not ok 2 - one line says why"; printf '%s\n' "$said" | sed 's/^/# /' ;;
esac
echo 1..2
