package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/host/simulate"
	"github.com/wasmesh/wasmesh/host/simulate/recording"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// simulation is one `wasmesh sim`.
type simulation struct {
	trace, capacity string
	hosts, loads    int
	work            time.Duration
	// policies are files, "=" and a file with the configuration if they have one.
	policies []string
}

func newSim() *cobra.Command {
	var s simulation
	command := &cobra.Command{
		Use:   "sim --trace PATH --capacity BYTES|PERCENT% [--hosts N] [--policy FILE.wasm[=CONFIG]]...",
		Short: "Serve recorded requests from a simulated mesh, and show what it costs",
		Long: `sim replays a recording of requests against a mesh of hosts in virtual time: the same code decides where models go and which
are evicted, asking the place and evict policies that are given, and the built-in one of a hook for which none is. Nothing
needs to run. Equal recordings give equal figures on every machine.

PATH is a CSV file, plain or .gz, with a row for each request and the columns
  time_ms,model,size_bytes,load_ms
(load_ms may be missing), or a directory in the format of the Azure Functions 2019 trace. Models are in the catalog from the
start; hosts load in the background what they have room for. A request that had to wait for a load counts as cold.

A million requests take about a minute; nothing is printed before the end.`,
		Example: `  wasmesh sim --trace requests.csv --hosts 8 --capacity 4Gi
  wasmesh sim --trace requests.csv --hosts 8 --capacity 20% --policy evict-mine/policy.wasm=config.txt`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return s.run(command.Context(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&s.trace, "trace", "", "the recording: a file, or a directory")
	flags.IntVar(&s.hosts, "hosts", 1, "how many hosts there are")
	flags.StringVar(&s.capacity, "capacity", "", "memory for models of each host, as 4Gi; or of all together, in percent of what all models take, as 20%")
	flags.IntVar(&s.loads, "loads", 0, "how many models a host loads at once; 0 is the host's default")
	flags.DurationVar(&s.work, "work", 5*time.Millisecond, "how long a runtime is busy with a request")
	flags.StringArrayVar(&s.policies, "policy", nil, "module of a place or evict policy, and after a = the file with its configuration; once for each hook")
	return command
}

func (s *simulation) run(ctx context.Context, out, errs io.Writer) error {
	if s.trace == "" || s.capacity == "" {
		return errors.New("say what to replay, and on how much memory: `wasmesh sim --trace requests.csv --hosts 8 --capacity 4Gi`")
	}
	const mostHosts = 1000
	if s.hosts < 1 || s.hosts > mostHosts || s.loads < 0 || s.work <= 0 {
		return fmt.Errorf("--hosts %d --loads %d --work %v: hosts are 1 to %d, loads not negative, and work is more than none", s.hosts, s.loads, s.work, mostHosts)
	}
	trace, err := recording.Read(s.trace)
	if err != nil {
		return err
	}
	capacity, err := s.perHost(trace)
	if err != nil {
		return err
	}
	policies := newSimPolicies(ctx)
	defer policies.close()
	if err := policies.open(s.policies); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d models, %s, %d requests in %v\n", trace.Name, len(trace.Models), bytesText(trace.TotalSize()),
		len(trace.Requests), trace.Span().Round(time.Second))
	noun := "hosts"
	if s.hosts == 1 {
		noun = "host"
	}
	fmt.Fprintf(out, "%d %s of %s, place policy %s, evict policy %s\n\n", s.hosts, noun, bytesText(capacity),
		policies.names[policyabi.HookPlace], policies.names[policyabi.HookEvict])
	result, err := simulate.Replay(simulate.ReplayConfig{
		Recording: trace, Hosts: s.hosts, Capacity: capacity, Loads: s.loads, Work: s.work, Policies: policies.hooks,
		Progress: func(part float64) {
			if percent := int(math.Round(100 * part)); percent%10 == 0 && percent < 100 {
				fmt.Fprintf(errs, "%d %% replayed\n", percent)
			}
		},
	})
	if err != nil {
		return err
	}
	return writeReplay(out, result)
}

// perHost reads --capacity.
func (s *simulation) perHost(trace *recording.Trace) (int64, error) {
	if percent, ok := strings.CutSuffix(s.capacity, "%"); ok {
		share, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(share > 0 && share <= 1000) {
			return 0, fmt.Errorf("--capacity %s: percent are a number from 0 to 1000", s.capacity)
		}
		return max(int64(float64(trace.TotalSize())*share/100/float64(s.hosts)), 1), nil
	}
	quantity, err := resource.ParseQuantity(s.capacity)
	if err != nil || quantity.Value() <= 0 {
		return 0, fmt.Errorf("--capacity %s: neither bytes, as 4Gi, nor percent of what all models take, as 20%%", s.capacity)
	}
	return quantity.Value(), nil
}

// writeReplay prints the figures.
func writeReplay(out io.Writer, r *simulate.Result) error {
	served := r.Outcomes[route.Served]
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "served\t%d of %d requests\n", served, r.Requests)
	for o := route.Served + 1; o <= route.Internal; o++ {
		if n := r.Outcomes[o]; n > 0 {
			fmt.Fprintf(table, "  %v\t%d\n", o, n)
		}
	}
	if served > 0 {
		fmt.Fprintf(table, "hit ratio\t%.3f %%\n", 100*(1-float64(len(r.Cold))/float64(served)))
	}
	fmt.Fprintf(table, "load-seconds\t%.0f\n", r.LoadTime.Seconds())
	fmt.Fprintf(table, "loads\t%d, %d of them while a request waited\n", r.Loads, r.LoadsFor[policyabi.PurposeMiss])
	fmt.Fprintf(table, "evictions\t%d\n", r.Evictions)
	if n := len(r.Cold); n > 0 {
		fmt.Fprintf(table, "cold requests\t%d, p50 %v, p99 %v\n", n, rounded(r.Cold[n/2]), rounded(r.Cold[min(n*99/100, n-1)]))
	}
	return table.Flush()
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// bytesText writes an amount of memory for people.
func bytesText(n int64) string { return modelcache.Resources{modelcache.HostMemory: n}.String() }

// simPolicies are the modules that decide in a simulation.
type simPolicies struct {
	ctx    context.Context
	engine *engine.Engine
	opened []*policytest.Module
	hooks  simulate.Policies
	// names of the policies that decide, by hook.
	names map[policyabi.Hook]string
}

func newSimPolicies(ctx context.Context) *simPolicies {
	p := &simPolicies{ctx: ctx, names: map[policyabi.Hook]string{}}
	for _, hook := range []policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict} {
		p.names[hook] = builtin.Default(hook).Name + " (built in)"
	}
	return p
}

