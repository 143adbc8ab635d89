package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func newDescribe(where *target) *cobra.Command {
	namespace := ""
	command := &cobra.Command{
		Use:   "describe isvc|predictor|runtime|clusterservingruntime NAME",
		Short: "Show an object with its status, copies and events",
		RunE: func(command *cobra.Command, args []string) error {
			kind, name, err := kindAndName("describe", args)
			if err != nil {
				return err
			}
			if kind == kindModel || kind == kindHost || kind == kindEvent {
				return fmt.Errorf("describe shows objects; for %ss use `wasmesh get %s -o wide`", strings.ToLower(kind), args[0])
			}
			if name == "" {
				return fmt.Errorf("say which to describe: `wasmesh describe %s NAME`; `wasmesh get %[1]s` lists names", args[0])
			}
			client, err := where.dial()
			if err != nil {
				return err
			}
			defer client.close()
			var out bytes.Buffer // a second attempt prints nothing twice
			err = client.patiently(command.Context(), func() error {
				out.Reset()
				return client.describe(command.Context(), newReference(kind, client.namespaceOr(namespace), name), &out)
			})
			if err != nil {
				return client.explain(err)
			}
			_, err = out.WriteTo(command.OutOrStdout())
			return err
		},
	}
	addNamespace(command.Flags(), &namespace)
	return command
}

func (c *client) describe(ctx context.Context, ref reference, out io.Writer) error {
	list, err := c.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: ref.kind, Namespace: ref.namespace, Name: ref.name})
	if err != nil {
		return err
	}
	if len(list.GetObjects()) == 0 {
		return c.notFound(ctx, ref)
	}
	object, err := printer.ParseObject(list.GetObjects()[0])
	if err != nil {
		return err
	}
	if err := printer.Describe(out, object); err != nil {
		return err
	}
	if ref.kind == kindService || ref.kind == kindPredictor {
		err := c.describeModels(ctx, ref, list.GetObjects()[0], out)
		switch {
		case status.Code(err) == codes.Unavailable && !c.returns():
			fmt.Fprintf(out, "Models:  <unknown>: %v\n", c.absent()) // In a cluster the object is there all the same.
		case err != nil:
			return err
		}
	}
	events, err := c.ListEvents(ctx, &adminv1.ListEventsRequest{Kind: ref.kind, Namespace: ref.namespace, Name: ref.name})
	if err != nil {
		return err
	}
	return printEvents(out, events.GetEvents())
}

func (c *client) describeModels(ctx context.Context, ref reference, object string, out io.Writer) error {
	models, err := c.ListModels(ctx, &adminv1.ListModelsRequest{Namespace: ref.namespace, Alias: ref.name})
	if err != nil {
		return err
	}
	if len(models.GetModels()) == 0 {
		fmt.Fprintln(out, "Models:  <none>")
		for _, line := range c.whyModelless(ctx, ref, object) {
			fmt.Fprintln(out, "  "+line)
		}
		return nil
	}
	fmt.Fprintln(out, "Models:")
	indented := &indenter{out: out, indent: "  ", atStart: true}
	if err := printer.Table(indented, modelColumns(time.Now()), models.GetModels(), false); err != nil {
		return err
	}
	// All models of an object have its annotations; the status of a Predictor has no place to say this.
	if faults := models.GetModels()[0].GetAnnotationFaults(); len(faults) > 0 {
		fmt.Fprintf(out, "Annotations that are not followed:\n  %s\n", strings.Join(faults, "\n  "))
	}
	return nil
}

func printEvents(out io.Writer, events []*adminv1.ListEventsResponse_Event) error {
	if len(events) == 0 {
		fmt.Fprintln(out, "Events:  <none>")
		return nil
	}
	type event = *adminv1.ListEventsResponse_Event
	now := time.Now()
	fmt.Fprintln(out, "Events:")
	return printer.Table(&indenter{out: out, indent: "  ", atStart: true}, []printer.Column[event]{
		{Header: "Type", Cell: func(e event) string { return e.GetType() }},
		{Header: "Reason", Cell: func(e event) string { return e.GetReason() }},
		{Header: "Age", Cell: func(e event) string { return eventAge(e, now) }},
		{Header: "Message", Cell: func(e event) string { return e.GetMessage() }},
	}, events, false)
}

// indenter puts indent before every line.
type indenter struct {
	out     io.Writer
	indent  string
	atStart bool
}

func (i *indenter) Write(p []byte) (int, error) {
	for _, line := range strings.SplitAfter(string(p), "\n") {
		if line == "" {
			continue
		}
		if i.atStart {
			line = i.indent + line
		}
		if _, err := io.WriteString(i.out, line); err != nil {
			return 0, err
		}
		i.atStart = strings.HasSuffix(line, "\n")
	}
	return len(p), nil
}
