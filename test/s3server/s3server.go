// Package s3server runs a real S3 server (versitygw on its posix backend) as a child process, for tests and the
// quickstart. Invariant: a Server that Start returned answers requests until Stop, and never outlives this process.
//
// Objects are put through S3, not by copying files into the bucket's directory: the server takes an object's ETag from
// what it noted when the object was put, and answers an empty one for a file that it never saw.
package s3server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/process"
)

const (
	// healthPath is not a name that a bucket can have.
	healthPath = "/_health"
	// startTimeout is far more than a start takes (20 ms), for a machine that does other work.
	startTimeout = 30 * time.Second
	// stopGrace: the server ends within milliseconds of SIGTERM.
	stopGrace = 2 * time.Second
)

// Config says what to serve and to whom.
type Config struct {
	// Binary is the versitygw program; `make tool-versitygw` links it as bin/tools/versitygw.
	Binary string
	// Dir keeps the objects across starts; it is made when it is missing. The server's metadata are files in it, too, so
	// the file system needs no extended attributes.
	Dir string
	// AccessKey and SecretKey are the only account's.
	AccessKey, SecretKey string
	// Region is the only one that requests may be signed for; empty is us-east-1, the default of S3 clients.
	Region string
	// Address is host:port to listen on; empty, or port 0, is a free port of 127.0.0.1.
	Address string
	// Log receives the server's output; nil drops it.
	Log io.Writer
}

// Server is a running S3 server.
type Server struct {
	config  Config
	address string
	process *process.Process
}

// Start starts the server and returns when it answers. ctx bounds the start only; Stop ends the server.
func Start(ctx context.Context, config Config) (*Server, error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("S3 directory %q: %w", config.Dir, err)
	}
	config.Dir = dir
	if config.Region == "" {
		config.Region = "us-east-1"
	}
	for _, sub := range []string{config.buckets(), config.metadata()} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return nil, fmt.Errorf("make S3 directory: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	fixed := config.Address != "" && !strings.HasSuffix(config.Address, ":0")
	for attempt := 1; ; attempt++ {
		address, err := listenAddress(config.Address)
		if err != nil {
			return nil, err
		}
		server, err := start(ctx, config, address)
		if err == nil {
			return server, nil
		}
		// Somebody else may have taken a free port between our look and the server's bind; try others, a few times.
		if fixed || attempt == 3 || !errors.Is(err, errAddressInUse) {
			return nil, err
		}
	}
}

var errAddressInUse = errors.New("address already in use")

// listenAddress makes sure that the address is free, and chooses a free port where none is given.
func listenAddress(address string) (string, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("S3 server's address %s: %w", address, err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// start runs one server process on a given address and waits until it answers.
func start(ctx context.Context, config Config, address string) (*Server, error) {
	var output bytes.Buffer // written by the child's copier until Done; read only after it
	cmd := exec.Command(config.Binary,
		"--port", address, "--health", healthPath, "--region", config.Region, "--quiet",
		"posix", "--sidecar", config.metadata(), config.buckets())
	// The keys travel in the environment: a command line can be read by every user of the machine.
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+config.AccessKey, "ROOT_SECRET_ACCESS_KEY="+config.SecretKey)
	cmd.Stdout = io.Discard // a banner
	cmd.Stderr = &output
	if config.Log != nil {
		cmd.Stdout = config.Log
		cmd.Stderr = io.MultiWriter(&output, config.Log)
	}
	child, err := process.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("S3 server (install it with `make tool-versitygw`): %w", err)
	}
	server := &Server{config: config, address: address, process: child}
	for !server.healthy(ctx) {
		select {
		case <-child.Done():
			said := strings.TrimSpace(output.String())
			if strings.Contains(said, errAddressInUse.Error()) {
				return nil, fmt.Errorf("S3 server on %s: %w", address, errAddressInUse)
			}
			return nil, fmt.Errorf("S3 server ended at its start (%v): %s", child.Err(), said)
		case <-ctx.Done():
			server.Stop()
			return nil, fmt.Errorf("S3 server on %s did not answer: %w", address, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return server, nil
}

func (s *Server) healthy(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+healthPath, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (c Config) buckets() string { return filepath.Join(c.Dir, "buckets") }

// metadata stands beside the buckets' directory: the server refuses one inside it.
func (c Config) metadata() string { return filepath.Join(c.Dir, "metadata") }

// URL is the endpoint, without a path: what a Secret's endpoint_url holds.
func (s *Server) URL() string { return "http://" + s.address }

// PID is the server's process id.
func (s *Server) PID() int { return s.process.PID() }

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Stop ends the server and returns when it is gone.
func (s *Server) Stop() { s.process.Stop(stopGrace) }