func (p *simPolicies) close() {
	for _, module := range p.opened {
		module.Close()
	}
	if p.engine != nil {
		_ = p.engine.Close() // Nothing is in use, and the figures are printed.
	}
}

// open compiles the modules of --policy.
func (p *simPolicies) open(flags []string) (err error) {
	if len(flags) == 0 {
		return nil
	}
	if p.engine, err = engine.New(engine.Config{CacheDir: compiledDir()}); err != nil {
		return err
	}
	for _, flag := range flags {
		path, configPath, _ := strings.Cut(flag, "=")
		content, err := readLimited(path, maxModuleBytes)
		if err != nil {
			return err
		}
		config, err := optionalFile(configPath)
		if err != nil {
			return err
		}
		module, err := policytest.Open(p.engine, moduleName(path), content)
		if err != nil {
			return err
		}
		p.opened = append(p.opened, module)
		configured, err := module.With(p.ctx, config)
		if err != nil {
			return err
		}
		if err := p.use(module.Name(), configured); err != nil {
			return err
		}
	}
	return nil
}

// use has a module decide the hooks that it implements.
func (p *simPolicies) use(name string, configured *policytest.Configured) error {
	used := false
	for _, hook := range []struct {
		id policyabi.Hook
		to *func([]byte) ([]byte, error)
	}{{policyabi.HookPlace, &p.hooks.Place}, {policyabi.HookEvict, &p.hooks.Evict}} {
		if !configured.Implements(hook.id) {
			continue
		}
		if *hook.to != nil {
			return fmt.Errorf("policy %s: %s decides the hook %v already", name, p.names[hook.id], hook.id)
		}
		*hook.to = func(request []byte) ([]byte, error) {
			answer, _, err := configured.DecideBytes(request)
			return answer, err
		}
		p.names[hook.id], used = name, true
	}
	if !used {
		return fmt.Errorf("policy %s decides neither where models go nor which are evicted", name)
	}
	return nil
}
