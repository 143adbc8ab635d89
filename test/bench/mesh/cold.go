package mesh

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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

// Cold asks for 200 models one at a time, in no memory and on the disk of the host that comes to load it, through
// whichever host. What is measured is how much longer the answer takes than the runtime takes to load the model: where
// another model has to be unloaded first, with memory free, and on a host that is alone. Between them a runtime is asked
// directly, which says how much of it is the machine's.
func Cold(ctx context.Context, c Config) (Figures, error) {
	const hosts, count, fitting = 4, 200, 10
	models, names := numbered("cold", count, fake.Artifact{LoadMS: fake.Milliseconds(20), SizeBytes: mib})
	dir, err := os.MkdirTemp("", "wasmesh-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	runtime, err := newDirect(dir, models[0].Artifact)
	if err != nil {
		return nil, err
	}
	defer runtime.close()
	colds := colds{Config: c, runtime: runtime, names: names}
	figures := Figures{}
	err = within(ctx, c, rig.Config{Hosts: hosts, CapacityBytes: fitting * mib, Models: models}, func(m *rig.Mesh) error {
		if err := untilLoaded(ctx, m, names); err != nil { // So that there is no memory free.
			return err
		}
		added, err := colds.measure(ctx, m, "with a victim to unload first")
		figures["cold_evicting_added_p50_ms"] = milliseconds(quantile(added, 0.5))
		return err
	})
	if err != nil {
		return figures, err
	}
	models = forgetful(models)
	err = within(ctx, c, rig.Config{Hosts: hosts, CapacityBytes: count * mib, Models: models}, func(m *rig.Mesh) error {
		added, err := colds.measureUnloaded(ctx, m, "into free memory")
		figures["cold_added_p50_ms"], figures["cold_added_p99_ms"] = milliseconds(quantile(added, 0.5)), milliseconds(quantile(added, 0.99))
		return err
	})
	if err != nil {
		return figures, err
	}
	err = within(ctx, c, rig.Config{Hosts: 1, CapacityBytes: count * mib, Models: models}, func(m *rig.Mesh) error {
		added, err := colds.measureUnloaded(ctx, m, "into free memory of the only host")
		figures["cold_one_host_added_p50_ms"] = milliseconds(quantile(added, 0.5))
		return err
	})
	figures["cold_direct_ms"] = milliseconds(quantile(colds.direct, 0.5))
	return figures, err
}

// colds are measurements of cold starts, and what the runtime that is asked directly took beyond its load between them.
type colds struct {
	Config
	runtime *direct
	names   []string
	direct  []time.Duration
}

// passes is how often models are asked for in turn at most. A host has a model on its disk from the second time on that it
// loads it, and of a few hosts each comes to that.
const passes = 8

// measure answers, for as many models that are nowhere loaded, how much longer the first request took than the load. What
// the loading host had to fetch first is printed apart, and so is what a request for the model takes once it is loaded.
func (c *colds) measure(ctx context.Context, m *rig.Mesh, how string) (added []time.Duration, err error) {
	ids, err := modelIDs(ctx, m)
	if err != nil {
		return nil, err
	}
	var before, after, fetched, hits, direct []time.Duration
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < passes*len(c.names) && len(added) < len(c.names); i++ {
		name := c.names[i%len(c.names)]
		if len(holders(m, ids[name])) > 0 {
			continue
		}
		host := m.Hosts()[random.IntN(len(m.Hosts()))]
		s, ok, err := coldStart(ctx, m, host, name, ids[name])
		switch {
		case err != nil:
			return nil, err
		case !ok: // It has had to go already.
		case s.fetched:
			fetched = append(fetched, s.before+s.after)
		default:
			before, after, added, hits = append(before, s.before), append(after, s.after), append(added, s.before+s.after), append(hits, s.hit)
			took, err := c.runtime.coldStart(ctx)
			if err != nil {
				return nil, err
			}
			direct = append(direct, took)
		}
	}
	tens := func(of []time.Duration, q float64) time.Duration { return quantile(of, q).Round(10 * time.Microsecond) }
	fmt.Fprintf(c.Out, "%d cold starts one at a time, %s: p50 %v and p99 %v beyond the runtime's own time; p50 %v before and %v after it; the same request when the model is loaded: p50 %v; load and request directly: p50 %v; %d more that were not on the host's disk: p50 %v\n",
		len(added), how, tens(added, 0.5), tens(added, 0.99), tens(before, 0.5), tens(after, 0.5), tens(hits, 0.5), tens(direct, 0.5), len(fetched), tens(fetched, 0.5))
	c.direct = append(c.direct, direct...)
	return added, nil
}

// measureUnloaded is measure once the background has let go of all models.
func (c *colds) measureUnloaded(ctx context.Context, m *rig.Mesh, how string) ([]time.Duration, error) {
	if err := untilUnloaded(ctx, m); err != nil {
		return nil, err
	}
	return c.measure(ctx, m, how)
}

// started is one cold start.
type started struct {
	// before the load and after it, and how long the same request takes then.
	before, after, hit time.Duration
	// fetched: the host had to fetch the model first.
	fetched bool
}

// coldStart asks for a model that is nowhere loaded; ok is false when it is not loaded any more.
func coldStart(ctx context.Context, m *rig.Mesh, through *rig.Host, name, id string) (s started, ok bool, err error) {
	onDisk := make(map[*rig.Host]int)
	for _, h := range m.Hosts() {
		if onDisk[h], err = h.ObjectsOnDisk(); err != nil {
			return s, false, err
		}
	}
	asked := time.Now()
	if err := ask(ctx, through, name); err != nil {
		return s, false, fmt.Errorf("cold request for %s: %w", name, err)
	}
	done := time.Now()
	at := holders(m, id)
	if len(at) == 0 {
		return s, false, nil
	}
	began, ended, _ := at[0].Runtime().LoadSpan(id)
	s.before, s.after = began.Sub(asked), done.Sub(ended)
	n, err := at[0].ObjectsOnDisk()
	if err != nil {
		return s, false, err
	}
	s.fetched = n != onDisk[at[0]]
	time.Sleep(ended.Sub(began)) // As much at rest as after a load.
	asked = time.Now()
	if err := ask(ctx, through, name); err != nil {
		return s, false, fmt.Errorf("second request for %s: %w", name, err)
	}
	s.hit = time.Since(asked)
	return s, true, nil
}
