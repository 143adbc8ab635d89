// Command cluster runs a real Kubernetes of one node on this machine:
//
//	cluster up              bring it up, load the images, say how to use it; one that is up only gets the images
//	cluster load FILE...    load images from tar files
//	cluster exec PROGRAM... run a program in the node's network, with KUBECONFIG set and kubectl on its path
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

// flags are relative to the repository's root, where make runs.
func (o *options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.StringVar(&o.node.Dir, "dir", ".wasmesh/cluster", "`directory` of all that the cluster writes")
	flags.StringVar(&o.node.Programs, "programs", "bin/tools/kubernetes", "`directory` of Kubernetes' programs")
	flags.StringVar(&o.node.CoreDNS, "coredns", "bin/tools/coredns", "CoreDNS, the `program`")
	flags.StringVar(&o.node.PauseImage, "pause", "bin/images/local/pause.tar", "tar `file` of the image "+node.PauseImage)
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
	flags := o.flags()
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
		return execute(ctx, c, flags.Args())
	case "down":
		return c.Down(ctx)
	default:
		return fmt.Errorf("unknown command %q: one of up, load, exec, down", command)
	}
}
