package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/decisions"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func newWhy(dataDir *string) *cobra.Command {
	namespace, rows := "", 0
	command := &cobra.Command{
		Use:   "why MODEL",
		Short: "Show why a model is where it is: its last placement, eviction and failure",
		Long: `why shows the last decisions about a model: on which host it was loaded and which other hosts there were, for what
it was evicted and what else could have gone, how its status came about, and its last failure. MODEL is the id of a
model, or the name of an InferenceService or Predictor. Decisions are kept in memory by each host, the newest some
thousands.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			client, err := dial(*dataDir)
			if err != nil {
				return err
			}
			defer client.close()
			w := &why{client: client, out: command.OutOrStdout(), name: args[0], namespace: namespace, rows: rows, now: time.Now()}
			return client.explain(w.run(command.Context()))
		},
	}
	command.Flags().StringVarP(&namespace, "namespace", "n", defaultNamespace, "namespace")
	command.Flags().IntVar(&rows, "candidates", 10, "how many candidates of each decision to show")
	return command
}

// why is one run of the command.
type why struct {
	client          *client
	out             io.Writer
	name, namespace string
	rows            int
	now             time.Time
}

// whyLimit is how many decisions of each host are looked at: the last of each sort is among them.
const whyLimit = 200

func (w *why) run(ctx context.Context) error {
	models, err := w.client.ListModels(ctx, &adminv1.ListModelsRequest{Namespace: w.namespace})
	if err != nil {
		return err
	}
	known := keep(models.GetModels(), func(m *model) bool {
		return m.GetModel().GetId() == w.name || m.GetModel().GetAlias() == w.name
	})
	all, warnings, err := w.client.decisions(ctx, &adminv1.ListDecisionsRequest{Model: w.name, Limit: whyLimit})
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		fmt.Fprintln(w.out, "Warning:", warning)
	}
	if len(known) == 0 && len(all) == 0 {
		return fmt.Errorf("no model, InferenceService or Predictor is named %q; `wasmesh get models` lists them", w.name)
	}
	if err := w.models(known); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		find  func(*syncv1.Decision) bool
	}{
		{"Last placement", func(d *syncv1.Decision) bool { return d.GetHook() == "place" }},
		{"Last evicted", func(d *syncv1.Decision) bool { return d.GetHook() == "evict" && w.isVictim(known, d) }},
		{"Last made room", func(d *syncv1.Decision) bool { return d.GetHook() == "evict" && !w.isVictim(known, d) }},
		{"Status", func(d *syncv1.Decision) bool { return d.GetHook() == "status" }},
	} {
		if err := w.decision(part.title, newest(all, part.find)); err != nil {
			return err
		}
	}
	return nil
}

// models shows where the models are, and their failures in full.
func (w *why) models(known []*model) error {
	if len(known) == 0 {
		return nil
	}
	if err := printer.Table(w.out, modelColumns(w.now), known, false); err != nil {
		return err
	}
	for _, m := range known {
		for _, c := range m.GetCopies() {
			if f := c.GetCopy().GetFailure(); f != nil {
				fmt.Fprintf(w.out, "\nLast failure of %s, %s ago on %s, attempt %d:\n  %s\n", m.GetModel().GetId(),
					printer.Age(w.now, time.UnixMilli(f.GetTimeMs())), c.GetHostId(), f.GetAttempts(), f.GetMessage())
			}
		}
	}
	return nil
}

// isVictim: one of the known models, or the name itself when the catalog has it no more, had to go.
func (w *why) isVictim(known []*model, d *syncv1.Decision) bool {
	for _, victim := range d.GetVictims() {
		if victim == w.name {
			return true
		}
		for _, m := range known {
			if m.GetModel().GetId() == victim {
				return true
			}
		}
	}
	return false
}

func newest(all []*syncv1.Decision, wanted func(*syncv1.Decision) bool) *syncv1.Decision {
	var last *syncv1.Decision
	for _, d := range all {
		if wanted(d) && (last == nil || d.GetTimeMs() > last.GetTimeMs()) {
			last = d
		}
	}
	return last
}

func (w *why) decision(title string, d *syncv1.Decision) error {
	if d == nil {
		return nil
	}
	fmt.Fprintf(w.out, "\n%s: %s ago by %s, decision %d, %s\n", title, printer.Age(w.now, time.UnixMilli(d.GetTimeMs())),
		d.GetHostId(), d.GetId(), decider(d))
	for _, line := range []string{d.GetError(), d.GetEffect()} {
		if line != "" {
			fmt.Fprintln(w.out, "  "+line)
		}
	}
	if len(d.GetVictims()) > 0 {
		fmt.Fprintf(w.out, "  evicted %s for %s\n", strings.Join(d.GetVictims(), ", "), d.GetModelId())
	}
	candidates, err := decisions.Candidates(d.GetRequest(), d.GetAnswer())
	if err != nil {
		return err
	}
	shown := candidates[:min(len(candidates), max(w.rows, 0))]
	if err := printer.Table(&indenter{out: w.out, indent: "  ", atStart: true}, candidateColumns(d.GetHook()), shown, false); err != nil {
		return err
	}
	if more := len(candidates) - len(shown); more > 0 {
		fmt.Fprintf(w.out, "  and %d more: --candidates shows them\n", more)
	}
	return nil
}

// decider says who decided, and what became of the policy that was asked.
func decider(d *syncv1.Decision) string {
	if d.GetGeneration() == nil {
		return "built-in policy"
	}
	by := fmt.Sprintf("policy %s generation %s, %d fuel", d.GetGeneration().GetPolicy(), d.GetGeneration().GetId(), d.GetFuel())
	if d.GetOutcome() != syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED {
		by += ": " + decisions.Outcome(d) + ", so the built-in policy decided"
	}
	return by
}

func candidateColumns(hook string) []printer.Column[decisions.Candidate] {
	type candidate = decisions.Candidate
	subject, value := "HOST", "SCORE"
	switch hook {
	case "evict":
		subject, value = "MODEL", "KEEP"
	case "status":
		subject, value = "FIELD", "VALUE"
	}
	columns := []printer.Column[candidate]{
		{Header: subject, Cell: func(c candidate) string { return c.Name }},
		{Header: value, Cell: func(c candidate) string { return c.Value }},
		{Header: "REASON", Cell: func(c candidate) string { return c.Reason }},
	}
	if hook != "status" {
		columns = append(columns, printer.Column[candidate]{Header: "KNOWN", Cell: func(c candidate) string { return c.Facts }})
	}
	return columns
}

// decisions answers what hosts and the controller have recorded.
func (c *client) decisions(ctx context.Context, request *adminv1.ListDecisionsRequest) (all []*syncv1.Decision, warnings []string, err error) {
	stream, err := c.ListDecisions(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, warnings, nil
		}
		if err != nil {
			return nil, nil, err
		}
		all, warnings = append(all, answer.GetDecisions()...), append(warnings, answer.GetWarnings()...)
	}
}
