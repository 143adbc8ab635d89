// Program bench-objects registers many InferenceServices with a real API server and prints what they cost the controller.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/wasmesh/wasmesh/test/bench/objects"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the programs: make build, make tool-kubernetes")
	crds := flag.String("crds", filepath.Join("charts", "wasmesh", "files", "crds"), "directory of the CRDs")
	number := flag.Int("objects", 10_000, "InferenceServices")
	applies := flag.Int("applies", 200, "how many are applied, one at a time, to see when hosts know them")
	rest := flag.Duration("rest", time.Minute, "how long writes at rest are counted")
	flag.Parse()
	log.SetLogger(logr.Discard()) // Of the informer that looks on.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	result, err := objects.Run(ctx, objects.Config{Bin: *bin, CRDs: *crds, Objects: *number, Applies: *applies, Rest: *rest, Out: os.Stdout})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-objects:", err)
		os.Exit(1)
	}
	fmt.Println("figures:", result)
}
