package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/test/cluster"
)

// up tells what took how long: a cluster is brought up often, by people who wait.
func up(ctx context.Context, c *cluster.Cluster, o options) error {
	begin := time.Now()
	started, err := c.Up(ctx)
	if err != nil {
		return err
	}
	if started {
		fmt.Printf("up: node ready in %.1f s\n", time.Since(begin).Seconds())
	} else {
		fmt.Println("up: it was up")
	}
	for _, image := range strings.FieldsFunc(o.images, func(r rune) bool { return r == ',' }) {
		begin := time.Now()
		if err := c.Load(ctx, image); err != nil {
			return err
		}
		fmt.Printf("up: loaded %s in %.1f s\n", image, time.Since(begin).Seconds())
	}
	fmt.Printf(`The cluster is in a network of its own. Use it by
  %[1]s exec kubectl get nodes
  %[1]s exec bash          # KUBECONFIG is set; kubectl, helm and wasmesh are on the path
There, in the clone, this installs Wasmesh with samples:
  helm install wasmesh charts/wasmesh --namespace modelmesh-serving --create-namespace \
    --values test/cluster/values.yaml --set quickstart.enabled=true --wait
Logs of its programs are in %[2]s/log. Take it down by: make cluster-down
`, os.Args[0], o.node.Dir)
	return nil
}

// execute runs a program to its end, connected to the terminal.
func execute(ctx context.Context, c *cluster.Cluster, o options, args []string) error {
	if len(args) == 0 {
		return errors.New("exec needs a program")
	}
	command, err := c.Command(ctx, args[0], args[1:]...)
	if err != nil {
		return err
	}
	// What make has installed and built is beside this program, and above it.
	if self, err := os.Executable(); err == nil {
		tools := filepath.Dir(self)
		command.Env = append(command.Env, "PATH="+strings.Join([]string{o.node.Programs, tools, filepath.Dir(tools), os.Getenv("PATH")}, ":"))
	}
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitCode(max(1, exit.ExitCode()))
	}
	return err
}
