package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/decisions"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// errNotExact answers a replay of the very generation that was recorded which answers otherwise.
var errNotExact = errors.New("the same module and configuration answered otherwise than recorded")

func newPolicyReplay() *cobra.Command {
	config, all := "", false
	command := &cobra.Command{
		Use:   "replay DIR|FILE.wasm RECORDING",
		Short: "Ask a policy again what was recorded, and show what would have been decided otherwise",
		Long: `replay asks the module every recorded decision of its hooks. Decisions that were made by this very module and
configuration must come out the same, to the last byte and unit of fuel, or replay fails; the others show what the
module would change. Without --config, decisions that this module made are asked with the configuration that it had.`,
		Example: "  wasmesh policy replay oldest-first decisions.rec",
		Args:    cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			recording, err := readRecording(args[1])
			if err != nil {
				return err
			}
			return withModule(command, args[:1], func(module *policytest.Module, _ string) error {
				asked, err := askedPolicy(command, module, "config", config)
				if err != nil {
					return err
				}
				return replay(command.Context(), command.OutOrStdout(), asked, recording, all)
			})
		},
	}
	command.Flags().StringVar(&config, "config", "", "file with the policy's configuration")
	command.Flags().BoolVar(&all, "all", false, "show decisions that come out the same, too")
	return command
}

func readRecording(path string) ([]*syncv1.Decision, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // Only read.
	recording, err := decisions.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return recording, nil
}

// asked is a module and how it is configured.
type asked struct {
	module *policytest.Module
	config string
	// given: config is what the user named; else decisions of this module have their own.
	given bool
}

func askedPolicy(command *cobra.Command, module *policytest.Module, flag, path string) (asked, error) {
	config, err := optionalFile(path)
	return asked{module: module, config: config, given: command.Flags().Changed(flag)}, err
}

// configFor is the configuration that a decision is asked with.
func (a asked) configFor(d *syncv1.Decision) string {
	if !a.given && a.made(d) {
		return string(d.GetGeneration().GetConfig())
	}
	return a.config
}

// made says whether this module was asked then, with whichever configuration.
func (a asked) made(d *syncv1.Decision) bool {
	g := d.GetGeneration()
	return g != nil && hex.EncodeToString(g.GetModuleDigest()) == a.module.Info().Digest
}

// comparable says whether the recorded answer is that of this module and configuration, or that it abstained.
func (a asked) comparable(d *syncv1.Decision) bool {
	switch d.GetOutcome() {
	case syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED, syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED:
		return a.made(d) && string(d.GetGeneration().GetConfig()) == a.configFor(d)
	}
	return false
}

func (a asked) replay(ctx context.Context, recording []*syncv1.Decision) ([]decisions.Replayed, error) {
	// Also when nothing is recorded: a configuration that is refused is worth knowing.
	if _, err := a.module.With(ctx, a.config); err != nil && a.given {
		return nil, err
	}
	return decisions.Replay(recording, func(d *syncv1.Decision) (decisions.Policy, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return a.module.With(ctx, a.configFor(d))
	})
}

