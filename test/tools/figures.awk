# Passes the output of `go test -bench` on, and ends it with the line that a program reads:
#
#   figures: <package>.<benchmark>.<unit>=<value> ...
#
# The package is named below the module, the benchmark without "Benchmark" and without the number of processors.
{ print }
/^pkg: / { pkg = $2; sub(/^github\.com\/wasmesh\/wasmesh\//, "", pkg) }
/^Benchmark/ && NF >= 4 {
  name = $1
  sub(/^Benchmark/, "", name)
  sub(/-[0-9]+$/, "", name)
  for (i = 3; i < NF; i += 2) figures = figures " " pkg "." name "." $(i + 1) "=" $i
}
END { print "figures:" figures }
