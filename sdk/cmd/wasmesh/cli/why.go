package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/decisions"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func newWhy(where *target) *cobra.Command {
	namespace, rows := "", 0
	command := &cobra.Command{
		Use:   "why MODEL",
		Short: "Show why a model is where it is: its last placement, eviction and failure",
		Long: `why shows the last decisions about a model: on which host it was loaded and which other hosts there were, for what
it was evicted and what else could have gone, how its status came about, and its last failure. MODEL is the id of a
model, or the name of an InferenceService or Predictor. Decisions are kept in memory by each host, the newest some
thousands.

The first candidate is what the policy preferred: the host of the highest SCORE, or the copy of the lowest KEEP, which goes
first. REASON is the policy's, in a word:
` + reasonHelp() + `A number stands for a reason of a policy's own, from 1000 on.`,
		Example: "  wasmesh why example-sklearn-isvc",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			client, err := where.dial()
			if err != nil {
				return err
			}
			defer client.close()
			w := &why{
				client: client, out: command.OutOrStdout(), errs: command.ErrOrStderr(),
				name: args[0], namespace: client.namespaceOr(namespace), rows: rows, now: time.Now(),
			}
			if err := client.explain(client.patiently(command.Context(), func() error { return w.ask(command.Context()) })); err != nil {
				return err
			}
			return w.print(command.Context())
		},
	}
	addNamespace(command.Flags(), &namespace)
	command.Flags().IntVar(&rows, "candidates", 10, "how many candidates of each decision to show")
	return command
}

// why is one run of the command.
type why struct {
	client          *client
	out, errs       io.Writer
	name, namespace string
	rows            int
	now             time.Time
	// words are the reasons that were printed, in that order.
	words []string

	// models of that name, decisions about them, newest first within each host, and hosts that did not answer.
	models    []*model
	decisions []*syncv1.Decision
	warnings  []string
}

// whyLimit is how many decisions of each host are looked at: the last of each sort is among them.
const whyLimit = 200

func (w *why) ask(ctx context.Context) error {
	answer, err := w.client.ListModels(ctx, &adminv1.ListModelsRequest{Namespace: w.namespace})
	if err != nil {
		return err
	}
	w.models = keep(answer.GetModels(), func(m *model) bool {
		return m.GetModel().GetId() == w.name || m.GetModel().GetAlias() == w.name
	})
	all, warnings, err := w.client.decisions(ctx, &adminv1.ListDecisionsRequest{Model: w.name, Limit: whyLimit})
	if err != nil {
		return err
	}
	// The name may be an alias in another namespace as well.
	w.decisions, w.warnings = keep(all, w.concerns), warnings
	return nil
}

// isAbout: id is of one of the models, or the name itself when the catalog has it no more.
func (w *why) isAbout(id string) bool {
	return len(w.models) == 0 && id == w.name ||
		slices.ContainsFunc(w.models, func(m *model) bool { return m.GetModel().GetId() == id })
}

func (w *why) isVictim(d *syncv1.Decision) bool {
	return slices.ContainsFunc(d.GetVictims(), w.isAbout)
}

func (w *why) concerns(d *syncv1.Decision) bool { return w.isAbout(d.GetModelId()) || w.isVictim(d) }

func (w *why) print(ctx context.Context) error {
	for _, warning := range w.warnings {
		fmt.Fprintln(w.errs, "Warning:", warning)
	}
	if len(w.models) == 0 && len(w.decisions) == 0 {
		if err := w.client.modelless(ctx, w.namespace, w.name); err != nil {
			return err
		}
		return fmt.Errorf("no model, InferenceService or Predictor in namespace %s is named %q, and no decision about one is recorded; `wasmesh get models` lists them",
			w.namespace, w.name)
	}
	if err := w.printModels(); err != nil {
		return err
	}
	if len(w.decisions) == 0 {
		fmt.Fprintln(w.out, "\nNo decision about it is recorded: it has not been placed, or hosts have restarted or decided much since.")
		return nil
	}
	of := func(hook policyabi.Hook, more func(*syncv1.Decision) bool) func(*syncv1.Decision) bool {
		return func(d *syncv1.Decision) bool {
			return d.GetHook() == hook.String() && !decisions.IsShadow(d) && (more == nil || more(d))
		}
	}
	for _, part := range []struct {
		title string
		find  func(*syncv1.Decision) bool
	}{
		{"Last placement", of(policyabi.HookPlace, nil)},
		{"Last evicted", of(policyabi.HookEvict, w.isVictim)},
		{"Last made room", of(policyabi.HookEvict, func(d *syncv1.Decision) bool { return !w.isVictim(d) })},
		{"Status", of(policyabi.HookStatus, nil)},
		{"Last difference of a shadow", decisions.IsShadow},
	} {
		if err := w.decision(part.title, newest(w.decisions, part.find)); err != nil {
			return err
		}
	}
	w.legend()
	return nil
}

