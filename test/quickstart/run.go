package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/process"
	"github.com/wasmesh/wasmesh/test/s3server"
)

const (
	defaultSource  = "docs/examples/quickstart"
	defaultDataDir = ".wasmesh"

	// The tutorial's names and credentials; docs/examples/quickstart/storage-config.yaml has the same.
	model     = "example-sklearn-isvc"
	bucket    = "modelmesh-example-models"
	region    = "us-south"
	accessKey = "AKIAIOSFODNN7EXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

	// meshGrace is what the mesh may take to end in order: within the ten seconds that a person waits after Ctrl-C.
	meshGrace = 9 * time.Second
)

// run brings everything up, asks, and stays until ctx ends; then it stops everything in order. An interrupt is no error.
func run(ctx context.Context, c config, out io.Writer) error {
	interrupted := ctx.Done()
	err := serve(ctx, c, out)
	select {
	case <-interrupted:
		fmt.Fprintln(out, "stopped")
		return nil
	default:
		return err
	}
}

func serve(ctx context.Context, c config, out io.Writer) error {
	server, err := startS3(ctx, c)
	if err != nil {
		return err
	}
	defer server.Stop()
	fmt.Fprintf(out, "S3 server: http://%s, objects in %s\n", c.s3Address, filepath.Join(c.dataDir, "s3"))
	if err := server.Upload(ctx, bucket, filepath.Join("bin", "samples", bucket)); err != nil {
		return fmt.Errorf("sample models (make samples): %w", err)
	}

	mesh, err := startMesh(c, out)
	if err != nil {
		return err
	}
	defer mesh.Stop(meshGrace)

	ctx, release := whileRunning(ctx, server, mesh)
	defer release()
	if err := ask(ctx, c, out); err != nil {
		return fmt.Errorf("%w (logs: %s)", cause(ctx, err), filepath.Join(c.dataDir, "logs"))
	}
	if c.once {
		return nil
	}
	fmt.Fprint(out, byHand(c))
	<-ctx.Done()
	return context.Cause(ctx)
}

func startS3(ctx context.Context, c config) (*s3server.Server, error) {
	server, err := s3server.Start(ctx, s3server.Config{
		Binary:    filepath.Join("bin", "tools", "versitygw"),
		Dir:       filepath.Join(c.dataDir, "s3"),
		AccessKey: accessKey,
		SecretKey: secretKey,
		Region:    region,
		Address:   c.s3Address,
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken, perhaps by another quickstart: stop the program that listens there "+
			"(`ss -ltnp` shows it), or choose another with `make quickstart ARGS=\"-s3-address HOST:PORT\"` and "+
			"write it into endpoint_url of the Secret in %s: %w", c.s3Address, c.sources.String(), err)
	}
	return server, err
}

// startMesh starts `wasmesh up`, whose lines of progress go to out; what to type next is said here.
func startMesh(c config, out io.Writer) (*process.Process, error) {
	args := []string{"up", "--hints=false", "--data-dir", c.dataDir, "--grpc-address", c.grpcAddress, "--rest-address", c.restAddress}
	for _, source := range c.sources {
		args = append(args, "-f", source)
	}
	cmd := exec.Command(wasmesh, args...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return process.Start(cmd)
}

// child is a process that the quickstart needs to go on.
type child interface{ Done() <-chan struct{} }

// whileRunning is ctx, ended also, with the reason, when a child ends. release waits for what it started; the caller
// calls it before it stops the children.
func whileRunning(parent context.Context, server, mesh child) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(parent)
	var watching sync.WaitGroup
	watch := func(child child, reason error) {
		watching.Go(func() {
			select {
			case <-child.Done():
				cancel(reason)
			case <-ctx.Done():
			}
		})
	}
	watch(server, errors.New("the S3 server ended"))
	watch(mesh, errors.New("`wasmesh up` ended"))
	return ctx, func() {
		cancel(nil)
		watching.Wait()
	}
}

// cause is why ctx ended, where it did: what failed because of it says less.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
