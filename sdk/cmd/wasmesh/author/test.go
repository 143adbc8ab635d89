package author

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/wasmesh/wasmesh/wasm-policies/hook/conformance"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// scenariosDir lies beside a policy's source.
const scenariosDir = "scenarios"

// ErrFailed answers a test that found something; it has been printed.
var ErrFailed = errors.New("policy test failed")

// Test holds the module to the mesh's rules, with every configuration that its scenarios have, then to the scenarios in
// dir, and prints what failed as tables. The error is ErrFailed, or says why there was nothing to test.
func Test(ctx context.Context, out io.Writer, module *policytest.Module, dir string) error {
	scenarios, err := policytest.ReadDir(filepath.Join(dir, scenariosDir))
	if err != nil {
		return err
	}
	broken, err := conform(ctx, out, module, scenarios)
	if err != nil {
		return err
	}
	failed := 0
	for _, s := range scenarios {
		result, err := run(ctx, module, s)
		if err != nil {
			return err
		}
		if result.Passed {
			fmt.Fprintf(out, "ok      %s (%d fuel)\n", s.Name, result.Fuel)
			continue
		}
		failed++
		if err := result.WriteTable(out); err != nil {
			return err
		}
	}
	if len(scenarios) == 0 {
		fmt.Fprintf(out, "there are no scenarios in %s\n", filepath.Join(dir, scenariosDir))
	} else {
		fmt.Fprintf(out, "%d of %d scenarios passed\n", len(scenarios)-failed, len(scenarios))
	}
	switch {
	case broken > 0 && failed > 0:
		return fmt.Errorf("%w: it breaks rules of the mesh, and %d of %d scenarios failed", ErrFailed, failed, len(scenarios))
	case broken > 0:
		return fmt.Errorf("%w: it breaks rules of the mesh", ErrFailed)
	case failed > 0:
		return fmt.Errorf("%w: %d of %d scenarios", ErrFailed, failed, len(scenarios))
	}
	return nil
}

// run counts a module that cannot decide the scenario as one that fails it.
func run(ctx context.Context, module *policytest.Module, s policytest.Scenario) (policytest.Result, error) {
	configured, err := module.With(ctx, s.Config)
	switch {
	case ctx.Err() != nil:
		return policytest.Result{}, err
	case err != nil:
		return policytest.Failed(s, err.Error()), nil
	case !configured.Implements(s.Hook):
		return policytest.Failed(s, "the module does not export "+s.Hook.Export()), nil
	}
	return policytest.Run(configured, s), nil
}

// configs are those that a policy is tried with: every one of its scenarios, as a policy that needs one has it there.
func configs(scenarios []policytest.Scenario) []string {
	var all []string
	for _, s := range scenarios {
		if !slices.Contains(all, s.Config) {
			all = append(all, s.Config)
		}
	}
	if len(all) == 0 {
		return []string{""}
	}
	return all
}

// conform prints what the module does with each configuration of its scenarios, and answers with how many it breaks
// rules. A module that is refused with all of them is an error: there is nothing to test.
func conform(ctx context.Context, out io.Writer, module *policytest.Module, scenarios []policytest.Scenario) (broken int, err error) {
	var refused error
	tried, configs := 0, configs(scenarios)
	for i, config := range configs {
		configured, err := module.With(ctx, config)
		if err != nil {
			if refused == nil { // A scenario of this configuration says so, too.
				refused = asked(scenarios, config, err)
			}
			continue
		}
		tried++
		with := ""
		if len(configs) > 1 {
			with = fmt.Sprintf(" with configuration %d of %d", i+1, len(configs))
		}
		failures := configured.Failures()
		if len(failures) == 0 {
			fmt.Fprintf(out, "ok      conformance%s\n", with)
			continue
		}
		broken++
		fmt.Fprintf(out, "FAILED  conformance of %s%s: the mesh would refuse it\n", module.Name(), with)
		if err := writeFailures(out, failures); err != nil {
			return broken, err
		}
	}
	if tried == 0 {
		return 0, refused
	}
	return broken, nil
}

// asked names the first scenario that has the configuration which was refused.
func asked(scenarios []policytest.Scenario, config string, err error) error {
	i := slices.IndexFunc(scenarios, func(s policytest.Scenario) bool { return s.Config == config })
	if i < 0 {
		return err
	}
	return fmt.Errorf("%s, scenario %q: %w", scenarios[i].File, scenarios[i].Name, err)
}

// maxFailures of one configuration are printed: a module that is broken breaks most rules.
const maxFailures = 10

func writeFailures(out io.Writer, failures []*conformance.Failure) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "        HOOK\tREQUEST\tRULE\tDETAIL") // Flush has the error.
	for _, f := range failures[:min(len(failures), maxFailures)] {
		fmt.Fprintf(table, "        %v\t%s\t%s\t%s\n", f.Hook, f.Request, f.Rule, f.Detail)
	}
	if more := len(failures) - maxFailures; more > 0 {
		fmt.Fprintf(table, "        and %d more\n", more)
	}
	return table.Flush()
}
