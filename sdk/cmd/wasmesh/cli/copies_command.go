package cli

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

func newCopies(where *target) *cobra.Command {
	var options getOptions
	command := &cobra.Command{
		Use:   "copies [MODEL]",
		Short: "List the copies of models: on which hosts, how large, how busy",
		Long: `copies shows a line for each copy of each model, or of the model of that id or of that InferenceService or Predictor.
What an owner wishes for the number of copies is in "get models -o wide".`,
		Example: "  wasmesh copies example-sklearn-isvc",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
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
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			g := &getter{
				client: client, options: options, reference: newReference(kindModel, options.namespace, name),
				out: command.OutOrStdout(), errs: command.ErrOrStderr(),
			}
			return client.explain(client.patiently(command.Context(), func() error { return g.poll(command.Context(), g.copies) }))
		},
	}
	addGetFlags(command, &options)
	return command
}

// copyOf is one copy of one model.
type copyOf struct {
	model *model
	*adminv1.ListModelsResponse_Copy
}

func (g *getter) copies(ctx context.Context) (proto.Message, func() error, error) {
	answer, _, err := g.models(ctx)
	if err != nil {
		return nil, nil, err
	}
	g.elsewhere = false // That is of models: they need not have copies.
	list := answer.(*adminv1.ListModelsResponse)
	var all []copyOf
	for _, m := range list.GetModels() {
		for _, c := range m.GetCopies() {
			all = append(all, copyOf{m, c})
		}
	}
	slices.SortStableFunc(all, func(a, b copyOf) int {
		return cmp.Or(cmp.Compare(a.model.GetModel().GetId(), b.model.GetModel().GetId()), cmp.Compare(a.GetHostId(), b.GetHostId()))
	})
	named := g.name != "" && len(list.GetModels()) > 0
	return answer, func() error {
		if named && len(all) == 0 { // The model is there, and nobody holds it.
			of := *g
			of.name = ""
			return show(&of, all, g.copyTable(), copyObject)
		}
		return show(g, all, g.copyTable(), copyObject)
	}, nil
}

func (g *getter) copyTable() []printer.Column[copyOf] {
	now := time.Now()
	columns := []printer.Column[copyOf]{
		{Header: "MODEL", Cell: func(c copyOf) string { return c.model.GetModel().GetId() }},
		{Header: "HOST", Cell: func(c copyOf) string { return c.GetHostId() }},
		{Header: "STATE", Cell: func(c copyOf) string { return copyState(c.GetCopy().GetState()) }},
		{Header: "SIZE", Cell: func(c copyOf) string {
			if size := c.GetCopy().GetSize().GetHostMemoryBytes(); size > 0 {
				return quantity(size)
			}
			return none
		}},
		{Header: "IN-FLIGHT", Cell: func(c copyOf) string { return strconv.Itoa(int(c.GetCopy().GetInFlight())) }},
		{Header: "WAITING", Cell: func(c copyOf) string { return strconv.Itoa(int(c.GetCopy().GetWaiting())) }},
		{Header: "LAST-USED", Cell: func(c copyOf) string {
			if ms := c.GetCopy().GetLastUsedMs(); ms > 0 {
				return printer.Age(now, time.UnixMilli(ms))
			}
			return none
		}},
		{Header: "FAILURE", Wide: true, Cell: func(c copyOf) string { return c.GetCopy().GetFailure().GetMessage() }},
	}
	if g.options.allNamespaces {
		namespace := func(c copyOf) string { return c.model.GetModel().GetNamespace() }
		columns = slices.Insert(columns, 0, printer.Column[copyOf]{Header: "NAMESPACE", Cell: namespace})
	}
	return columns
}

func copyObject(c copyOf) (printer.Object, error) {
	object, err := messageObject(c.ListModelsResponse_Copy)
	if err == nil {
		object["model"] = map[string]any{"namespace": c.model.GetModel().GetNamespace(), "id": c.model.GetModel().GetId()}
	}
	return object, err
}
