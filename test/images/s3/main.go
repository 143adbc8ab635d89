// Command s3 is the entry point of the test image s3: a real S3 server (versitygw) on port 9000 that holds the sample
// models from its first answer on. Keys and region come from the variables that versitygw itself reads.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/wasmesh/wasmesh/test/s3server"
)

const (
	binary = "/usr/local/bin/versitygw"
	// samples holds one directory for each bucket.
	samples = "/samples"
	// data may be the only directory that can be written to.
	data    = "/tmp/s3"
	address = "0.0.0.0:9000"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "s3:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	config := s3server.Config{
		Binary: binary, Dir: data, Log: os.Stderr, Region: os.Getenv("VGW_REGION"),
		AccessKey: os.Getenv("ROOT_ACCESS_KEY_ID"), SecretKey: os.Getenv("ROOT_SECRET_ACCESS_KEY"),
	}
	if config.AccessKey == "" || config.SecretKey == "" {
		return errors.New("ROOT_ACCESS_KEY_ID and ROOT_SECRET_ACCESS_KEY must be set")
	}
	if err := fill(ctx, config); err != nil {
		return err
	}
	config.Address = address
	server, err := s3server.Start(ctx, config)
	if err != nil {
		return err
	}
	defer server.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-server.Done():
		return errors.New("versitygw ended")
	}
}

// fill puts the samples in through a server that nobody else can reach, so that none sees half of them.
func fill(ctx context.Context, config s3server.Config) error {
	server, err := s3server.Start(ctx, config)
	if err != nil {
		return err
	}
	defer server.Stop()
	buckets, err := os.ReadDir(samples)
	if err != nil {
		return fmt.Errorf("read samples: %w", err)
	}
	for _, bucket := range buckets {
		if !bucket.IsDir() {
			continue
		}
		if err := server.Upload(ctx, bucket.Name(), filepath.Join(samples, bucket.Name())); err != nil {
			return err
		}
	}
	return nil
}
