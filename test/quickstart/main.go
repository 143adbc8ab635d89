// Command quickstart serves the ModelMesh tutorial's model on this machine and asks it the tutorial's question: an S3
// server with the sample models, `wasmesh up` on docs/examples/quickstart, one request over REST and one over gRPC. It
// stays up until it is interrupted. Invariant: none of its processes outlives it, however it ends. Run by
// `make quickstart`, which installs what it needs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// config is what the command line chose. Paths are relative to the top of the clone, where make runs it.
type config struct {
	sources     sources
	dataDir     string
	s3Address   string
	grpcAddress string
	restAddress string
	once        bool
}

// sources are the -f flags, in order.
type sources []string

func (s *sources) String() string { return strings.Join(*s, ",") }

func (s *sources) Set(path string) error {
	*s = append(*s, path)
	return nil
}

func main() {
	var c config
	flag.Var(&c.sources, "f", "YAML file, or directory of them (repeatable; default "+defaultSource+")")
	flag.StringVar(&c.dataDir, "data-dir", defaultDataDir, "directory of the mesh's and the S3 server's state")
	flag.StringVar(&c.s3Address, "s3-address", "127.0.0.1:9000", "address of the S3 server, which the YAML's Secret names, too")
	flag.StringVar(&c.grpcAddress, "grpc-address", "127.0.0.1:8033", "the mesh's gRPC address")
	flag.StringVar(&c.restAddress, "rest-address", "127.0.0.1:8008", "the mesh's REST address")
	flag.BoolVar(&c.once, "once", false, "stop after the two answers")
	flag.Parse()
	if len(c.sources) == 0 {
		c.sources = sources{defaultSource}
	}
	c.dataDir = filepath.Clean(c.dataDir)

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}
