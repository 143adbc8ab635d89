# Passes the output of `go test -bench` on, and ends it with the line that a program reads:
#
#   figures: <package>.<benchmark>.<unit>=<value> ...
#
# The package is named below the module, the benchmark without "Benchmark" and without the number of processors. With
# -v bare=1 a figure is named by its unit alone, and those that every benchmark has are left out.
{ print }
/^pkg: / { pkg = $2; sub(/^github\.com\/wasmesh\/wasmesh\//, "", pkg) }
/^Benchmark/ && NF >= 4 {
  name = $1
  sub(/^Benchmark/, "", name)
  sub(/-[0-9]+$/, "", name)
  for (i = 3; i < NF; i += 2) {
    if (!bare) figures = figures " " pkg "." name "." $(i + 1) "=" $i
    else if ($(i + 1) !~ /^(ns|B|allocs)\/op$/) figures = figures " " $(i + 1) "=" $i
  }
}
END { print "figures:" figures }
