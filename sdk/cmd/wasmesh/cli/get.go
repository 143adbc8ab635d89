package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// pollModels is how often --watch looks at models and hosts, which have no stream of changes.
const pollModels = time.Second

type getOptions struct {
	output    string
	watch     bool
	namespace string
}

func newGet(dataDir *string) *cobra.Command {
	var options getOptions
	command := &cobra.Command{
		Use:   "get isvc|predictors|runtimes|clusterservingruntimes|models|hosts [NAME]",
		Short: "List objects, models or hosts",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(command *cobra.Command, args []string) error {
			kind, err := kindOf(args[0])
			if err != nil {
				return err
			}
			if err := checkOutput(options.output); err != nil {
				return err
			}
			client, err := dial(*dataDir)
			if err != nil {
				return err
			}
			defer client.close()
			name := ""
			if len(args) == 2 {
				name = args[1]
			}
			g := &getter{
				client: client, options: options, reference: newReference(kind, options.namespace, name),
				out: command.OutOrStdout(), errs: command.ErrOrStderr(),
			}
			return client.explain(g.run(command.Context()))
		},
	}
	flags := command.Flags()
	flags.StringVarP(&options.output, "output", "o", "table", "table, wide, json or yaml")
	flags.BoolVarP(&options.watch, "watch", "w", false, "go on printing after each change")
	flags.StringVarP(&options.namespace, "namespace", "n", defaultNamespace, "namespace")
	return command
}

func checkOutput(output string) error {
	switch output {
	case "table", "wide", "json", "yaml":
		return nil
	}
	return fmt.Errorf("-o %s: one of table, wide, json, yaml", output)
}

// getter is one `wasmesh get`.
type getter struct {
	client  *client
	options getOptions
	reference
	out, errs io.Writer
}

func (g *getter) run(ctx context.Context) error {
	switch g.kind {
	case kindModel:
		return g.poll(ctx, g.models)
	case kindHost:
		return g.poll(ctx, g.hosts)
	}
	if g.options.watch {
		return g.watchObjects(ctx)
	}
	list, err := g.client.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: g.kind, Namespace: g.namespace, Name: g.name})
	if err != nil {
		return err
	}
	return g.printObjects(list.GetObjects(), list.GetWarnings())
}

func (g *getter) watchObjects(ctx context.Context) error {
	stream, err := g.client.WatchObjects(ctx, &adminv1.WatchObjectsRequest{Kind: g.kind, Namespace: g.namespace, Name: g.name})
	if err != nil {
		return err
	}
	for {
		list, err := stream.Recv()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := g.printObjects(list.GetObjects(), list.GetWarnings()); err != nil {
			return err
		}
	}
}

func (g *getter) printObjects(contents, warnings []string) error {
	for _, warning := range warnings {
		fmt.Fprintln(g.errs, "Warning:", warning)
	}
	objects := make([]printer.Object, 0, len(contents))
	for _, content := range contents {
		object, err := printer.ParseObject(content)
		if err != nil {
			return err
		}
		objects = append(objects, object)
	}
	return show(g, objects, printer.Columns(g.kind, time.Now()), func(o printer.Object) (printer.Object, error) { return o, nil })
}

// show prints items in the form that was asked for; none is an error when one was named.
func show[T any](g *getter, items []T, columns []printer.Column[T], toObject func(T) (printer.Object, error)) error {
	if len(items) == 0 && g.name != "" {
		return g.notFound()
	}
	switch g.options.output {
	case "json", "yaml":
		objects := make([]printer.Object, 0, len(items))
		for _, item := range items {
			object, err := toObject(item)
			if err != nil {
				return err
			}
			objects = append(objects, object)
		}
		return printer.Encode(g.out, g.options.output, objects, g.name != "")
	}
	if len(items) == 0 {
		_, err := fmt.Fprintf(g.errs, "No resources found%s.\n", g.where())
		return err
	}
	return printer.Table(g.out, columns, items, g.options.output == "wide")
}

// poll prints once, or, when watching, whenever the answer differs from the one before.
func (g *getter) poll(ctx context.Context, list func(context.Context) (proto.Message, func() error, error)) error {
	var last proto.Message
	for {
		answer, print, err := list(ctx)
		if ctx.Err() != nil && g.options.watch {
			return nil
		}
		if err != nil {
			return err
		}
		if last == nil || !proto.Equal(last, answer) {
			if err := print(); err != nil {
				return err
			}
		}
		last = answer
		if !g.options.watch {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollModels):
		}
	}
}

// messageObject is a message of the admin protocol as an object.
func messageObject[M proto.Message](message M) (printer.Object, error) {
	content, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return printer.ParseObject(string(content))
}
