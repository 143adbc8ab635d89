// Command cluster runs a real Kubernetes of one node on this machine:
//
//	cluster up              bring it up, load the images, say how to use it; one that is up only gets the images
//	cluster load FILE...    load images from tar files
//	cluster exec PROGRAM... run a program in the node's network, with KUBECONFIG set, and kubectl and bin/tools on its path
//	cluster down            take it down, and all that belongs to it
//
// `make cluster-up` installs what it needs first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/wasmesh/wasmesh/test/cluster"
	"github.com/wasmesh/wasmesh/test/cluster/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit exitCode
	switch {
	case errors.As(err, &exit):
		os.Exit(int(exit))
	case err != nil && !errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// exitCode is that of the program of `cluster exec`, which has said why.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// options are the flags that every command has.
type options struct {
	node   node.Config
	images string
}

// flags have files of the clone whose bin/tools this program is in, wherever it is called.
func (o *options) flags(clone string) *flag.FlagSet {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	file := func(of *string, name, path, usage string) {
		flags.StringVar(of, name, filepath.Join(clone, path), usage)
	}
	file(&o.node.Dir, "dir", ".wasmesh/cluster", "`directory` of all that the cluster writes")
	file(&o.node.Programs, "programs", "bin/tools/kubernetes", "`directory` of Kubernetes' programs")
	file(&o.node.CoreDNS, "coredns", "bin/tools/coredns", "CoreDNS, the `program`")
	file(&o.node.PauseImage, "pause", "bin/images/local/pause.tar", "tar `file` of the image "+node.PauseImage)
	flags.StringVar(&o.images, "images", "", "tar `files` of images for up to load, separated by commas")
	return flags
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("one of up, load, exec, down is needed")
	}
	command, args := args[0], args[1:]
	if command == cluster.NodeArgument {
		return cluster.Node(args)
	}
	o := options{}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the clone: %w", err)
	}
	flags := o.flags(filepath.Join(filepath.Dir(self), "../.."))
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := cluster.At(o.node)
	if err != nil {
		return err
	}
	switch command {
	case "up":
		return up(ctx, c, o)
	case "load":
		return c.Load(ctx, flags.Args()...)
	case "exec":
		return execute(ctx, c, o, flags.Args())
	case "down":
		return c.Down(ctx)
	default:
		return fmt.Errorf("unknown command %q: one of up, load, exec, down", command)
	}
}
