package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// pollModels is how often --watch looks at models, hosts and events, which have no stream of changes.
const pollModels = time.Second

type getOptions struct {
	output        string
	watch         bool
	namespace     string
	allNamespaces bool
}

func newGet(where *target) *cobra.Command {
	var options getOptions
	command := &cobra.Command{
		Use:   "get isvc|predictors|runtimes|clusterservingruntimes|models|hosts|events [NAME]",
		Short: "List objects, models, hosts or events",
		// Words for "how is it?".
		SuggestFor: []string{"status", "list", "ls", "ps", "top"},
		RunE: func(command *cobra.Command, args []string) error {
			kind, name, err := kindAndName("get", args)
			if err != nil {
				return err
			}
			if err := checkOutput(options.output); err != nil {
				return err
			}
			client, err := where.dial()
			if err != nil {
				return err
			}
			defer client.close()
			options.namespace = client.namespaceOr(options.namespace)
			if options.allNamespaces {
				options.namespace = ""
			}
			g := &getter{
				client: client, options: options, reference: newReference(kind, options.namespace, name),
				out: command.OutOrStdout(), errs: command.ErrOrStderr(),
			}
			return client.explain(client.patiently(command.Context(), func() error { return g.run(command.Context()) }))
		},
	}
	addGetFlags(command, &options)
	return command
}

func addGetFlags(command *cobra.Command, options *getOptions) {
	flags := command.Flags()
	flags.StringVarP(&options.output, "output", "o", "table", "table, wide, json or yaml")
	flags.BoolVarP(&options.watch, "watch", "w", false, "go on, and print what has changed")
	addNamespace(flags, &options.namespace)
	flags.BoolVarP(&options.allNamespaces, "all-namespaces", "A", false, "all namespaces")
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
	// table and shown, when watching: how wide columns are, and the items of the last list, as JSON.
	table *printer.Rows
	shown map[string]bool
	// elsewhere: there is none in the namespace, and there are some in others.
	elsewhere bool
}

func (g *getter) run(ctx context.Context) error {
	switch g.kind {
	case kindModel:
		return g.poll(ctx, g.models)
	case kindHost:
		return g.poll(ctx, g.hosts)
	case kindEvent:
		return g.poll(ctx, g.events)
	}
	if g.options.watch {
		return g.watchObjects(ctx)
	}
	list, err := g.client.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: g.kind, Namespace: g.namespace, Name: g.name})
	if err != nil {
		return err
	}
	return g.printObjects(ctx, list.GetObjects(), list.GetWarnings())
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
		if err := g.printObjects(ctx, list.GetObjects(), list.GetWarnings()); err != nil {
			return err
		}
	}
}

func (g *getter) printObjects(ctx context.Context, contents, warnings []string) error {
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
	if g.looksFurther(len(objects)) {
		all, err := g.client.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: g.kind})
		g.elsewhere = err == nil && len(all.GetObjects()) > 0 // Who may not see them is told nothing.
	}
	if len(objects) == 0 && g.kind == kindRuntime {
		if g.name != "" {
			return g.client.notFound(ctx, g.reference)
		}
		if g.client.hasClusterRuntimes(ctx, "") {
			fmt.Fprintln(g.errs, "There are ClusterServingRuntimes: `wasmesh get clusterservingruntimes` lists them.")
		}
	}
	columns := printer.Columns(g.kind, time.Now())
	if g.options.allNamespaces && g.kind != kindClusterRuntime {
		namespace := func(o printer.Object) string { return o.Text("metadata", "namespace") }
		columns = slices.Insert(columns, 0, printer.Column[printer.Object]{Header: "NAMESPACE", Cell: namespace})
	}
	return show(g, objects, columns, func(o printer.Object) (printer.Object, error) { return o, nil })
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
		return g.sayNothing()
	}
	wide := g.options.output == "wide"
	if !g.options.watch {
		return printer.Table(g.out, columns, items, wide)
	}
	changed, err := newOf(g, items, toObject)
	if err != nil {
		return err
	}
	header := g.table == nil
	if header {
		g.table = &printer.Rows{}
	}
	return g.table.Append(g.out, printer.Cells(columns, changed, wide, header))
}

// looksFurther says that nothing was found in a namespace, so that a look into the others, once, is worth its while.
func (g *getter) looksFurther(found int) bool {
	return found == 0 && g.namespace != "" && g.name == "" && !g.options.watch
}

// sayNothing has kubectl's words.
func (g *getter) sayNothing() error {
	line := "No resources found"
	if g.namespace != "" {
		line += " in " + g.namespace + " namespace"
	}
	line += "."
	if g.elsewhere {
		line += " There are some in others: -A lists them."
	}
	_, err := fmt.Fprintln(g.errs, line)
	return err
}

// newOf keeps the items that were not in the last list as they are.
func newOf[T any](g *getter, items []T, toObject func(T) (printer.Object, error)) (changed []T, err error) {
	shown := make(map[string]bool, len(items))
	for _, item := range items {
		object, err := toObject(item)
		if err != nil {
			return nil, err
		}
		content, err := json.Marshal(object)
		if err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		if shown[string(content)] = true; !g.shown[string(content)] {
			changed = append(changed, item)
		}
	}
	g.shown = shown
	return changed, nil
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
