package mesh

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/test/rig"
)

const mib = 1 << 20

// Stampede sends 1,000 first requests for one model at once, spread over 8 hosts, for several models one after the other.
// A model is to be loaded once, and everybody answered as soon as it is.
func Stampede(ctx context.Context, c Config) (Figures, error) {
	const hosts, requests, rounds = 8, 1000, 10
	models, names := numbered("stampede", rounds, fake.Artifact{LoadMS: fake.Milliseconds(1500), SizeBytes: mib})
	models = forgetful(models)
	figures := Figures{"stampede_failed": 0}
	err := within(ctx, c, rig.Config{Hosts: hosts, CapacityBytes: 64 * mib, Models: models}, func(m *rig.Mesh) error {
		ids, err := modelIDs(ctx, m)
		if err != nil {
			return err
		}
		if err := untilUnloaded(ctx, m); err != nil {
			return err
		}
		var first []time.Duration
		for _, name := range names {
			before := m.Loads()
			answers, failed := stampede(ctx, m, name, requests)
			figures["stampede_failed"] += float64(failed)
			loads := m.Loads() - before
			figures["stampede_loads_max"] = max(figures["stampede_loads_max"], float64(loads))
			at := holders(m, ids[name])
			if len(at) == 0 || len(answers) == 0 {
				return fmt.Errorf("%s: %d of %d requests failed, and it is loaded nowhere", name, failed, requests)
			}
			_, ended, _ := at[0].Runtime().LoadSpan(ids[name])
			earliest := answers[0]
			for _, a := range answers {
				if a.Before(earliest) {
					earliest = a
				}
			}
			first = append(first, earliest.Sub(ended))
			fmt.Fprintf(c.Out, "%s: %d requests over %d hosts, %d failed, %d load(s), first answer %v after its end\n",
				name, requests, hosts, failed, loads, earliest.Sub(ended).Round(10*time.Microsecond))
		}
		figures["stampede_first_answer_ms"] = milliseconds(quantile(first, 0.5))
		return nil
	})
	return figures, err
}

// stampede answers when each answer came.
func stampede(ctx context.Context, m *rig.Mesh, name string, requests int) (answers []time.Time, failed int) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() {
			err := ask(ctx, m.Hosts()[i%len(m.Hosts())], name)
			at := time.Now()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				return
			}
			answers = append(answers, at)
		})
	}
	all.Wait()
	return answers, failed
}

// Cold asks for 200 models one at a time, each on disk and in no memory, through whichever host. What is measured is how
// much longer the answer takes than the runtime takes to load the model.
func Cold(ctx context.Context, c Config) (Figures, error) {
	const hosts, count, fitting = 4, 200, 10
	models, names := numbered("cold", count, fake.Artifact{LoadMS: fake.Milliseconds(20), SizeBytes: mib})
	figures := Figures{}
	err := within(ctx, c, rig.Config{Hosts: hosts, CapacityBytes: fitting * mib, Models: models}, func(m *rig.Mesh) error {
		ids, err := modelIDs(ctx, m)
		if err != nil {
			return err
		}
		// Twice round: the first brings everything to disk somewhere, and memory holds the last models only.
		for range 2 {
			if err := untilLoaded(ctx, m, names); err != nil {
				return err
			}
		}
		var added []time.Duration
		random, warm := rand.New(rand.NewPCG(1, 2)), 0
		for _, name := range names {
			if len(holders(m, ids[name])) > 0 {
				warm++
				continue
			}
			started := time.Now()
			if err := ask(ctx, m.Hosts()[random.IntN(hosts)], name); err != nil {
				return fmt.Errorf("cold request for %s: %w", name, err)
			}
			took := time.Since(started)
			at := holders(m, ids[name])
			if len(at) == 0 {
				continue // It has had to go already.
			}
			began, ended, _ := at[0].Runtime().LoadSpan(ids[name])
			added = append(added, took-ended.Sub(began))
		}
		figures["cold_added_p50_ms"] = milliseconds(quantile(added, 0.5))
		figures["cold_added_p99_ms"] = milliseconds(quantile(added, 0.99))
		fmt.Fprintf(c.Out, "%d cold starts one at a time (%d were warm): p50 %v and p99 %v beyond the runtime's own time\n", len(added), warm,
			quantile(added, 0.5).Round(10*time.Microsecond), quantile(added, 0.99).Round(10*time.Microsecond))
		return nil
	})
	return figures, err
}
