package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/decisions"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func newPolicy(where *target) *cobra.Command {
	command := &cobra.Command{
		Use:   "policy",
		Short: "Write, try and run WebAssembly policies: where models go, what is evicted, how status reads",
		Example: `  wasmesh policy new --lang c oldest-first
  wasmesh policy build oldest-first
  wasmesh policy test oldest-first
  wasmesh policy apply oldest-first`,
		// Without these an unknown command is answered with help, as if all were well.
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(
		newPolicyNew(), newPolicyBuild(), newPolicyTest(), newPolicyBench(), newPolicyInspect(), newPolicyApply(where),
		newPolicyStatus(where), newPolicyRollback(where),
		newPolicyRecord(where), newPolicyReplay(), newPolicyDiff(),
	)
	return command
}

func newPolicyStatus(where *target) *cobra.Command {
	output := ""
	command := &cobra.Command{
		Use:     "status",
		Short:   "Show what decides each hook, and what became of every policy ConfigMap",
		Example: "  wasmesh policy status -o wide",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			client, err := where.dial()
			if err != nil {
				return err
			}
			defer client.close()
			var answer *adminv1.ListPoliciesResponse
			err = client.patiently(command.Context(), func() (err error) {
				answer, err = client.ListPolicies(command.Context(), &adminv1.ListPoliciesRequest{})
				return err
			})
			if err != nil {
				return client.explain(err)
			}
			return printPolicies(command.OutOrStdout(), answer, output)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "table", "table, wide (with every host), json or yaml")
	_ = command.RegisterFlagCompletionFunc("output", // fails only for a flag that does not exist
		cobra.FixedCompletions([]string{"table", "wide", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return command
}

func printPolicies(out io.Writer, answer *adminv1.ListPoliciesResponse, output string) error {
	if output == "json" || output == "yaml" {
		object, err := messageObject(answer)
		if err != nil {
			return err
		}
		return printer.Encode(out, output, []printer.Object{object}, true)
	}
	if err := printer.Table(out, hookColumns(), answer.GetHooks(), false); err != nil {
		return err
	}
	if len(answer.GetPolicies()) == 0 {
		fmt.Fprintln(out, "\nNo ConfigMap is labelled wasmesh.dev/policy: \"true\".")
		return nil
	}
	fmt.Fprintln(out)
	if err := printer.Table(out, policyColumns(time.Now()), answer.GetPolicies(), false); err != nil {
		return err
	}
	var states []hostState
	for _, p := range answer.GetPolicies() {
		for _, h := range p.GetHostStates() {
			states = append(states, hostState{p, h})
		}
	}
	if output != "wide" || len(states) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	return printer.Table(out, hostStateColumns(), states, false)
}

type (
	policy     = adminv1.ListPoliciesResponse_Policy
	policyHook = adminv1.ListPoliciesResponse_Hook
)

// hostState is what one host has made of one policy.
type hostState struct {
	policy *policy
	*adminv1.ListPoliciesResponse_HostState
}

func hookColumns() []printer.Column[*policyHook] {
	return []printer.Column[*policyHook]{
		{Header: "HOOK", Cell: func(h *policyHook) string { return h.GetHook() }},
		{Header: "DECIDED BY", Cell: func(h *policyHook) string {
			if h.GetPolicy() == "" {
				return "built-in " + h.GetBuiltIn()
			}
			return h.GetPolicy()
		}},
		{Header: "GENERATION", Cell: func(h *policyHook) string { return h.GetGenerationId() }},
		{Header: "PREVIOUS", Cell: func(h *policyHook) string { return h.GetPrevious() }},
	}
}

func policyColumns(now time.Time) []printer.Column[*policy] {
	return []printer.Column[*policy]{
		{Header: "NAME", Cell: func(p *policy) string { return p.GetName() }},
		{Header: "HOOK", Cell: func(p *policy) string { return p.GetHook() }},
		{Header: "PHASE", Cell: func(p *policy) string { return phase(p.GetPhase()) }},
		{Header: "HOSTS", Cell: func(p *policy) string { return fmt.Sprintf("%d/%d", p.GetProgrammed(), p.GetHosts()) }},
		{Header: "GENERATION", Cell: func(p *policy) string { return p.GetGeneration().GetId() }},
		{Header: "AGE", Cell: func(p *policy) string {
			if p.GetSinceMs() == 0 {
				return printer.Age(now, time.Time{})
			}
			return printer.Age(now, time.UnixMilli(p.GetSinceMs()))
		}},
		{Header: "MESSAGE", Cell: func(p *policy) string { return p.GetMessage() }},
	}
}

func hostStateColumns() []printer.Column[hostState] {
	count := func(header string, n func(hostState) uint64) printer.Column[hostState] {
		return printer.Column[hostState]{Header: header, Cell: func(s hostState) string { return strconv.FormatUint(n(s), 10) }}
	}
	return []printer.Column[hostState]{
		{Header: "NAME", Cell: func(s hostState) string { return s.policy.GetName() }},
		{Header: "HOOK", Cell: func(s hostState) string { return s.policy.GetHook() }},
		{Header: "HOST", Cell: func(s hostState) string { return s.GetHostId() }},
		{Header: "STATE", Cell: func(s hostState) string {
			return words(s.GetEntry().GetState().String(), "GENERATION_STATE_")
		}},
		count("ANSWERED", func(s hostState) uint64 { return s.GetEntry().GetAnswered() }),
		count("ABSTAINED", func(s hostState) uint64 { return s.GetEntry().GetAbstained() }),
		count("FAILED", func(s hostState) uint64 { return s.GetEntry().GetFailed() }),
		count("ENVELOPE", func(s hostState) uint64 { return s.GetEntry().GetEnvelopeHits() }),
		count("COMPARED", func(s hostState) uint64 { return s.GetEntry().GetCompared() }),
		count("DIFFERED", func(s hostState) uint64 { return s.GetEntry().GetDiffered() }),
		count("MAX FUEL", func(s hostState) uint64 { return s.GetEntry().GetFuelMax() }),
		{Header: "MESSAGE", Cell: func(s hostState) string { return s.GetEntry().GetMessage() }},
	}
}

func phase(p adminv1.PolicyPhase) string { return words(p.String(), "POLICY_PHASE_") }

// words turns ROLLED_BACK into RolledBack, as Kubernetes writes words.
func words(enum, prefix string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(strings.TrimPrefix(enum, prefix), "_") {
		if word != "" {
			b.WriteString(word[:1] + strings.ToLower(word[1:]))
		}
	}
	return b.String()
}

func newPolicyRollback(where *target) *cobra.Command {
	return &cobra.Command{
		Use:       "rollback place|evict|status",
		Short:     "Have a hook decided by what decided it before, until its ConfigMap changes",
		Example:   "  wasmesh policy rollback evict",
		Args:      cobra.ExactArgs(1),
		ValidArgs: author.Hooks(),
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkHook(args[0]); err != nil {
				return err
			}
			client, err := where.dial()
			if err != nil {
				return err
			}
			defer client.close()
			answer, err := client.RollbackPolicy(command.Context(), &adminv1.RollbackPolicyRequest{Hook: args[0]})
			if err != nil {
				return client.explain(err)
			}
			fmt.Fprintln(command.OutOrStdout(), answer.GetMessage())
			return nil
		},
	}
}

func newPolicyRecord(where *target) *cobra.Command {
	request, file := &adminv1.ListDecisionsRequest{}, ""
	command := &cobra.Command{
		Use:     "record -o FILE",
		Short:   "Write the recorded decisions of all hosts and the controller into a file",
		Example: "  wasmesh policy record --hook evict -o decisions.rec",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := checkHook(request.GetHook()); request.GetHook() != "" && err != nil {
				return err
			}
			client, err := where.dial()
			if err != nil {
				return err
			}
			defer client.close()
			var all []*syncv1.Decision
			var warnings []string
			err = client.patiently(command.Context(), func() (err error) {
				all, warnings, err = client.decisions(command.Context(), request)
				return err
			})
			if err != nil {
				return client.explain(err)
			}
			for _, warning := range warnings {
				fmt.Fprintln(command.ErrOrStderr(), "Warning:", warning)
			}
			if len(all) == 0 {
				return errors.New("no such decision has been recorded: hosts record loads and evictions, so send requests first")
			}
			var recording bytes.Buffer
			if err := decisions.Write(&recording, all); err != nil {
				return err
			}
			if file == "-" {
				_, err = recording.WriteTo(command.OutOrStdout())
				return err
			}
			if err := author.WriteWhole(file, recording.Bytes()); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "%d decisions written to %s\n", len(all), file)
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVarP(&file, "output", "o", "", "file to write; - is standard output")
	flags.StringVar(&request.Hook, "hook", "", "only this hook")
	flags.StringVar(&request.Model, "model", "", "only decisions about this model")
	flags.Uint32Var(&request.Limit, "limit", 0, "only the newest so many of each host; 0 is all that are kept")
	// These fail only for a flag that does not exist.
	_ = command.MarkFlagRequired("output")
	_ = command.RegisterFlagCompletionFunc("hook", completeHooks)
	return command
}

func checkHook(name string) error {
	if !slices.Contains(author.Hooks(), name) {
		return fmt.Errorf("hook %q is none of %s", name, strings.Join(author.Hooks(), ", "))
	}
	return nil
}