// legend explains the reasons that were printed.
func (w *why) legend() {
	var meanings []string
	for _, word := range w.words {
		if meaning := decisions.ReasonMeaning(word); meaning != "" {
			meanings = append(meanings, word+": "+meaning)
		}
	}
	if len(meanings) > 0 {
		fmt.Fprintf(w.out, "\n%s.\n", strings.Join(meanings, "; "))
	}
}

// reasonHelp is a line for each reason that there is.
func reasonHelp() string {
	var lines strings.Builder
	for _, r := range decisions.Reasons() {
		fmt.Fprintf(&lines, "  %-12s %s\n", r.Word, r.Meaning)
	}
	return lines.String()
}

// printModels shows where the models are, and of each the newest failure in full.
func (w *why) printModels() error {
	if len(w.models) == 0 {
		return nil
	}
	if err := printer.Table(w.out, modelColumns(w.now), w.models, false); err != nil {
		return err
	}
	for _, m := range w.models {
		var last *syncv1.Failure
		at := ""
		for _, c := range m.GetCopies() {
			if f := c.GetCopy().GetFailure(); f != nil && (last == nil || f.GetTimeMs() > last.GetTimeMs()) {
				last, at = f, c.GetHostId()
			}
		}
		if last != nil {
			fmt.Fprintf(w.out, "\nLast failure of %s, %s ago on %s, attempt %d:\n", m.GetModel().GetId(), w.age(last.GetTimeMs()), at, last.GetAttempts())
			w.lines(last.GetMessage())
		}
	}
	return nil
}

func (w *why) age(ms int64) string { return printer.Age(w.now, time.UnixMilli(ms)) }

// lines prints what others wrote, indented, without what would command a terminal.
func (w *why) lines(text string) {
	for line := range strings.Lines(text) {
		clean := strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, line)
		if strings.TrimSpace(clean) != "" {
			fmt.Fprintln(w.out, "  "+clean)
		}
	}
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
	fmt.Fprintf(w.out, "\n%s: %s ago on %s, decision %d %s\n", title, w.age(d.GetTimeMs()), d.GetHostId(), d.GetId(), decider(d))
	w.lines(d.GetError())
	w.lines(d.GetEffect())
	if len(d.GetVictims()) > 0 && d.GetEffect() == "" { // Else it names them.
		fmt.Fprintf(w.out, "  evicted %s for %s\n", strings.Join(d.GetVictims(), ", "), d.GetModelId())
	}
	candidates, err := decisions.Candidates(d.GetRequest(), d.GetAnswer())
	if err != nil {
		return fmt.Errorf("decision %d of host %s: %w", d.GetId(), d.GetHostId(), err)
	}
	shown := candidates[:min(len(candidates), max(w.rows, 0))]
	for _, c := range shown {
		if !slices.Contains(w.words, c.Reason) {
			w.words = append(w.words, c.Reason)
		}
	}
	if len(shown) > 0 {
		err := printer.Table(&indenter{out: w.out, indent: "  ", atStart: true}, candidateColumns(d.GetHook()), shown, false)
		if err != nil {
			return err
		}
	}
	if more := len(candidates) - len(shown); more > 0 {
		fmt.Fprintf(w.out, "  and %d more: --candidates %d shows them\n", more, len(candidates))
	}
	return nil
}

// decider says who decided, and what became of the policy that was asked.
func decider(d *syncv1.Decision) string {
	if d.GetGeneration() == nil {
		return "by the built-in policy"
	}
	by := fmt.Sprintf("by policy %s, generation %s, for %d fuel", d.GetGeneration().GetPolicy(), d.GetGeneration().GetId(), d.GetFuel())
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
