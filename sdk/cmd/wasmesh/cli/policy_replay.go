package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/decisions"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// errNotExact answers a replay of the very generation that was recorded which answers otherwise.
var errNotExact = errors.New("the same module and configuration answered otherwise than recorded")

func newPolicyReplay() *cobra.Command {
	config, all := "", false
	command := &cobra.Command{
		Use:   "replay FILE.wasm RECORDING",
		Short: "Ask a policy again what was recorded, and show what would have been decided otherwise",
		Long: `replay asks the module every recorded decision of its hooks. Decisions that were made by this very module and
configuration must come out the same, to the last byte and unit of fuel, or replay fails; the others show what the
module would change.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			recording, err := readRecording(args[1])
			if err != nil {
				return err
			}
			content, err := optionalFile(config)
			if err != nil {
				return err
			}
			return withModule(args[:1], func(module *policytest.Module, _ string) error {
				return replay(command.Context(), command.OutOrStdout(), module, content, recording, all)
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
	return decisions.Read(file)
}

func replay(ctx context.Context, out io.Writer, module *policytest.Module, config string, recording []*syncv1.Decision, all bool) error {
	configured, err := module.With(ctx, config)
	if err != nil {
		return err
	}
	replayed, err := decisions.Replay(configured, configured.Implements, recording)
	if err != nil {
		return err
	}
	var shown []decisions.Replayed
	same, exact, inexact := 0, 0, 0
	for _, r := range replayed {
		if r.Same {
			same++
		}
		if isOf(r.Decision, module.Info(), config) {
			if r.Same && r.Fuel == r.Decision.GetFuel() {
				exact++
			} else {
				inexact++
			}
		}
		if all || !r.Same {
			shown = append(shown, r)
		}
	}
	if len(shown) > 0 {
		if err := printer.Table(out, replayColumns(), shown, false); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d decisions replayed, %d the same", len(replayed), same)
	if exact+inexact > 0 {
		fmt.Fprintf(out, "; %d of %d made by this module and configuration are bit-exact", exact, exact+inexact)
	}
	fmt.Fprintln(out)
	if inexact > 0 {
		return fmt.Errorf("%w: %d decisions", errNotExact, inexact)
	}
	return nil
}

// isOf says whether this module with this configuration gave the recorded answer.
func isOf(d *syncv1.Decision, info engine.Info, config string) bool {
	g := d.GetGeneration()
	return g != nil && d.GetOutcome() == syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED &&
		fmt.Sprintf("%x", g.GetModuleDigest()) == info.Digest && string(g.GetConfig()) == config
}

func replayColumns() []printer.Column[decisions.Replayed] {
	type replayed = decisions.Replayed
	return []printer.Column[replayed]{
		{Header: "HOST", Cell: func(r replayed) string { return r.Decision.GetHostId() }},
		{Header: "DECISION", Cell: func(r replayed) string { return strconv.FormatUint(r.Decision.GetId(), 10) }},
		{Header: "HOOK", Cell: func(r replayed) string { return r.Decision.GetHook() }},
		{Header: "FOR", Cell: func(r replayed) string { return r.Decision.GetModelId() }},
		{Header: "FIRST THEN", Cell: func(r replayed) string { return r.FirstThen }},
		{Header: "FIRST NOW", Cell: func(r replayed) string {
			switch {
			case r.Err != nil:
				return r.Err.Error()
			case len(r.Answer) == 0:
				return "abstains"
			}
			return r.First
		}},
		{Header: "FUEL", Cell: func(r replayed) string { return strconv.FormatUint(r.Fuel, 10) }},
	}
}

func newPolicyDiff() *cobra.Command {
	command := &cobra.Command{
		Use:   "diff OLD.wasm NEW.wasm RECORDING",
		Short: "Ask two policies what was recorded, and show where they differ",
		Args:  cobra.ExactArgs(3),
		RunE: func(command *cobra.Command, args []string) error {
			recording, err := readRecording(args[2])
			if err != nil {
				return err
			}
			return withModule(args[:1], func(old *policytest.Module, _ string) error {
				return withModule(args[1:2], func(next *policytest.Module, _ string) error {
					return diff(command.Context(), command.OutOrStdout(), old, next, recording)
				})
			})
		},
	}
	return command
}

// diff replays the decisions that the old module answers as if it had made them.
func diff(ctx context.Context, out io.Writer, old, next *policytest.Module, recording []*syncv1.Decision) error {
	before, err := old.With(ctx, "")
	if err != nil {
		return err
	}
	replayed, err := decisions.Replay(before, before.Implements, recording)
	if err != nil {
		return err
	}
	var answered []*syncv1.Decision
	for _, r := range replayed {
		if r.Err != nil || len(r.Answer) == 0 {
			continue
		}
		d := r.Decision
		answered = append(answered, &syncv1.Decision{
			HostId: d.GetHostId(), Id: d.GetId(), Hook: d.GetHook(), TimeMs: d.GetTimeMs(), ModelId: d.GetModelId(),
			Request: d.GetRequest(), Answer: r.Answer, Fuel: r.Fuel,
		})
	}
	return replay(ctx, out, next, "", answered, false)
}
