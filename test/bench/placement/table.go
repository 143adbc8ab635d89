package placement

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wasmesh/wasmesh/test/bench/eviction"
)

// Capacities in percent of what all models of a trace take.
func Capacities() []int64 { return []int64{10, 20, 40} }

// Open makes policies; close ends their use. Each replay opens its own.
type Open struct {
	Evict eviction.Open
	// Place opens the place policy that ships.
	Place func(ctx context.Context) (place Placer, close func(), err error)
}

// scheme is one way to run a mesh.
type scheme struct {
	name  string
	evict string
	// place is nil for the place policy that ships.
	place func() Placer
	lag   Lag
}

// The schemes that the figures compare.
const (
	shipped   = 0
	modelMesh = 8
)

func schemes() []scheme {
	const evict = "cost-aware"
	all := []scheme{{name: "wasmesh, as it ships", evict: evict, lag: Shipped()}}
	for _, delay := range []time.Duration{0, 200 * time.Millisecond, time.Second, 2 * time.Second} {
		all = append(all, scheme{name: fmt.Sprintf("  state %v old", delay), evict: evict, lag: Lag{Delay: delay}})
	}
	return append(all,
		scheme{name: "two choices", evict: evict, place: TwoChoices},
		scheme{name: "random", evict: evict, place: Random},
		scheme{name: "consistent hash", evict: evict, place: ConsistentHash},
		scheme{name: "ModelMesh's rule", evict: "lru", place: ModelMesh},
	)
}

// Table is what was measured.
type Table struct {
	Hosts int
	// Bytes of all hosts together and what one host with all of them costs, for each of Capacities.
	Bytes  []int64
	Pooled []eviction.Result
	// Schemes has a result for each of schemes and Capacities.
	Schemes [][]Result
}

// Compare replays the trace in all ways at every capacity, so many at once.
func Compare(ctx context.Context, t *eviction.Trace, hosts int, open Open, parallel int) (Table, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	n := len(Capacities())
	table := Table{Hosts: hosts, Bytes: make([]int64, n), Pooled: make([]eviction.Result, n), Schemes: make([][]Result, len(schemes()))}
	for i, percent := range Capacities() {
		table.Bytes[i] = t.TotalSize() / 100 * percent
		group.Go(func() (err error) {
			table.Pooled[i], err = pooled(ctx, t, table.Bytes[i], open)
			return err
		})
	}
	for s, scheme := range schemes() {
		table.Schemes[s] = make([]Result, n)
		for i := range Capacities() {
			group.Go(func() (err error) {
				if table.Schemes[s][i], err = scheme.replay(ctx, t, hosts, table.Bytes[i], open); err != nil {
					return fmt.Errorf("%s: %w", scheme.name, err)
				}
				return nil
			})
		}
	}
	return table, group.Wait()
}

// pooled is one host with the memory of all.
func pooled(ctx context.Context, t *eviction.Trace, bytes int64, open Open) (eviction.Result, error) {
	if err := ctx.Err(); err != nil {
		return eviction.Result{}, err
	}
	rank, done, err := open.Evict(ctx, schemes()[shipped].evict)
	if err != nil {
		return eviction.Result{}, err
	}
	defer done()
	return eviction.Replay(t, bytes, rank)
}

func (s scheme) replay(ctx context.Context, t *eviction.Trace, hosts int, bytes int64, open Open) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	rank, done, err := open.Evict(ctx, s.evict)
	if err != nil {
		return Result{}, err
	}
	defer done()
	config := Config{Hosts: hosts, Capacity: bytes / int64(hosts), Rank: rank, Lag: s.lag}
	if s.place != nil {
		config.Place = s.place()
	} else {
		place, done, err := open.Place(ctx)
		if err != nil {
			return Result{}, err
		}
		defer done()
		config.Place = place
	}
	return Replay(t, config)
}

// VsPooled is what a scheme costs by what the pooled host does, for each of Capacities.
func (t Table) VsPooled(scheme int) []float64 {
	ratios := make([]float64, len(t.Pooled))
	for i := range ratios {
		ratios[i] = ratio(t.Schemes[scheme][i].Loading, t.Pooled[i].Loading)
	}
	return ratios
}

// VsModelMesh is what the mesh as it ships costs by what ModelMesh's rule does, for each of Capacities.
func (t Table) VsModelMesh() []float64 {
	ratios := make([]float64, len(t.Pooled))
	for i := range ratios {
		ratios[i] = ratio(t.Schemes[shipped][i].Loading, t.Schemes[modelMesh][i].Loading)
	}
	return ratios
}

// ratio is 1 where everything fits and nothing is loaded by either.
func ratio(a, b time.Duration) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

func mean(of []float64) (mean float64) {
	for _, x := range of {
		mean += x / float64(len(of))
	}
	return mean
}

// Print writes the table, and in its last line the figures for programs.
func (t Table) Print(w io.Writer, trace *eviction.Trace) error {
	fmt.Fprintf(w, "%s: %d models, %.1f GB, %d requests in %v, on %d hosts\n", trace.Name, len(trace.Models),
		float64(trace.TotalSize())/1e9, len(trace.Requests), trace.Span().Round(time.Minute), t.Hosts)
	fmt.Fprintf(w, "Load-seconds, and in brackets by those of one host with the memory of all.\n\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "capacity")
	for _, percent := range Capacities() {
		fmt.Fprintf(tw, "\t%d %%", percent)
	}
	fmt.Fprint(tw, "\tmean\none host")
	for _, r := range t.Pooled {
		fmt.Fprintf(tw, "\t%.0f", r.Loading.Seconds())
	}
	fmt.Fprintln(tw, "\t(1.000)")
	for s, scheme := range schemes() {
		fmt.Fprint(tw, scheme.name)
		ratios := t.VsPooled(s)
		for i, ratio := range ratios {
			fmt.Fprintf(tw, "\t%.0f (%.3f)", t.Schemes[s][i].Loading.Seconds(), ratio)
		}
		fmt.Fprintf(tw, "\t(%.3f)\n", mean(ratios))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	ratios, worst := t.VsPooled(shipped), 0.0
	for _, r := range ratios {
		worst = max(worst, r)
	}
	_, err := fmt.Fprintf(w, "\nfigures: vs_pooled=%.3f worst_vs_pooled=%.3f vs_modelmesh=%.3f\n", mean(ratios), worst, mean(t.VsModelMesh()))
	return err
}