func replay(ctx context.Context, out io.Writer, a asked, recording []*syncv1.Decision, all bool) error {
	replayed, err := a.replay(ctx, recording)
	if err != nil {
		return err
	}
	exact, inexact := 0, 0
	changed, err := writeReplayed(out, replayColumns("BY", "FIRST THEN", "FIRST NOW"), replayed, func(r decisions.Replayed) bool {
		switch {
		case !a.comparable(r.Decision):
		case r.Exact():
			exact++
		default:
			inexact++
			return true
		}
		return all
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d decisions replayed, %d come out otherwise", len(replayed), changed)
	if exact+inexact > 0 {
		fmt.Fprintf(out, "; %d of %d made by this module and configuration are bit-exact", exact, exact+inexact)
	}
	fmt.Fprintln(out)
	if len(replayed) == 0 {
		fmt.Fprintf(out, "The recording has %d decisions, none of a hook that the module decides: %v\n", len(recording), a.module.Info().Hooks)
	}
	if inexact > 0 {
		return fmt.Errorf("%w: %d of %d decisions", errNotExact, inexact, exact+inexact)
	}
	return nil
}

// writeReplayed prints those that have changed, or that show says so of, and answers how many have changed.
func writeReplayed(
	out io.Writer, columns []printer.Column[decisions.Replayed], replayed []decisions.Replayed, show func(decisions.Replayed) bool,
) (changed int, err error) {
	var shown []decisions.Replayed
	for _, r := range replayed {
		if r.Changed {
			changed++
		}
		if wanted := show(r); wanted || r.Changed {
			shown = append(shown, r)
		}
	}
	if len(shown) == 0 {
		return changed, nil
	}
	return changed, printer.Table(out, columns, shown, false)
}

// replayColumns: by, then and now are the headers of who decided then, and of what came first.
func replayColumns(by, then, now string) []printer.Column[decisions.Replayed] {
	type replayed = decisions.Replayed
	columns := []printer.Column[replayed]{
		{Header: "HOST", Cell: func(r replayed) string { return r.Decision.GetHostId() }},
		{Header: "DECISION", Cell: func(r replayed) string { return strconv.FormatUint(r.Decision.GetId(), 10) }},
		{Header: "HOOK", Cell: func(r replayed) string { return r.Decision.GetHook() }},
		{Header: "FOR", Cell: func(r replayed) string { return r.Decision.GetModelId() }},
	}
	if by != "" {
		columns = append(columns, printer.Column[replayed]{Header: by, Cell: func(r replayed) string { return shortDecider(r.Decision) }})
	}
	return append(columns,
		printer.Column[replayed]{Header: then, Cell: func(r replayed) string { return r.FirstThen }},
		printer.Column[replayed]{Header: now, Cell: func(r replayed) string {
			switch {
			case r.Err != nil:
				return r.Err.Error()
			case len(r.Answer) == 0:
				return "abstains"
			}
			return r.First
		}},
		printer.Column[replayed]{Header: "FUEL", Cell: func(r replayed) string { return strconv.FormatUint(r.Fuel, 10) }},
	)
}

// shortDecider is whose answer was recorded.
func shortDecider(d *syncv1.Decision) string {
	switch {
	case d.GetGeneration() == nil:
		return "built-in"
	case d.GetOutcome() != syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED:
		return fmt.Sprintf("built-in (%s %s)", d.GetGeneration().GetPolicy(), decisions.Outcome(d))
	}
	return d.GetGeneration().GetPolicy()
}

func newPolicyDiff() *cobra.Command {
	oldConfig, newConfig := "", ""
	command := &cobra.Command{
		Use:   "diff OLD.wasm NEW.wasm RECORDING",
		Short: "Ask two policies what was recorded, and show where they differ",
		Example: `  wasmesh policy diff bin/policies/evict-lru.wasm bin/policies/evict-gdsf.wasm decisions.rec
  wasmesh policy diff old new decisions.rec --new-config new/config`,
		Args: cobra.ExactArgs(3),
		RunE: func(command *cobra.Command, args []string) error {
			recording, err := readRecording(args[2])
			if err != nil {
				return err
			}
			return withModule(command, args[:1], func(old *policytest.Module, _ string) error {
				return withModule(command, args[1:2], func(next *policytest.Module, _ string) error {
					before, err := askedPolicy(command, old, "old-config", oldConfig)
					if err != nil {
						return err
					}
					after, err := askedPolicy(command, next, "new-config", newConfig)
					if err != nil {
						return err
					}
					return diff(command.Context(), command.OutOrStdout(), before, after, recording)
				})
			})
		},
	}
	command.Flags().StringVar(&oldConfig, "old-config", "", "file with the configuration of the old policy")
	command.Flags().StringVar(&newConfig, "new-config", "", "file with the configuration of the new policy")
	return command
}

// diff replays the decisions that the old policy answers as if it had made them.
func diff(ctx context.Context, out io.Writer, old, next asked, recording []*syncv1.Decision) error {
	before, err := old.replay(ctx, recording)
	if err != nil {
		return err
	}
	var answered []*syncv1.Decision
	for _, r := range before {
		if r.Err != nil || len(r.Answer) == 0 {
			continue
		}
		d := r.Decision
		answered = append(answered, &syncv1.Decision{
			HostId: d.GetHostId(), Id: d.GetId(), Hook: d.GetHook(), TimeMs: d.GetTimeMs(), ModelId: d.GetModelId(),
			Generation: d.GetGeneration(), Request: d.GetRequest(), Answer: r.Answer, Fuel: r.Fuel,
		})
	}
	after, err := next.replay(ctx, answered)
	if err != nil {
		return err
	}
	none := func(decisions.Replayed) bool { return false }
	changed, err := writeReplayed(out, replayColumns("", "FIRST BY OLD", "FIRST BY NEW"), after, none)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d decisions replayed, %d come out otherwise\n", len(after), changed)
	if left := len(before) - len(answered); left > 0 {
		fmt.Fprintf(out, "%d more that %s abstains from or fails on are left out\n", left, old.module.Name())
	}
	if len(after) == 0 {
		fmt.Fprintf(out, "The recording has %d decisions; %s decides %v, and %s decides %v\n",
			len(recording), old.module.Name(), old.module.Info().Hooks, next.module.Name(), next.module.Info().Hooks)
	}
	return nil
}
