package eviction

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
)

// Policies are the names that are compared, in the order of the table; the first is what others are measured against, the
// last what the figures are about.
func Policies() []string { return []string{"lru", "gdsf", "cost-aware"} }

// Capacities in percent of what all models of a trace take.
func Capacities() []int64 { return []int64{5, 10, 20, 40} }

// Row is what was measured at one capacity.
type Row struct {
	Percent int64
	Bytes   int64
	// Policies has a result for each of Policies.
	Policies []Result
	// Foresight is the best of the clairvoyant ones.
	Foresight Result
}

// Compare replays the trace with every policy at every capacity, so many at once.
func Compare(ctx context.Context, t *Trace, open Open, parallel int) ([]Row, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	rows := make([]Row, len(Capacities()))
	for i, percent := range Capacities() {
		row := &rows[i]
		*row = Row{Percent: percent, Bytes: t.TotalSize() / 100 * percent, Policies: make([]Result, len(Policies()))}
		for p, policy := range Policies() {
			group.Go(func() (err error) {
				row.Policies[p], err = replayPolicy(ctx, t, row.Bytes, policy, open)
				return err
			})
		}
		group.Go(func() (err error) {
			row.Foresight, err = ReplayForesight(t, row.Bytes)
			return err
		})
	}
	return rows, group.Wait()
}

func replayPolicy(ctx context.Context, t *Trace, capacity int64, policy string, open Open) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	rank, done, err := open(ctx, policy)
	if err != nil {
		return Result{}, err
	}
	defer done()
	result, err := Replay(t, capacity, rank)
	if err != nil {
		return result, fmt.Errorf("policy %s: %w", policy, err)
	}
	return result, nil
}

// GapClosed is how much of the way from the first policy to foresight the last one goes, in percent. Where there is no
// way to go, it is all of it unless the policy is worse.
func (r Row) GapClosed() float64 {
	first, last := r.Policies[0].Loading, r.Policies[len(r.Policies)-1].Loading
	gap := first - r.Foresight.Loading
	if gap <= 0 {
		if last <= first {
			return 100
		}
		return 0
	}
	return 100 * float64(first-last) / float64(gap)
}

// Ratio is what the last policy costs, by what the first costs.
func (r Row) Ratio() float64 {
	first, last := r.Policies[0].Loading, r.Policies[len(r.Policies)-1].Loading
	if first == 0 {
		return 1 // Then everything fits, and nothing is loaded by either.
	}
	return float64(last) / float64(first)
}

// Print writes the table, and in its last line the figures for programs.
func Print(w io.Writer, t *Trace, rows []Row) error {
	uncached := t.Uncached()
	fmt.Fprintf(w, "%s: %d models, %.1f GB, %d requests in %v\n", t.Name, len(t.Models), float64(t.TotalSize())/1e9,
		len(t.Requests), t.Span().Round(time.Minute))
	fmt.Fprintf(w, "Load-seconds, and in brackets percent of the %.0f s if no model ever stayed.\n\n", uncached.Seconds())
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "capacity\t")
	for _, name := range Policies() {
		fmt.Fprintf(tw, "%s\t", name)
	}
	fmt.Fprintf(tw, "best offline\tgap closed\tvs %s\t\n", Policies()[0])
	closed, worst := 0.0, 0.0
	for _, r := range rows {
		fmt.Fprintf(tw, "%d %%\t", r.Percent)
		for _, result := range append(r.Policies[:len(r.Policies):len(r.Policies)], r.Foresight) {
			fmt.Fprintf(tw, "%.0f (%.3f)\t", result.Loading.Seconds(), 100*float64(result.Loading)/float64(uncached))
		}
		fmt.Fprintf(tw, "%.1f %%\t%.3f\t\n", r.GapClosed(), r.Ratio())
		closed += r.GapClosed() / float64(len(rows))
		worst = max(worst, r.Ratio())
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nfigures: gap_closed_percent=%.1f worst_vs_lru=%.3f\n", closed, worst)
	return err
}
